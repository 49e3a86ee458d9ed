//! Families of machines and circuits.

use super::Exposition;
use api::fleet::{Device, Fleet};

/// Machines with samples of their own; each has eight series.
const MAX_DEVICES: usize = 1000;

pub(super) fn fleet(out: &mut Exposition, fleet: &Fleet) {
    out.one("hearth_fleet_devices", "gauge", "Machines that are known.", Some(fleet.found as f64));
    out.one("hearth_fleet_online", "gauge", "Machines that answer.", Some(fleet.online as f64));
    let warnings = fleet.warnings.len() as f64;
    out.one("hearth_fleet_warnings", "gauge", "Warnings on machines.", Some(warnings));
    out.family("hearth_fleet_commands_total", "counter", "Commands, by what became of them.");
    let commands = fleet.commands;
    for (outcome, count) in [
        ("verified", commands.verified),
        ("accepted", commands.accepted),
        ("refused", commands.refused),
        ("unknown", commands.unknown),
    ] {
        out.sample(&[("outcome", outcome)], Some(count as f64));
    }
    type Value = fn(&Device) -> Option<f64>;
    let devices: [(&str, &str, Value); 8] = [
        ("hearth_fleet_device_up", "Whether the machine answers.", |device| {
            Some(f64::from(device.presence == "online"))
        }),
        ("hearth_fleet_device_mining", "Whether it is set to hash.", |device| {
            device.mining.map(f64::from)
        }),
        ("hearth_fleet_device_power_watts", "Power by the best source.", |device| device.power_w),
        ("hearth_fleet_device_power_error_watts", "One standard error of it.", |device| {
            device.power_error_w
        }),
        (
            "hearth_fleet_device_reported_hashes_per_second",
            "Hashrate that the machine claims.",
            |device| device.reported_ths.map(|ths| ths * 1e12),
        ),
        (
            "hearth_fleet_device_verified_hashes_per_second",
            "Hashrate that its shares prove.",
            |device| device.verified_ths.map(|ths| ths * 1e12),
        ),
        ("hearth_fleet_device_chip_celsius", "Its hottest chip.", |device| device.chip_c),
        ("hearth_fleet_device_age_seconds", "Time since it last answered.", |device| {
            device.age_s.map(|age| age as f64)
        }),
    ];
    for (name, help, value) in devices {
        out.family(name, "gauge", help);
        for device in fleet.devices.iter().take(MAX_DEVICES) {
            let model = device.model.as_deref().unwrap_or("");
            out.sample(&[("id", &device.id), ("model", model)], value(device));
        }
    }
    for (name, help) in [
        ("hearth_fleet_circuit_limit_watts", "What the circuit carries for ever."),
        ("hearth_fleet_circuit_power_watts", "Sum of what hangs on it."),
        ("hearth_fleet_circuit_metered_watts", "Power by its own meter."),
    ] {
        out.family(name, "gauge", help);
        for circuit in &fleet.circuits {
            let value = match name {
                "hearth_fleet_circuit_limit_watts" => Some(circuit.limit_w),
                "hearth_fleet_circuit_power_watts" => circuit.power_w,
                _ => circuit.metered_w,
            };
            out.sample(&[("circuit", &circuit.name)], value);
        }
    }
}
