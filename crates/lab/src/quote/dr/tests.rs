use super::super::{Market, Share, made_up};
use super::*;
use units::Efficiency;

/// 1 MW, r = 40 $/MWh, starts for nothing.
fn site(columns: Vec<(&str, Vec<f64>)>) -> Dr {
    let mut dr = Dr::new(Hours::of("test", columns));
    dr.mining.market = Market::flag(HashPrice::new(0.04 * 24.0 * 20.0).unwrap());
    dr.mining.efficiency = Given::flag(Efficiency::new(20.0).unwrap());
    dr.mining.uptime = Given::flag(Share::ALL);
    dr.start_minutes = Given::flag(0.0);
    dr
}

fn close(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-9, "{got}, not {want}");
}

#[test]
fn machines_run_while_hashing_earns_more_than_power_costs() {
    let answer = site(vec![("price_usd_per_mwh", vec![30.0, 50.0, -10.0])]).answer().unwrap();
    close(answer.always_on.net(), 10.0 - 10.0 + 50.0);
    close(answer.by_price.net(), 10.0 + 50.0);
    close(answer.all.net(), 60.0);
    assert_eq!(answer.hours_off, 1);
}

#[test]
fn a_mean_price_misses_what_single_hours_bring() {
    // Mean 50 above r = 40: by the mean nothing is earned, by the hour 40.
    let answer = site(vec![("price_usd_per_mwh", vec![0.0, 100.0])]).answer().unwrap();
    close(answer.by_mean, 0.0);
    close(answer.all.net(), 40.0);
}

#[test]
fn capacity_goes_to_the_programme_that_pays_best_and_to_one_only() {
    let dr = site(vec![
        ("price_usd_per_mwh", vec![30.0, 30.0, 45.0, 45.0]),
        ("a_usd_per_mw", vec![3.0, 3.0, 3.0, 8.0]),
        ("a_call", vec![0.0, 0.0, 0.0, 0.0]),
        ("b_usd_per_mw", vec![2.0, 9.0, 0.0, 0.0]),
        ("b_call", vec![0.0, 1.0, 0.0, 0.0]),
    ]);
    let answer = dr.answer().unwrap();
    // 10 + 3; a at 13 beats b, which pays 9 and switches off; off; run at a loss of 5 to be paid 8.
    close(answer.gains[0], 3.0);
    close(answer.gains[1], 3.0);
    close(answer.gains[2], 5.0);
    close(answer.gains[3], 8.0);
    assert_eq!(answer.offered_mw, [1.0, 1.0, 0.0, 1.0]);
}

#[test]
fn what_is_promised_elsewhere_is_never_offered() {
    let mut dr = site(vec![
        ("price_usd_per_mwh", vec![30.0, 30.0]),
        ("a_usd_per_mw", vec![3.0, 3.0]),
        ("a_call", vec![0.0, 0.0]),
        ("promised_mw", vec![0.0, 0.5]),
    ]);
    dr.promised = Given::flag(Watts::new(0.25e6).unwrap());
    let answer = dr.answer().unwrap();
    assert_eq!(answer.offered_mw, [0.75, 0.25]);
    for (offered, promised) in answer.offered_mw.iter().zip(&answer.promised_mw) {
        assert!(offered + promised <= 1.0);
    }
    dr.promised = Given::flag(Watts::new(0.75e6).unwrap());
    let said = dr.answer().unwrap_err().to_string();
    assert!(said.starts_with("in hour 2 1.25 MW are promised elsewhere"), "{said}");
}

#[test]
fn nothing_is_promised_twice() {
    let mut dr = site(vec![
        ("price_usd_per_mwh", vec![30.0, 30.0]),
        ("a_usd_per_mw", vec![3.0, 3.0]),
        ("a_call", vec![0.0, 1.0]),
        ("b_usd_per_mw", vec![2.0, 2.0]),
        ("b_call", vec![0.0, 0.0]),
        ("promised_mw", vec![0.0, 0.2]),
    ]);
    let offer = |programme: &str, mw: f64| Offer {
        programme: programme.into(),
        power: Watts::new(mw * 1e6).unwrap(),
    };
    dr.offers = vec![offer("a", 0.5), offer("b", 0.3)];
    let answer = dr.answer().unwrap();
    // Hour 1: .5 x 3 + .3 x 2 and all runs. Hour 2: a is called: .5 stands still and loses 10 each.
    close(answer.gains[0], 2.1);
    close(answer.gains[1], 2.1 - 5.0);
    dr.offers = vec![offer("a", 0.5), offer("b", 0.4)];
    let said = dr.answer().unwrap_err().to_string();
    assert!(said.starts_with("in hour 2 0.9 MW are offered, but only 0.8 MW of 1 MW"), "{said}");
    dr.offers = vec![offer("a", 0.1), offer("a", 0.1)];
    assert!(dr.answer().unwrap_err().to_string().contains("offered twice"));
    dr.offers = vec![offer("c", 0.1)];
    let said = dr.answer().unwrap_err().to_string();
    assert_eq!(
        said,
        "test has no programme \"c\", which needs columns c_usd_per_mw and c_call; it has: a, b"
    );
}

