use super::*;
use units::Ratio;

fn w(watts: f64) -> NetWatts {
    NetWatts::new(watts).unwrap()
}

fn hold(watts: f64, lasts: Option<u64>) -> Hold {
    Hold { power: w(watts), lasts: lasts.map(Duration::from_secs) }
}

fn at_will(power: f64, own: f64, most: f64) -> Report {
    Report {
        power: w(power),
        own: w(own),
        lowest: hold(0.0, None),
        highest: hold(most, None),
        step: None,
        opted_out: false,
    }
}

/// No control group, and no home is told ahead of the others for it.
fn setup() -> Setup {
    Setup { control: Ratio::NONE, ..Setup::default() }
}

/// Steps at `second`, with `n` homes that report just before.
struct Run {
    aggregate: Aggregate,
    reports: Vec<Report>,
    second: u64,
}

impl Run {
    fn new(setup: Setup, reports: Vec<Report>) -> Self {
        Self { aggregate: Aggregate::new(setup), reports, second: 0 }
    }

    fn step(&mut self, wanted: Option<f64>) -> Step {
        self.second += 4;
        let now = Moment::from_secs(self.second);
        for (at, report) in self.reports.iter().enumerate() {
            self.aggregate.hear(now, &format!("home-{at}"), *report).unwrap();
        }
        self.aggregate.step(now, UnixTime(1_800_000_000 + self.second), wanted.map(w))
    }

    /// As told, at once.
    fn obey(&mut self, step: &Step, who: impl Fn(usize) -> bool) {
        for order in &step.orders {
            let at: usize = order.home.strip_prefix("home-").unwrap().parse().unwrap();
            if who(at) {
                let report = &mut self.reports[at];
                report.power = order.power.unwrap_or(report.own);
            }
        }
    }
}

fn told(step: &Step, home: &str) -> Option<Option<f64>> {
    let order = step.orders.iter().find(|order| &*order.home == home)?;
    Some(order.power.map(NetWatts::get))
}

#[test]
fn what_is_wanted_is_shared_by_flexibility_and_told_once() {
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 1000.0), at_will(3e3, 3e3, 3e3)]);
    let step = run.step(Some(2000.0));
    assert_eq!(step.telemetry.wanted, Some(w(2000.0)));
    assert!((told(&step, "home-0").unwrap().unwrap() - 500.0).abs() < 0.01);
    assert!((told(&step, "home-1").unwrap().unwrap() - 1500.0).abs() < 0.01);
    assert!(step.telemetry.shortfall.get().abs() < 0.01);
    assert_eq!(step.telemetry.down[0].get(), 4000.0);
    run.obey(&step, |_| true);
    let next = run.step(Some(2000.0));
    assert!(next.orders.is_empty(), "{:?}", next.orders);
    assert!(next.telemetry.drawn.get() - 2000.0 < 0.01);
    let sequences = (step.orders[0].sequence, run.step(None).orders[0].sequence);
    assert!(sequences.0 < sequences.1);
}

#[test]
fn what_cannot_be_had_is_said() {
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 2000.0)]);
    assert_eq!(run.step(Some(-500.0)).telemetry.shortfall.get(), 500.0);
    assert_eq!(run.step(Some(5000.0)).telemetry.shortfall.get(), -3000.0);
    assert_eq!(run.step(Some(1500.0)).telemetry.shortfall.get().round(), 0.0);
}

#[test]
fn orders_are_renewed_before_they_end_and_no_longer_than_comfort_lasts() {
    let mut report = at_will(1000.0, 1000.0, 1000.0);
    report.lowest = hold(0.0, Some(60));
    let mut run = Run::new(setup(), vec![report]);
    let step = run.step(Some(0.0));
    assert_eq!((told(&step, "home-0"), step.orders[0].valid.as_secs()), (Some(Some(0.0)), 60));
    let step = Run::new(setup(), vec![report]).step(Some(750.0));
    assert_eq!(step.orders[0].valid, setup().valid, "a quarter lasts four times as long");
    report.lowest = hold(0.0, Some(15));
    let step = Run::new(setup(), vec![report]).step(Some(0.0));
    assert!(step.orders.is_empty() && step.telemetry.shortfall.get() == 1000.0);
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 1000.0)]);
    let mut end = 0;
    for _ in 0..100 {
        let step = run.step(Some(600.0));
        run.obey(&step, |_| true);
        for order in &step.orders {
            end = run.second + order.valid.as_secs();
        }
        assert!(end > run.second, "no gap");
    }
}

