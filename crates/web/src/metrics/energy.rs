//! Families of power: decision, signals, heat.

use super::Exposition;
use api::energy::Energy;

pub(super) fn energy(out: &mut Exposition, energy: &Energy) {
    for (name, help, value) in [
        ("hearth_energy_target_watts", "What steerable loads are to draw.", energy.target_w),
        ("hearth_energy_set_watts", "Sum of the set-points.", energy.set_w),
        ("hearth_energy_drawn_watts", "What steerable loads draw.", energy.drawn_w),
        ("hearth_energy_net_watts", "Power into the site; negative flows out.", energy.net_w),
        ("hearth_energy_shortfall_watts", "Asked for and not to be had.", energy.shortfall_w),
        ("hearth_energy_price_usd_per_kwh", "Price of electricity.", energy.price_usd_per_kwh),
        ("hearth_energy_hash_usd_per_kwh", "What hashing earns.", energy.hash_usd_per_kwh),
    ] {
        out.one(name, "gauge", help, value);
    }
    let warnings = energy.warnings.len() as f64;
    out.one("hearth_energy_warnings", "gauge", "Warnings on power.", Some(warnings));
    out.family("hearth_energy_mode", "gauge", "1 for the mode that binds the site's power.");
    out.sample(&[("mode", &energy.mode)], Some(1.0));
    out.family("hearth_energy_signal", "gauge", "Signals, in their own units.");
    for signal in &energy.signals {
        out.sample(&[("signal", &signal.name), ("unit", &signal.unit)], signal.value);
    }
    out.family("hearth_energy_signal_age_seconds", "gauge", "Time since the signal was read.");
    for signal in &energy.signals {
        out.sample(&[("signal", &signal.name)], signal.age_s);
    }
    out.family("hearth_energy_heat_celsius", "gauge", "Rooms, tanks and pools.");
    for zone in &energy.heat {
        out.sample(&[("zone", &zone.name)], zone.temperature_c);
    }
    if let Some(evidence) = &energy.evidence {
        let records = evidence.records as f64;
        out.one("hearth_evidence_records", "gauge", "Signed records kept.", Some(records));
    }
}