#[test]
fn coincident_peaks_are_missed_where_they_were_to_be_feared() {
    let mut dr = site(vec![
        ("price_usd_per_mwh", vec![30.0; 4]),
        ("peak", vec![0.0, 1.0, 0.0, 0.0]),
        ("peak_warning", vec![1.0, 1.0, 0.0, 0.0]),
    ]);
    dr.peak_charge_per_kw_year = Given::flag(usd(100.0));
    let answer = dr.answer().unwrap();
    close(answer.always_on.peaks, 100_000.0);
    close(answer.all.peaks, 0.0);
    // Two hours of 10 are given up, one of them in vain.
    close(answer.all.net(), 20.0);
    // A peak nobody warned of is paid.
    let mut surprised = site(vec![
        ("price_usd_per_mwh", vec![30.0; 2]),
        ("peak", vec![1.0, 0.0]),
        ("peak_warning", vec![0.0, 1.0]),
    ]);
    surprised.peak_charge_per_kw_year = Given::flag(usd(100.0));
    close(surprised.answer().unwrap().all.peaks, 100_000.0);
}

#[test]
fn each_start_costs_the_hashing_it_takes() {
    let mut dr = site(vec![("price_usd_per_mwh", vec![50.0, 30.0, 50.0, 30.0])]);
    dr.start_minutes = Given::flag(15.0);
    let answer = dr.answer().unwrap();
    close(answer.all.starts, 2.0 * 40.0 * 0.25);
    close(answer.all.net(), 0.0);
}

#[test]
fn machines_that_were_called_start_again_at_their_owners_cost() {
    let mut dr = site(vec![
        ("price_usd_per_mwh", vec![30.0; 4]),
        ("a_usd_per_mw", vec![20.0; 4]),
        ("a_call", vec![0.0, 1.0, 1.0, 0.0]),
    ]);
    dr.start_minutes = Given::flag(15.0);
    let answer = dr.answer().unwrap();
    close(answer.all.starts, 40.0 * 0.25);
    assert_eq!(answer.hours_off, 0, "called, not off by choice");
    dr.offers = vec![Offer { programme: "a".into(), power: Watts::new(0.5e6).unwrap() }];
    close(dr.answer().unwrap().all.starts, 0.5 * 40.0 * 0.25);
}

#[test]
fn a_firm_bid_must_ask_for_what_hashing_earns_and_a_start() {
    let mut dr = site(vec![("price_usd_per_mwh", vec![30.0, 38.0, 50.0])]);
    dr.start_minutes = Given::flag(15.0);
    let least = dr.least_bid(dr.mining.market.hash_price().unwrap()).unwrap();
    close(least.usd_per_mwh(), 50.0);
    let higher = dr.least_bid(HashPrice::new(0.08 * 24.0 * 20.0).unwrap()).unwrap();
    close(higher.usd_per_mwh(), 100.0);
    dr.start_minutes = Given::flag(0.0);
    dr.bid = Some(Given::flag(EnergyPrice::per_mwh(35.0).unwrap()));
    // Off at 38, where hashing would have earned 2 more.
    close(dr.answer().unwrap().by_price.net(), 10.0);
    let finding = dr.report().unwrap().finding;
    assert!(finding.contains("is below what hashing and a start are worth"), "{finding}");
}

#[test]
fn a_made_up_year_is_decided_within_its_bounds_and_its_table_adds_up() {
    let dr = Dr::new(made_up::market(1));
    let answer = dr.answer().unwrap();
    assert!(answer.all.net() >= answer.by_price.net() - 1.0);
    assert!(answer.by_price.net() >= answer.always_on.net() - 1.0);
    let months: f64 = answer.months.iter().map(Year::net).sum();
    assert!((months - answer.all.net()).abs() < 1e-6);
    let gains: f64 = answer.gains.iter().sum();
    assert!((gains - (answer.all.net() - answer.always_on.net())).abs() < 1e-6);
    assert!(dr.report().unwrap().finding.contains("MADE UP"));
}

#[test]
fn a_year_with_wrong_columns_is_refused() {
    for (columns, said) in [
        (vec![("peak", vec![1.0])], "test: there is no column price_usd_per_mwh"),
        (
            vec![("price_usd_per_mwh", vec![1.0]), ("a_call", vec![0.0])],
            "test: there is no column a_usd_per_mw",
        ),
        (
            vec![
                ("price_usd_per_mwh", vec![1.0]),
                ("a_call", vec![2.0]),
                ("a_usd_per_mw", vec![1.0]),
            ],
            "test: a_call is 2 in hour 1; give 0 to 1",
        ),
        (
            vec![("price_usd_per_mwh", vec![1.0]), ("promised_mw", vec![-1.0])],
            "test: promised_mw is -1 in hour 1; give 0 or more",
        ),
    ] {
        let error = site(columns).answer().unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    let mut dr = site(vec![("price_usd_per_mwh", vec![1.0])]);
    dr.power = Given::flag(Watts::ZERO);
    assert!(dr.answer().is_err());
}