#[test]
fn who_opts_out_is_given_back_at_the_next_step_and_the_others_take_over() {
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 1000.0); 4]);
    let step = run.step(Some(2000.0));
    run.obey(&step, |_| true);
    run.reports[2].opted_out = true;
    run.reports[2].power = w(1000.0);
    let step = run.step(Some(2000.0));
    assert_eq!(told(&step, "home-2"), Some(None));
    assert_eq!(step.telemetry.homes.opted_out, 1);
    assert!((told(&step, "home-0").unwrap().unwrap() - 1000.0 / 3.0).abs() < 1.0);
    let step = run.step(Some(2000.0));
    assert_eq!(told(&step, "home-2"), None);
}

#[test]
fn one_that_does_not_do_as_told_counts_as_what_it_draws_until_it_does() {
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 1000.0); 5]);
    for _ in 0..40 {
        let step = run.step(Some(2500.0));
        run.obey(&step, |at| at != 0);
    }
    let step = run.step(Some(2500.0));
    assert_eq!((step.telemetry.homes.astray, step.telemetry.homes.ready), (1, 4));
    assert!((step.telemetry.drawn.get() - 2500.0).abs() < 25.0, "{}", step.telemetry.drawn);
    let order = run.aggregate.homes[0].order.unwrap();
    assert!(order.power < 600.0, "it is still told its part: {}", order.power);
    run.reports[0].power = w(order.power);
    for _ in 0..10 {
        let step = run.step(Some(2500.0));
        run.obey(&step, |_| true);
    }
    let step = run.step(Some(2500.0));
    assert_eq!(step.telemetry.homes.ready, 5);
    assert!((step.telemetry.drawn.get() - 2500.0).abs() < 25.0, "{}", step.telemetry.drawn);
}

#[test]
fn a_silent_home_holds_its_order_until_that_ends_and_is_then_its_own() {
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 1000.0); 2]);
    let step = run.step(Some(1000.0));
    run.obey(&step, |_| true);
    run.step(Some(1000.0));
    let one = run.reports[1];
    let mut expected = Vec::new();
    for _ in 0..50 {
        run.second += 4;
        let now = Moment::from_secs(run.second);
        run.aggregate.hear(now, "home-1", one).unwrap();
        let utc = UnixTime(1_800_000_000 + run.second);
        let step = run.aggregate.step(now, utc, Some(w(1000.0)));
        if step.telemetry.homes.silent == 1 {
            expected.push(step.telemetry.drawn.get() - one.power.get());
            assert!(told(&step, "home-0").is_none(), "nobody talks to the deaf");
        }
    }
    assert!((expected[0] - 500.0).abs() < 1.0, "{expected:?}");
    assert_eq!(*expected.last().unwrap(), 1000.0);
}

#[test]
fn the_trim_makes_up_for_homes_that_all_miss_by_a_little() {
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 1000.0); 10]);
    let mut drawn = 0.0;
    for _ in 0..60 {
        let step = run.step(Some(5000.0));
        run.obey(&step, |_| true);
        for at in 0..10 {
            if let Some(order) = run.aggregate.homes[at].order {
                run.reports[at].power = w(order.power + 40.0);
            }
        }
        drawn = step.telemetry.drawn.get();
    }
    assert!((drawn - 5000.0).abs() < 15.0, "{drawn}: 400 W too much without trim");
}

#[test]
fn who_gave_while_others_were_away_rests_when_they_are_back() {
    let mut run = Run::new(setup(), vec![at_will(1000.0, 1000.0, 1000.0); 2]);
    run.reports[1].opted_out = true;
    for _ in 0..900 {
        let step = run.step(Some(1000.0));
        run.obey(&step, |_| true);
    }
    run.reports[1].opted_out = false;
    let step = run.step(Some(1000.0));
    let (worker, rested) = (run.aggregate.homes[0].given[0], run.aggregate.homes[1].given[0]);
    assert!(worker > 0.9 && rested < 0.1, "an hour of all: {worker} and {rested}");
    let power = told(&step, "home-1").unwrap().unwrap();
    assert!(power < 500.0, "{power}");
}

