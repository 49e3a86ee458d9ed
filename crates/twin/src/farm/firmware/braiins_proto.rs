//! The messages of Braiins OS's public gRPC API that are answered, fields numbered as published
//! (package `braiins.bos.v1`). Nothing else of it.

use prost::Message;

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $at:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Message)]
        pub(super) struct $name { $($(#[$field])* pub(super) $at: $kind,)* }
    )*};
}

messages! {
    LoginRequest {
        #[prost(string, tag = "1")] username: String,
        #[prost(string, tag = "2")] password: String,
    }
    LoginResponse {
        #[prost(string, tag = "1")] token: String,
        #[prost(uint32, tag = "2")] timeout_s: u32,
    }
    /// Of `already_paused`, `already_mining`, `already_running` and `enabled`: all are field 1.
    Flag {
        #[prost(bool, tag = "1")] flag: bool,
    }
    Empty {}
    Power {
        #[prost(uint64, tag = "1")] watt: u64,
    }
    SetPowerTarget {
        #[prost(int32, tag = "1")] save_action: i32,
        #[prost(message, optional, tag = "2")] power_target: Option<Power>,
    }
    /// Of `SetPowerTargetResponse` and `PowerTargetMode`.
    PowerTarget {
        #[prost(message, optional, tag = "1")] power_target: Option<Power>,
    }
    TunerMode {
        #[prost(message, optional, tag = "1")] power_target: Option<PowerTarget>,
    }
    PerformanceMode {
        #[prost(message, optional, tag = "2")] tuner_mode: Option<TunerMode>,
    }
    TunerState {
        #[prost(int32, tag = "1")] overall_tuner_state: i32,
        #[prost(message, optional, tag = "2")] power_target_mode_state: Option<PowerTargetState>,
    }
    PowerTargetState {
        #[prost(message, optional, tag = "2")] current_target: Option<Power>,
    }
    Gigahash {
        #[prost(double, tag = "1")] per_second: f64,
    }
    Megahash {
        #[prost(double, tag = "1")] per_second: f64,
    }
    Identity {
        #[prost(int32, tag = "1")] brand: i32,
        #[prost(string, tag = "3")] name: String,
        #[prost(string, tag = "4")] miner_model: String,
    }
    Version {
        #[prost(string, tag = "1")] current: String,
        #[prost(string, tag = "2")] major: String,
        #[prost(bool, tag = "3")] bos_plus: bool,
    }
    Supply {
        #[prost(string, optional, tag = "3")] serial_number: Option<String>,
        #[prost(string, optional, tag = "4")] model_name: Option<String>,
    }
    Details {
        #[prost(string, tag = "1")] uid: String,
        #[prost(message, optional, tag = "2")] miner_identity: Option<Identity>,
        #[prost(int32, tag = "3")] platform: i32,
        #[prost(int32, tag = "4")] bos_mode: i32,
        #[prost(message, optional, tag = "5")] bos_version: Option<Version>,
        #[prost(string, tag = "6")] hostname: String,
        #[prost(string, tag = "7")] mac_address: String,
        #[prost(uint64, tag = "8")] system_uptime: u64,
        #[prost(message, optional, tag = "9")] sticker_hashrate: Option<Gigahash>,
        #[prost(uint64, tag = "10")] bosminer_uptime_s: u64,
        #[prost(uint64, tag = "11")] system_uptime_s: u64,
        #[prost(int32, tag = "12")] status: i32,
        #[prost(string, tag = "13")] kernel_version: String,
        #[prost(message, optional, tag = "14")] psu_info: Option<Supply>,
        #[prost(string, optional, tag = "16")] serial_number: Option<String>,
    }
    PoolStats {
        #[prost(uint64, tag = "1")] accepted_shares: u64,
        #[prost(uint64, tag = "2")] rejected_shares: u64,
    }
    RealHashrate {
        #[prost(message, optional, tag = "1")] last_5s: Option<Gigahash>,
        #[prost(message, optional, tag = "2")] last_15s: Option<Gigahash>,
        #[prost(message, optional, tag = "3")] last_30s: Option<Gigahash>,
        #[prost(message, optional, tag = "4")] last_1m: Option<Gigahash>,
        #[prost(message, optional, tag = "5")] last_5m: Option<Gigahash>,
        #[prost(message, optional, tag = "6")] last_15m: Option<Gigahash>,
        #[prost(message, optional, tag = "7")] last_30m: Option<Gigahash>,
        #[prost(message, optional, tag = "8")] last_1h: Option<Gigahash>,
        #[prost(message, optional, tag = "9")] last_24h: Option<Gigahash>,
        #[prost(message, optional, tag = "10")] since_restart: Option<Gigahash>,
    }
    Solver {
        #[prost(message, optional, tag = "1")] real_hashrate: Option<RealHashrate>,
        #[prost(message, optional, tag = "2")] nominal_hashrate: Option<Gigahash>,
        #[prost(message, optional, tag = "3")] error_hashrate: Option<Megahash>,
    }
    Efficiency {
        #[prost(double, tag = "1")] joule_per_terahash: f64,
    }
    PowerStats {
        #[prost(message, optional, tag = "1")] approximated_consumption: Option<Power>,
        #[prost(message, optional, tag = "2")] efficiency: Option<Efficiency>,
    }
    Stats {
        #[prost(message, optional, tag = "1")] pool_stats: Option<PoolStats>,
        #[prost(message, optional, tag = "2")] miner_stats: Option<Solver>,
        #[prost(message, optional, tag = "3")] power_stats: Option<PowerStats>,
    }
    Degrees {
        #[prost(double, tag = "1")] celsius: f64,
    }
    Sensor {
        #[prost(int32, tag = "2")] location: i32,
        #[prost(message, optional, tag = "3")] temperature: Option<Degrees>,
    }
    /// `google.protobuf.UInt32Value`.
    Count {
        #[prost(uint32, tag = "1")] value: u32,
    }
    Board {
        #[prost(string, tag = "1")] id: String,
        #[prost(bool, tag = "2")] enabled: bool,
        #[prost(message, optional, tag = "3")] chips_count: Option<Count>,
        /// Volt.
        #[prost(message, optional, tag = "4")] current_voltage: Option<Gigahash>,
        /// Hertz.
        #[prost(message, optional, tag = "5")] current_frequency: Option<Gigahash>,
        #[prost(message, optional, tag = "6")] highest_chip_temp: Option<Sensor>,
        #[prost(message, optional, tag = "7")] board_temp: Option<Degrees>,
        #[prost(message, optional, tag = "8")] stats: Option<Solver>,
        #[prost(string, optional, tag = "9")] model: Option<String>,
        #[prost(string, optional, tag = "12")] serial_number: Option<String>,
    }
    Boards {
        #[prost(message, repeated, tag = "1")] hashboards: Vec<Board>,
    }
    Fan {
        #[prost(uint32, optional, tag = "1")] position: Option<u32>,
        #[prost(uint32, tag = "2")] rpm: u32,
        #[prost(double, optional, tag = "3")] target_speed_ratio: Option<f64>,
    }
    Cooling {
        #[prost(message, repeated, tag = "1")] fans: Vec<Fan>,
        #[prost(message, optional, tag = "2")] highest_temperature: Option<Sensor>,
    }
    Pool {
        #[prost(string, tag = "1")] uid: String,
        #[prost(string, tag = "2")] url: String,
        #[prost(string, tag = "3")] user: String,
        #[prost(bool, tag = "4")] enabled: bool,
        #[prost(bool, tag = "5")] alive: bool,
        #[prost(bool, tag = "6")] active: bool,
        #[prost(message, optional, tag = "7")] stats: Option<PoolStats>,
    }
    PoolGroup {
        #[prost(string, tag = "1")] name: String,
        #[prost(message, optional, tag = "2")] quota: Option<Count>,
        #[prost(message, repeated, tag = "4")] pools: Vec<Pool>,
    }
    PoolGroups {
        #[prost(message, repeated, tag = "1")] pool_groups: Vec<PoolGroup>,
    }
    PoolConfig {
        #[prost(string, tag = "1")] uid: String,
        #[prost(string, tag = "2")] url: String,
        #[prost(string, tag = "3")] user: String,
    }
    PoolGroupConfig {
        #[prost(string, tag = "1")] uid: String,
        #[prost(string, tag = "2")] name: String,
        #[prost(message, optional, tag = "3")] quota: Option<Count>,
        #[prost(message, repeated, tag = "5")] pools: Vec<PoolConfig>,
    }
    Tuner {
        #[prost(bool, optional, tag = "1")] enabled: Option<bool>,
        #[prost(int32, optional, tag = "2")] tuner_mode: Option<i32>,
        #[prost(message, optional, tag = "3")] power_target: Option<Power>,
    }
    Configuration {
        #[prost(message, repeated, tag = "1")] pool_groups: Vec<PoolGroupConfig>,
        #[prost(message, optional, tag = "3")] tuner: Option<Tuner>,
    }
}
