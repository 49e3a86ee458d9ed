//! What became of the farm, as a table for people.

use super::Report;
use units::Hashrate;

pub(super) fn show(tree: &api::Fleet, report: &Report) {
    println!(
        "\n{:<18} {:<12} {:<15} {:>12} {:>12} {:>10}  steered by",
        "machine", "address", "firmware", "verified", "it says", "power"
    );
    let rate = |ths: Option<f64>| {
        ths.map_or("–".into(), |ths| Hashrate::from_hashes_per_second(ths * 1e12).to_string())
    };
    for (row, device) in report.farm.iter().zip(&tree.devices) {
        println!(
            "{:<18} {:<12} {:<15} {:>12} {:>12} {:>10}  {}",
            device.model.as_deref().unwrap_or(&row.name),
            row.address,
            row.firmware,
            rate(device.verified_ths),
            rate(device.reported_ths),
            device.power_w.map_or("–".into(), |watts| format!("{watts:.1} W")),
            match device.outcome_last.as_deref() {
                Some(outcome) => format!("{}, last {outcome}", row.control),
                None => row.control.clone(),
            },
        );
    }
    for warning in &tree.warnings {
        println!("warning: {warning}");
    }
    println!(
        "{} machines found; commands: {} read back, {} refused, {} without an answer.",
        report.devices_found,
        report.commands_verified,
        report.commands_refused,
        report.commands_unknown
    );
    if let Some(before) = report.tuner_j_per_th_before {
        match report.tuner_j_per_th_after {
            Some(after) => {
                println!("Tuned by verified work: {before:.2} J/TH before, {after:.2} after.")
            }
            None => {
                println!("Tuned by verified work: {before:.2} J/TH before, nothing better yet.")
            }
        }
    }
}