#[test]
fn an_interval_is_accounted_for_by_the_control_group_and_adds_up() {
    let setup = Setup { control: Ratio::new(0.2).unwrap(), least_control: 2, ..Setup::default() };
    let mut run = Run::new(setup, (0..50).map(|_| at_will(1000.0, 1000.0, 1000.0)).collect());
    let mut closed = None;
    for _ in 0..300 {
        let step = run.step(Some(30_000.0));
        run.obey(&step, |_| true);
        closed = step.closed.or(closed);
    }
    let mut closed = closed.unwrap();
    let count = |part| closed.records.iter().filter(|record| record.part == part).count();
    assert_eq!((count(Part::Control), count(Part::Steered)), (10, 40));
    // 20 kW for five minutes.
    let delivered = closed.delivered.unwrap();
    assert!((delivered.energy.get() - 20_000.0 / 12.0).abs() < 5.0, "{}", delivered.energy);
    let of_homes: i64 = closed.records.iter().filter_map(|record| record.delivered_wh).sum();
    assert_eq!(of_homes, delivered.energy.get().round() as i64);
    assert!((closed.wanted.unwrap().get() - 2500.0).abs() < 1e-6);
    assert!((closed.drawn.get() - 2500.0).abs() < 5.0);
    assert_eq!(closed.pay(units::Sats(1_000_003)), units::Sats(0));
    assert_eq!(closed.records.iter().map(|record| record.paid.0).sum::<u64>(), 1_000_003);
    let control = closed.records.iter().find(|record| record.part == Part::Control).unwrap();
    assert_eq!((control.paid.0, control.delivered_wh, control.metered_wh), (0, None, Some(83)));
}

#[test]
fn a_report_that_contradicts_itself_and_one_home_too_many_are_refused() {
    let mut aggregate = Aggregate::new(Setup { most: 1, ..setup() });
    let now = Moment::from_secs(1);
    let bad = at_will(1000.0, 2000.0, 1000.0);
    assert_eq!(aggregate.hear(now, "a", bad), Err(BadReport::Powers));
    let good = at_will(1000.0, 1000.0, 1000.0);
    assert_eq!(aggregate.hear(now, "a", good), Ok(()));
    assert_eq!(aggregate.hear(now, "b", good), Err(BadReport::Full));
    let later = now.after(setup().forget).after(Duration::from_secs(600));
    aggregate.step(now, UnixTime(0), None);
    aggregate.step(later, UnixTime(700_000), None);
    assert_eq!((aggregate.homes(), aggregate.hear(later, "b", good)), (0, Ok(())));
}

#[test]
fn those_drawn_next_rest_before_they_are_compared_with() {
    let day = Duration::from_secs(86_400);
    let setup = Setup { lot: day, rest: day / 2, ..setup() };
    let setup = Setup { control: Ratio::new(0.1).unwrap(), least_control: 1, ..setup };
    let mut aggregate = Aggregate::new(setup);
    let mut counts = Vec::new();
    for hour in 0..50 {
        let now = Moment::from_secs(3600 * hour);
        for at in 0..100 {
            let report = at_will(1000.0, 1000.0, 1000.0);
            aggregate.hear(now, &format!("home-{at}"), report).unwrap();
        }
        let midnight = 20_000 * 86_400;
        let homes = aggregate.step(now, UnixTime(midnight + 3600 * hour), None).telemetry.homes;
        counts.push((homes.control, homes.resting));
    }
    assert_eq!((counts[0], counts[1], counts[11]), ((0, 0), (10, 0), (10, 0)));
    // One drawn in both lots is compared with, and does not rest.
    assert!(counts[12].0 == 10 && (6..=10).contains(&counts[12].1), "{:?}", counts[12]);
    assert_eq!((counts[23], counts[24], counts[35].1), (counts[12], (10, 0), 0));
    assert!(counts[36].1 >= 6);
}

#[test]
fn who_gave_all_day_is_paid_for_it_the_day_after_too() {
    let control = Ratio::new(0.5).unwrap();
    let minute = Duration::from_secs(60);
    let setup = Setup { control, stale: 3 * minute, valid: 5 * minute, ..Setup::default() };
    let mut aggregate = Aggregate::new(setup);
    // Half of the homes can give all of it, half nothing. An hour alone, then half of it is wanted.
    let most = |at: usize| 1000.0 + 10.0 * (at % 50) as f64;
    let mut power: Vec<f64> = (0..200).map(most).collect();
    let (midnight, mut checked) = (20_000 * 86_400, 0);
    for second in (0..26 * 3600).step_by(60) {
        for (at, power) in power.iter().enumerate() {
            let mut report = at_will(*power, most(at), most(at));
            report.lowest = hold(if at < 100 { 0.0 } else { most(at) }, None);
            aggregate.hear(Moment::from_secs(second), &format!("home-{at}"), report).unwrap();
        }
        let wanted = (second >= 3600).then(|| w((0..200).map(most).sum::<f64>() - 20_000.0));
        let step = aggregate.step(Moment::from_secs(second), UnixTime(midnight + second), wanted);
        for order in &step.orders {
            let at: usize = order.home.strip_prefix("home-").unwrap().parse().unwrap();
            power[at] = order.power.map_or(most(at), NetWatts::get);
        }
        let Some(closed) = step.closed.filter(|_| second > 86_400 + 3600) else { continue };
        for record in closed.records.iter().filter(|record| record.part == Part::Steered) {
            let at: usize = record.home.strip_prefix("home-").unwrap().parse().unwrap();
            let (said, gave) = (record.delivered_wh.unwrap(), most(at) - power[at]);
            assert!((said as f64 - gave / 12.0).abs() < 5.0, "{at} gave {gave} W, said {said} Wh");
            checked += 1;
        }
    }
    assert!(checked > 500, "{checked}");
}

