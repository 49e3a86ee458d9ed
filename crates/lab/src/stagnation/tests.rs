use super::*;

fn farm(costs: &str) -> Farm {
    Farm {
        start_per_year: Given::flag(DAILY),
        decay_per_year: Given::flag(0.0),
        efficiency: Given::flag(Efficiency::new(17.5).unwrap()),
        costs: Given::flag(costs.parse().unwrap()),
        hash_price: Given::flag(HashPrice::new(38.2).unwrap()),
        block_value_growth: Given::flag(1.0),
    }
}

#[test]
fn daily_to_monthly_takes_about_a_decade_at_the_growth_of_today() {
    for (growth, years) in [(1.35, "11.4"), (1.5, "8.4"), (2.0, "4.9")] {
        assert_eq!(format!("{:.1}", years_until_monthly(growth).unwrap()), years);
        let outcome = farm("0.05").outcome(growth).unwrap();
        assert_eq!(outcome.years_until_monthly, years_until_monthly(growth));
    }
    assert_eq!(years_until_monthly(1.0), None);
}

#[test]
fn daily_to_monthly_within_a_year_happened_only_until_2014() {
    let within: Vec<u16> = GROWTH_BY_YEAR
        .iter()
        .filter(|y| years_until_monthly(y.factor).unwrap() <= 1.0)
        .map(|y| y.year)
        .collect();
    assert_eq!(within, [2010, 2011, 2013, 2014]);
    assert!(years_until_monthly(LARGEST_SINCE_2015).unwrap() > 1.0);
}

#[test]
fn within_a_year_is_a_doubling_every_74_days() {
    let report = report(&farm("0.05"), &Given::flag(vec![1.35])).unwrap();
    let speed = report.tables.iter().find(|t| t.name == "speed").unwrap();
    let texts: Vec<String> = speed.rows[0].iter().map(|cell| cell.text()).collect();
    assert_eq!(texts, ["30.4", "74", "0.94", "14"]);
}

#[test]
fn on_its_last_day_power_earns_what_it_costs() {
    let farm = farm("0.0555");
    let outcome = farm.outcome(1.35).unwrap();
    let years = outcome.years_until_stop.unwrap();
    assert!((farm.earns_per_kwh(years, 1.35).usd_per_kwh() - 0.0555).abs() < 1e-12);
    assert!((years - (0.090_952f64 / 0.0555).ln() / 1.35f64.ln()).abs() < 1e-4);
    assert!(farm.uptime(years - 0.01, 1.35) == 1.0 && farm.uptime(years + 0.01, 1.35) == 0.0);
    // Dilution alone has hardly begun.
    assert!(outcome.rate_at_stop.unwrap() > 200.0 && years < outcome.years_until_monthly.unwrap());
    assert_eq!(outcome.years_until_first_cut, outcome.years_until_stop);
}

#[test]
fn a_farm_with_two_prices_loses_the_dear_part_first() {
    let farm = farm("0.04:0.5,0.07:0.5");
    let outcome = farm.outcome(1.5).unwrap();
    let (first, last) = (outcome.years_until_first_cut.unwrap(), outcome.years_until_stop.unwrap());
    assert!(first < last);
    let between = (first + last) / 2.0;
    assert_eq!(farm.uptime(between, 1.5), 0.5);
    assert_eq!(farm.rate(between, 1.5), 0.5 * farm.diluted(between, 1.5));
    assert!((outcome.rate_at_stop.unwrap() / (0.5 * farm.diluted(last, 1.5)) - 1.0).abs() < 1e-12);
}

#[test]
fn the_rate_is_uptime_and_decay_over_growth() {
    let mut farm = farm("0");
    farm.decay_per_year = Given::flag(0.1);
    let rate = farm.rate(3.0, 1.35);
    assert!((rate / (365.0 * 0.9f64.powi(3) / 1.35f64.powi(3)) - 1.0).abs() < 1e-12);
    let outcome = farm.outcome(1.35).unwrap();
    // Free power is never cut off, but all blocks of eternity have a sum.
    assert_eq!((outcome.years_until_stop, outcome.rate_at_stop), (None, None));
    let days = (0..200_000).map(|d| farm.rate((f64::from(d) + 0.5) / 365.0, 1.35) / 365.0);
    assert!((days.sum::<f64>() / outcome.blocks_in_all.unwrap() - 1.0).abs() < 1e-6);
}

#[test]
fn growth_of_a_blocks_worth_holds_the_cliff_back() {
    let mut farm = farm("0.0555");
    farm.block_value_growth = Given::flag(1.35);
    let outcome = farm.outcome(1.35).unwrap();
    assert_eq!((outcome.years_until_first_cut, outcome.years_until_stop), (None, None));
    assert!(outcome.years_until_monthly.is_some());
    farm.block_value_growth = Given::flag(0.5);
    assert!(farm.outcome(1.0).unwrap().years_until_stop.unwrap() < 1.0);
}

#[test]
fn a_farm_that_never_pays_stops_at_once() {
    let outcome = farm("0.2").outcome(1.35).unwrap();
    assert_eq!((outcome.years_until_stop, outcome.rate_at_stop), (Some(0.0), Some(0.0)));
    assert_eq!(outcome.blocks_in_all, Some(0.0));
    let said = report(&farm("0.2"), &Given::flag(vec![1.35])).unwrap().finding;
    assert!(said.contains("does not pay from the start"), "{said}");
}

#[test]
fn the_claim_is_judged_in_the_finding() {
    let growths = Given::flag(vec![1.35, 2.0, 34.4]);
    let report = report(&farm("0.0555"), &growths).unwrap();
    for says in
        ["30.4-fold", "2010, 2011, 2013 and 2014, and not since", "11.4 years", "power bill"]
    {
        assert!(report.finding.contains(says), "{}", report.finding);
    }
    assert!(report.to_svg().unwrap().contains("one a month"));
    assert!(!report.to_text(Some(100)).contains("NaN"));
}

#[test]
fn bad_input_is_one_sentence() {
    let with = |change: &dyn Fn(&mut Farm)| {
        let mut farm = farm("0.05");
        change(&mut farm);
        farm.outcome(1.35).unwrap_err().to_string()
    };
    let paid = with(&|f| f.costs = Given::flag("0.04:0.5,-0.01:0.5".parse().unwrap()));
    assert!(paid.starts_with("the power price is -0.0100 $/kWh"), "{paid}");
    assert!(with(&|f| f.start_per_year = Given::flag(0.0)).contains("blocks a year"));
    assert!(with(&|f| f.start_per_year = Given::flag(f64::NAN)).contains("blocks a year"));
    assert!(with(&|f| f.decay_per_year = Given::flag(1.0)).contains("less than 1"));
    assert!(with(&|f| f.block_value_growth = Given::flag(-1.0)).contains("worth"));
    for growth in [0.0, -2.0, f64::NAN, f64::INFINITY] {
        assert!(farm("0.05").outcome(growth).is_err());
    }
    assert!(report(&farm("0.05"), &Given::flag(vec![])).is_err());
}
