//! The part of the page on machines and what feeds them.

use super::MAX_WORKERS;
use crate::text;
use api::fleet::{Circuit, Device, Fleet};
use maud::{Markup, html};

pub(super) fn fleet(fleet: &Fleet) -> Markup {
    html! {
        @for warning in &fleet.warnings {
            div.banner.warn role="alert" { strong { "Machines" } p { (warning) } }
        }
        section.card {
            h2 {
                "Machines"
                small { (text::count(fleet.online)) " of " (text::count(fleet.found)) " answer" }
                @if fleet.devices.len() > MAX_WORKERS { small { "the first " (MAX_WORKERS) "; all in the JSON" } }
            }
            @if fleet.devices.is_empty() {
                p.empty { "None found yet." }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th { "Machine" }
                        th.n { "Verified" }
                        th.n.wide { "It says" }
                        th.n { "Power" }
                        th.n { "J/TH" }
                        th.n.wide { "Chip" }
                        th.wide { "Circuit" }
                        th { "Steered by" }
                    } }
                    tbody { @for device in fleet.devices.iter().take(MAX_WORKERS) { (row(device)) } }
                } }
            }
        }
        @if !fleet.circuits.is_empty() {
            section.card {
                h2 { "Circuits" small { "power and what each carries" } }
                div.results { @for circuit in &fleet.circuits { (bar(circuit)) } }
            }
        }
    }
}

fn row(device: &Device) -> Markup {
    let name = device.model.as_deref().unwrap_or(&device.firmware);
    let offline = device.presence == "offline";
    let late = device.presence == "late";
    let steered = match &*device.control {
        "stratum" => "Stratum only",
        "switch" => "a switch",
        _ => device.firmware.as_str(),
    };
    html! {
        tr.away[offline] {
            td.name title=(device.id) {
                strong { (text::shortened(name, 40, 0)) }
                @if offline || late { " " span.chip { (device.presence) } }
                @if device.mining == Some(false) { " " span.chip { "paused" } }
                @if let Some(tuning) = &device.tuning {
                    " " span.chip.good { (tuning.phase) " for " (tuning.goal) }
                }
                small.mono { (device.address.as_deref().unwrap_or(&device.id)) }
            }
            td.n {
                (rate(device.verified_ths))
                @if let Some(error) = device.verified_error_ths { small { "± " (rate(Some(error))) } }
            }
            td.n.wide { (rate(device.reported_ths)) }
            td.n title=[&device.power_source] {
                (watts(device.power_w))
                @if let Some(error) = device.power_error_w { small { "± " (watts(Some(error))) } }
            }
            td.n { (device.j_per_th().map_or(text::UNKNOWN.into(), |value| format!("{value:.1}"))) }
            td.n.wide { (device.chip_c.map_or(text::UNKNOWN.into(), |chip| format!("{chip:.0} °C"))) }
            td.wide { (device.circuit.as_deref().unwrap_or(text::UNKNOWN)) }
            td { span.chip.warn[device.control == "stratum"] { (steered) } }
        }
    }
}

fn bar(circuit: &Circuit) -> Markup {
    let power = circuit.metered_w.or(circuit.power_w);
    let part = power
        .filter(|_| circuit.limit_w > 0.0)
        .map_or(0.0, |power| power / circuit.limit_w * 100.0);
    let kind = if part > 100.0 { "fill-bad" } else { "fill-good" };
    html! {
        span { (circuit.name) }
        svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
            rect class=(kind) width=(part.clamp(0.0, 100.0)) height="4" {}
        }
        span.n { (watts(power)) }
        span.n.note { "of " (watts(Some(circuit.limit_w))) }
    }
}

fn rate(ths: Option<f64>) -> String {
    text::hashrate(ths)
}

fn watts(watts: Option<f64>) -> String {
    match watts {
        None => text::UNKNOWN.into(),
        Some(watts) if watts >= 10_000.0 => format!("{:.1} kW", watts / 1e3),
        Some(watts) if watts >= 100.0 => format!("{watts:.0} W"),
        Some(watts) => format!("{watts:.1} W"),
    }
}
