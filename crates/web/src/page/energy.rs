//! The part of the page on power: what the site draws and why, heat, calls, the plan, the signals.

use crate::text;
use api::energy::{Energy, Event, Offer, Plan, Signal, Zone};
use maud::{Markup, html};

/// Steps of the plan in the table; the JSON has all.
const STEPS: usize = 12;

pub(super) fn energy(energy: &Energy) -> Markup {
    html! {
        @for warning in &energy.warnings {
            div.banner.warn role="alert" { strong { "Power" } p { (warning) } }
        }
        section.card {
            h2 { "Power" small { (energy.why) } }
            div.scroll { table {
                thead { tr {
                    th { "Bound by" }
                    th.n { "Target" }
                    th.n { "Drawn" }
                    th.n { "Connection" }
                    th.n { "Price" }
                    th.n.wide { "Hashing earns" }
                } }
                tbody { tr {
                    td { span.chip { (text::words(&energy.mode)) } }
                    td.n { (power(energy.target_w)) }
                    td.n {
                        (power(energy.drawn_w))
                        @if let Some(short) = energy.shortfall_w.filter(|short| *short > 0.0) {
                            small { (power(Some(short))) " short" }
                        }
                    }
                    td.n { (power(energy.net_w)) }
                    td.n { (price(energy.price_usd_per_kwh)) }
                    td.n.wide { (price(energy.hash_usd_per_kwh)) }
                } }
            } }
            @if !energy.heat.is_empty() {
                table {
                    thead { tr { th { "Heat" } th.n { "Is" } th.n { "Wanted" } th.n { "Asks" } } }
                    tbody { @for zone in &energy.heat { (heated(zone)) } }
                }
            }
            @if let Some(offer) = &energy.offer { (offered(offer)) }
            @if !energy.events.is_empty() {
                table {
                    thead { tr { th { "Call" } th { "State" } th.n { "At most" } } }
                    tbody { @for event in &energy.events { (call(event)) } }
                }
            }
        }
        @if let Some(plan) = &energy.plan { (planned(plan)) }
        @if !energy.signals.is_empty() {
            section.card {
                h2 { "Signals" small { "what is heard, and what is done without it" } }
                div.scroll { table {
                    thead { tr { th { "Signal" } th.n { "Value" } th.n { "Age" } th.wide { "If lost" } } }
                    tbody { @for signal in &energy.signals { (heard(signal)) } }
                } }
            }
        }
    }
}

fn heated(zone: &Zone) -> Markup {
    html! {
        tr {
            td { (zone.name) " " small { (zone.kind) } }
            td.n { (degrees(zone.temperature_c)) }
            td.n { (degrees(Some(zone.set_c))) }
            td.n { (power(zone.asks_w)) }
        }
    }
}

fn offered(offer: &Offer) -> Markup {
    let one = |watts, lasts: Option<u64>| {
        html! {
            (power(Some(watts)))
            " "
            small { @match lasts {
                Some(seconds) => { "for " (seconds / 60) " min" }
                None => "without end",
            } }
        }
    };
    html! {
        table {
            thead { tr { th { "Aggregator may ask" } th.n { "At least" } th.n { "Alone" } th.n { "At most" } } }
            tbody { tr {
                td { "net power" }
                td.n { (one(offer.lowest_w, offer.lowest_s)) }
                td.n { (power(Some(offer.own_w))) }
                td.n { (one(offer.highest_w, offer.highest_s)) }
            } }
        }
    }
}

fn call(event: &Event) -> Markup {
    html! {
        tr {
            td.mono { (text::shortened(&event.id, 24, 6)) }
            td { span.chip.warn[event.state == "running"] { (event.state) } }
            td.n { (power(event.limit_w)) }
        }
    }
}

fn planned(plan: &Plan) -> Markup {
    let cost = format!("{:.2} $", plan.cost_usd);
    html! {
        section.card {
            h2 {
                "Plan"
                small { "costs " (cost) }
                @if let Some(bound) = plan.bound_usd { small { "no plan below " (format!("{bound:.2} $")) } }
                @if plan.steps.len() > STEPS { small { "the next " (STEPS) " steps" } }
            }
            div.scroll { table {
                thead { tr { th { "In" } th.n { "Price" } th.n { "Power" } th.wide { "Why" } } }
                tbody {
                    @for step in plan.steps.iter().take(STEPS) {
                        tr {
                            td { (text::duration(step.starts_at.saturating_sub(plan.made_at))) }
                            td.n { (price(step.price_usd_per_kwh)) }
                            td.n { (power(Some(step.power_w))) }
                            td.wide { (step.why) }
                        }
                    }
                }
            } }
        }
    }
}

fn heard(signal: &Signal) -> Markup {
    let value = signal.value.map_or(text::UNKNOWN.into(), |value| {
        format!("{} {}", (value * 1e3).round() / 1e3, signal.unit)
    });
    html! {
        tr.away[signal.quality == "lost"] {
            td { (signal.name) " " @if signal.quality != "fresh" { span.chip.warn { (signal.quality) } } }
            td.n { (value) }
            td.n { (signal.age_s.map_or(text::UNKNOWN.into(), |age| text::duration(age as u64))) }
            td.wide { (signal.on_loss) }
        }
    }
}

fn price(usd: Option<f64>) -> String {
    usd.map_or(text::UNKNOWN.into(), |usd| format!("{:.1} ¢/kWh", usd * 100.0))
}

fn degrees(celsius: Option<f64>) -> String {
    celsius.map_or(text::UNKNOWN.into(), |celsius| format!("{celsius:.1} °C"))
}

/// Signed: negative flows out of the site.
fn power(watts: Option<f64>) -> String {
    match watts {
        None => text::UNKNOWN.into(),
        Some(watts) if watts.abs() >= 1e6 => format!("{:.2} MW", watts / 1e6),
        Some(watts) if watts.abs() >= 10_000.0 => format!("{:.1} kW", watts / 1e3),
        Some(watts) => format!("{watts:.0} W"),
    }
}