/// Two days and a half by the minute, with 200 homes that draw what they like; `restart` may make another
/// aggregate of the one in the afternoon of the second day. Gives each whole interval from then on.
fn afternoon(
    restart: impl Fn(&Aggregate, Setup, Moment, UnixTime) -> Option<Aggregate>,
) -> Vec<Closed> {
    let minute = Duration::from_secs(60);
    let setup = Setup { stale: 3 * minute, valid: 5 * minute, ..Setup::default() };
    let mut aggregate = Aggregate::new(setup);
    let midnight = 20_000 * 86_400;
    let (afternoon, mut began) = (37 * 3600, 0);
    let mut seen = Vec::new();
    for second in (0..60 * 3600).step_by(60) {
        let (now, utc) = (Moment::from_secs(second), UnixTime(midnight + second));
        if second == afternoon
            && let Some(other) = restart(&aggregate, setup, now, utc)
        {
            // The program's own clock begins anew.
            (aggregate, began) = (other, second);
        }
        let now = Moment::from_secs(second - began);
        for at in 0..200_u64 {
            let most = 1000.0 + 10.0 * (at % 50) as f64;
            let part = lot::draw(second / 60, UnixTime(at), "part") as f64 / u64::MAX as f64;
            let mut report = at_will(most * part, most, most);
            if at % 2 == 0 {
                report.step = units::Watts::new(most).ok();
            }
            // One is away over the restart, until the evening.
            if at != 7 || !(36 * 3600..45 * 3600).contains(&second) {
                aggregate.hear(now, &format!("home-{at}"), report).unwrap();
            }
        }
        // From the first evening on they are called but for the nights.
        let called = second > 18 * 3600 && second % 86_400 > 6 * 3600;
        let step = aggregate.step(now, utc, called.then(|| w(150_000.0)));
        seen.extend(step.closed.filter(|_| second > afternoon + 300));
    }
    seen
}

#[test]
fn an_account_that_was_restarted_within_a_lot_writes_the_same_rows() {
    let through = afternoon(|_, _, _, _| None);
    let again = |known: &Aggregate, setup: Setup, now: Moment, utc: UnixTime| {
        let mut aggregate = Aggregate::new(setup);
        aggregate.recall(known.memory(now, utc), utc).unwrap();
        Some(aggregate)
    };
    let restarted = afternoon(again);
    assert_eq!(through.len(), restarted.len());
    // One that has not reported since the restart has no row, where it had a void one.
    let rows = |closed: &Closed| -> Vec<Record> {
        let rows = closed.records.iter().filter(|record| record.part != Part::Void);
        let mut rows: Vec<_> = rows.cloned().collect();
        rows.sort_by(|one, other| one.home.cmp(&other.home));
        rows
    };
    for (one, other) in through.iter().zip(&restarted) {
        assert_eq!((one.start, rows(one)), (other.start, rows(other)));
        assert_eq!(one.of_lot.drawn, other.of_lot.drawn);
    }
    // Each interval of the next lot is known to both: its sum is the same.
    let last = |closed: &[Closed]| {
        let given = closed.last().unwrap().of_lot.given;
        // Homes that came back stand elsewhere in the list.
        [given.energy, given.error()].map(|wh| (wh.get() * 1e6).round())
    };
    assert_eq!(last(&through), last(&restarted));
    let forgetful = afternoon(|_, setup, _, _| Some(Aggregate::new(setup)));
    let differ = through.iter().zip(&forgetful).filter(|(one, other)| rows(one) != rows(other));
    assert!(differ.count() > 50, "who forgets writes other rows");
}

#[test]
fn a_memory_of_another_lot_is_refused() {
    let aggregate = Aggregate::new(setup());
    let memory = aggregate.memory(Moment::from_secs(0), UnixTime(0));
    for other in [
        Setup { seed: 1, ..setup() },
        Setup { interval: Duration::from_secs(900), ..setup() },
        Setup { lot: Duration::from_secs(3600), ..setup() },
    ] {
        let mut other = Aggregate::new(other);
        assert_eq!(other.recall(memory.clone(), UnixTime(0)), Err(Foreign));
    }
    assert_eq!(Aggregate::new(setup()).recall(memory, UnixTime(0)), Ok(()));
}
