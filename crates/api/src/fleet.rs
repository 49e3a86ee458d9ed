//! Machines: who they are, what they prove and draw, what feeds them, what became of commands.

use serde::{Deserialize, Serialize};

/// All machines.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Fleet {
    /// Machines that are known.
    pub found: u64,
    /// Of these, answering now.
    pub online: u64,
    /// By name.
    pub devices: Vec<Device>,
    /// By name.
    pub circuits: Vec<Circuit>,
    /// Since the program was started.
    pub commands: Commands,
    /// What somebody should look at, one sentence each.
    pub warnings: Vec<String>,
}

/// One machine. What is unknown is null, never zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Device {
    /// Its name for ever: `mac:…`, `sn:…`, `worker:…` or `name:…`.
    pub id: String,
    /// Which machine of the catalogue it is, or what it says of itself.
    pub model: Option<String>,
    /// What runs on it.
    pub firmware: String,
    /// Address of its control.
    pub address: Option<String>,
    /// Full Stratum names that it mines under.
    pub workers: Vec<String>,
    /// `online`, `late` or `offline`.
    pub presence: String,
    /// By what it is steered: `firmware`, `switch` or `stratum`.
    pub control: String,
    /// What feeds it.
    pub circuit: Option<String>,
    /// Whether it hashes, as it was last seen set.
    pub mining: Option<bool>,
    /// Power by the best source, W.
    pub power_w: Option<f64>,
    /// One standard error of it, W.
    pub power_error_w: Option<f64>,
    /// `meter`, `firmware`, `operator` or `nameplate`.
    pub power_source: Option<String>,
    /// What it says that it hashes at, TH/s.
    pub reported_ths: Option<f64>,
    /// What its shares prove, TH/s.
    pub verified_ths: Option<f64>,
    /// One standard error of it, TH/s.
    pub verified_error_ths: Option<f64>,
    /// Hottest chip, °C.
    pub chip_c: Option<f64>,
    /// Seconds since it last answered.
    pub age_s: Option<u64>,
    /// What became of the last command: `verified`, `accepted`, `refused` or `unknown`.
    pub outcome_last: Option<String>,
    /// While it is tuned, and after.
    pub tuning: Option<Tuning>,
}

/// How a machine is tuned.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tuning {
    /// For what.
    pub goal: String,
    /// `tuning` or `found`.
    pub phase: String,
    /// By verified work before anything was changed, J/TH.
    pub j_per_th_before: Option<f64>,
    /// By verified work at the best setting so far, J/TH.
    pub j_per_th_now: Option<f64>,
}

/// One breaker, PDU, phase or site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Circuit {
    /// Its name.
    pub name: String,
    /// What feeds it.
    pub feeds_from: Option<String>,
    /// What it carries for ever, W.
    pub limit_w: f64,
    /// Sum of its machines by their best sources and of what else hangs there, W; unknown while one of
    /// them is.
    pub power_w: Option<f64>,
    /// The most that may be drawn at any instant of what is under way, W.
    pub committed_w: Option<f64>,
    /// By its own meter, W.
    pub metered_w: Option<f64>,
}

/// Commands by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Commands {
    /// Read back, and so.
    pub verified: u64,
    /// Taken, not seen.
    pub accepted: u64,
    /// Not done.
    pub refused: u64,
    /// No answer that says either.
    pub unknown: u64,
}

impl Device {
    /// Joules per terahash by proven work.
    pub fn j_per_th(&self) -> Option<f64> {
        let (power, rate) = (self.power_w?, self.verified_ths?);
        (rate > 0.0).then(|| power / rate)
    }
}
