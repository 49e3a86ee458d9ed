//! Predictive heat against a PI and a dumb thermostat over a season: a room, a tank and a pool of the
//! twin, which is richer than the model that the plan has. Weather, prices and taps are made up from a
//! seed.
//!
//! Comfort is made equal first, then costs are compared. The dumb thermostat switches full power with
//! a hysteresis, within the times and starts of machines or without: of those that are as warm as
//! wanted and miss no hygienic cycle, the cheapest counts. PI, with the cheapest of some gains, is then
//! tuned to be no colder than that, and predictive control no colder than PI.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod bodies;
mod hygiene;
mod run;
mod tune;

use bodies::{Season, Twin};
use hearth_dispatch::heat::Heater;
use run::{Kind, Outcome};
use twin::energy::Prices;
use units::{Celsius, Efficiency, EnergyPrice, HashPrice, Watts};

#[test]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_room_for_two_weeks() {
    compare(&Season::room(14, 7));
}

#[test]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_tank_for_two_weeks() {
    compare(&Season::tank(14, 7));
}

#[test]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_pool_for_two_weeks() {
    compare(&Season::pool(14, 7));
}

#[test]
#[ignore = "minutes; `cargo test -p hearth-dispatch --release --test season -- --ignored --nocapture`"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_room_from_october_to_april() {
    (1..=3).for_each(|seed| compare(&Season::room(212, seed)));
}

#[test]
#[ignore = "minutes; `cargo test -p hearth-dispatch --release --test season -- --ignored --nocapture`"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_tank_from_october_to_april_1() {
    compare(&Season::tank(212, 1));
}

#[test]
#[ignore = "minutes; `cargo test -p hearth-dispatch --release --test season -- --ignored --nocapture`"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_tank_from_october_to_april_2() {
    compare(&Season::tank(212, 2));
}

#[test]
#[ignore = "minutes; `cargo test -p hearth-dispatch --release --test season -- --ignored --nocapture`"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_tank_from_october_to_april_3() {
    compare(&Season::tank(212, 3));
}

#[test]
#[ignore = "minutes; `cargo test -p hearth-dispatch --release --test season -- --ignored --nocapture`"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_pool_from_may_to_september() {
    (1..=3).for_each(|seed| compare(&Season::pool(153, seed)));
}

#[test]
fn a_season_at_a_flat_price_costs_c_less_r_as_the_published_coefficient_says() {
    // analysis.md, section 7: c, r or (hash price, J/TH), net cost, effective coefficient.
    for (price, earned, net, cop) in [
        (0.09, 0.041, 0.049, Some(1.837)),
        (0.08, 38.2 / (24.0 * 17.5), -0.011, None),
        (0.12, 38.2 / (24.0 * 17.5), 0.029, Some(4.13)),
        (0.16, 38.2 / (24.0 * 17.5), 0.069, Some(2.32)),
        (0.16, 30.0 / (24.0 * 21.5), 0.102, Some(1.57)),
    ] {
        let mut season = Season::room(30, 7);
        let efficiency = Efficiency::new(20.0).unwrap();
        let curve = [watts(1500.0), watts(6000.0)].map(|power| (power, efficiency));
        let hash_price = HashPrice::new(earned * 24.0 * 20.0).unwrap();
        season.heater = Heater::new(Watts::ZERO, &curve, hash_price).unwrap();
        season.prices = Prices::made_up(EnergyPrice::per_kwh(price).unwrap(), 0.0, 24 * 40, 1);
        season.boots = false;
        let outcome = season.run(Kind::Pi { gain: 1500.0, reset_h: 3.0 }, 20.0);
        let per_kwh = outcome.cost / outcome.kwh;
        assert!((per_kwh - net).abs() < 0.0005, "{price}: {per_kwh}");
        if let Some(cop) = cop {
            assert!((price / per_kwh - cop).abs() < 0.005, "{price}: {}", price / per_kwh);
        }
    }
}

/// Makes all controls equally comfortable, and compares what they cost.
fn compare(season: &Season) {
    println!("{}, {} days, seed {}", season.name, season.days, season.seed);
    let wanted = season.cold_per_day * season.days as f64;
    let bands = || season.bands_k.iter();
    let thermostats = [
        season.cheapest(bands().map(|&band_k| Kind::Dumb { band_k }), wanted),
        season.cheapest(bands().map(|&band_k| Kind::Unlimited { band_k }), wanted),
    ];
    for (kind, outcome) in thermostats.iter().flatten() {
        print(season, *kind, outcome);
    }
    let able = thermostats.into_iter().flatten();
    let dumb = able.min_by(|a, b| a.1.cost.total_cmp(&b.1.cost)).expect("no thermostat is able");
    let pis = season.pis.iter().map(|&(gain, reset_h)| Kind::Pi { gain, reset_h });
    // Where all can be tuned to the same, nobody is to be warmer than the one before.
    let no_colder = |than: &Outcome| if season.equal { wanted } else { than.cold };
    let pi = season.cheapest(pis, no_colder(&dumb.1)).expect("no PI is as comfortable");
    print(season, pi.0, &pi.1);
    let predictive =
        season.cheapest([Kind::Predictive], no_colder(&pi.1)).expect("nor is predictive");
    print(season, predictive.0, &predictive.1);
    for (kind, outcome) in [pi, predictive] {
        assert!(outcome.starts <= 6 * season.days, "{kind:?}: {outcome:?}");
    }
    if matches!(season.twin, Twin::Tank(..)) {
        // Hygienic cycles take the outlet to its limit, and none to the cut.
        for (kind, outcome) in [dumb, pi, predictive] {
            assert!(outcome.limited > 0 && outcome.outlet < 68.0, "{kind:?}: {outcome:?}");
        }
    }
    let [dumb, pi, predictive] = [dumb, pi, predictive].map(|(_, outcome)| outcome.cost);
    println!(
        "  predictive costs {:.1} % less than PI; PI {:.1} % less than dumb",
        100.0 * (pi - predictive) / pi.abs(),
        100.0 * (dumb - pi) / dumb.abs()
    );
    assert!(predictive < pi && pi < dumb, "{dumb} {pi} {predictive}");
}

fn print(season: &Season, kind: Kind, outcome: &Outcome) {
    println!(
        "  {kind:?}: set {:.2} °C, {:.1} {} below {:.0} °C, {:.1} K h above {:.0} °C, mean {:.2} °C, \
         outlet up to {:.1} °C, limited for {} minutes, {:.0} kWh, paid ${:.2}, earned ${:.2}, net ${:.2} ({:.4} $/kWh), {:.1} starts/day",
        outcome.set,
        outcome.cold,
        if season.name == "tank" { "K kWh" } else { "K h" },
        season.comfort,
        outcome.hot,
        season.hot,
        outcome.mean,
        outcome.outlet,
        outcome.limited,
        outcome.kwh,
        outcome.paid,
        outcome.paid - outcome.cost,
        outcome.cost,
        outcome.cost / outcome.kwh,
        outcome.starts as f64 / season.days as f64,
    );
}

fn watts(value: f64) -> Watts {
    Watts::new(value).unwrap()
}

fn c(value: f64) -> Celsius {
    Celsius::new(value).unwrap()
}
