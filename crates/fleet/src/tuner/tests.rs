use super::*;
use units::Celsius;

fn point(mhz: f64, mv: f64) -> Point {
    Point { frequency: Megahertz::new(mhz).unwrap(), voltage: Millivolts::new(mv).unwrap() }
}

fn envelope() -> Envelope {
    let mhz = |f| Megahertz::new(f).unwrap();
    let mv = |v| Millivolts::new(v).unwrap();
    Envelope {
        frequency: Range::new(mhz(400.0), mhz(625.0)).unwrap(),
        voltage: Range::new(mv(1000.0), mv(1250.0)).unwrap(),
        limits: Limits {
            chip: Celsius::new(70.0).unwrap(),
            regulator: Celsius::new(90.0).ok(),
            inlet: None,
            outlet: None,
            input_low: None,
            input_high: None,
            power: Watts::new(25.0).ok(),
        },
    }
}

#[test]
fn a_limit_broken_at_the_last_good_setting_itself_lowers_the_clock() {
    let goal = Goal::Efficiency { keep: Ratio::new(0.75).unwrap() };
    let start = point(525.0, 1150.0);
    let mut tuner = Tuner::new(goal, Policy::default(), envelope(), Prior::GAMMA, start);
    let seen = Observation {
        at: Moment::from_secs(1),
        setting: Some(start),
        readings: Readings { chip: Celsius::new(71.0).ok(), ..Readings::default() },
        power: None,
        work: None,
        restarted: false,
    };
    let Action::Abort { last_good, why } = tuner.step(&seen) else { panic!("goes on") };
    assert_eq!((last_good, why.as_str()), (point(500.0, 1150.0), "a chip is at 71.0 °C"));
}

#[test]
fn a_crash_while_a_setting_is_tried_resumes_at_the_last_good_one() {
    let journal = [
        Entry::Good {
            at: Moment::from_secs(1),
            point: point(525.0, 1150.0),
            measured: Measured { power: Watts::new(17.0).ok(), ..Measured::default() },
        },
        Entry::Applying {
            at: Moment::from_secs(2),
            point: point(525.0, 1000.0),
            last_good: point(525.0, 1150.0),
        },
    ];
    for entry in &journal {
        assert_eq!(JournalRow::from(entry).entry().as_ref(), Some(entry));
    }
    let goal = Goal::Hashrate;
    let tuner = Tuner::resume(goal, Policy::default(), envelope(), Prior::GAMMA, &journal).unwrap();
    assert_eq!(tuner.last_good(), point(525.0, 1150.0));
}

/// The machine's own hashrate is no input: not one file of the tuner may read it.
#[test]
fn no_file_of_the_tuner_reads_a_claimed_hashrate() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tuner");
    let in_folder = |folder: &str| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let all = in_folder(folder).chain(in_folder(&format!("{folder}/run")));
    let mut files = 0;
    for path in all.map(|entry| entry.path()).filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        files += 1;
        for (number, line) in text.lines().enumerate() {
            let read = [".hash", "rate"].concat();
            let claimed = line.contains(&read) && !line.trim_start().starts_with("//");
            assert!(!claimed, "{}:{}: {line}", path.display(), number + 1);
        }
    }
    assert!(files > 8, "{files}");
}

/// A machine at a setting, calm; changed as a test wants.
fn calm(at: u64, there: Point) -> Observation {
    let readings = Readings { chip: Celsius::new(60.0).ok(), ..Readings::default() };
    let power = Watts::new(17.0).ok().map(|watts| (watts, 0.05));
    let shares = 20 * at;
    let work = Window {
        time: Duration::from_secs(at),
        shares,
        work: units::Work::from_hashes(
            Prior::GAMMA.rate(there.frequency).hashes_per_second() * at as f64,
        ),
        faulty: 0,
    };
    Observation {
        at: Moment::from_secs(at),
        setting: Some(there),
        readings: Readings { errors: Ratio::new(0.0).ok(), ..readings },
        power,
        work: Some(work),
        restarted: false,
    }
}

/// A tuner in its first trial, the setting of it, and the time.
fn in_a_trial(goal: Goal) -> (Tuner, Point, u64) {
    let start = point(525.0, 1150.0);
    let mut tuner = Tuner::new(goal, Policy::default(), envelope(), Prior::GAMMA, start);
    for second in (2..2000).step_by(2) {
        if let Action::Apply { point, .. } = tuner.step(&calm(second, start)) {
            tuner.step(&calm(second + 2, point));
            tuner.take_entries();
            return (tuner, point, second + 4);
        }
    }
    panic!("nothing is tried");
}

fn frugal() -> Goal {
    Goal::Efficiency { keep: Ratio::new(0.75).unwrap() }
}

#[test]
fn a_restart_in_a_trial_never_makes_the_trial_the_last_good_setting() {
    let start = point(525.0, 1150.0);
    let (mut tuner, trial, at) = in_a_trial(frugal());
    let seen = Observation { restarted: true, ..calm(at, trial) };
    let Action::Abort { last_good, .. } = tuner.step(&seen) else { panic!("goes on") };
    assert_eq!(last_good, start);
    for second in (at + 2..at + 600).step_by(2) {
        let action = tuner.step(&calm(second, start));
        let Action::Apply { point, .. } = action else { continue };
        assert!(!same(point, trial), "the same again: {point:?}");
        return;
    }
}

#[test]
fn a_second_restart_at_home_lowers_what_is_home() {
    let start = point(525.0, 1150.0);
    let mut tuner = Tuner::new(frugal(), Policy::default(), envelope(), Prior::GAMMA, start);
    let once = Observation { restarted: true, ..calm(2, start) };
    let Action::Abort { last_good, .. } = tuner.step(&once) else { panic!("goes on") };
    assert_eq!(last_good, start);
    tuner.step(&calm(4, start));
    let twice = Observation { restarted: true, ..calm(6, start) };
    let Action::Abort { last_good, .. } = tuner.step(&twice) else { panic!("goes on") };
    assert_eq!(last_good, point(500.0, 1150.0));
}

#[test]
fn heat_in_a_trial_that_was_not_measured_does_not_make_it_the_last_good_setting() {
    let (mut tuner, trial, at) = in_a_trial(frugal());
    let readings = Readings { chip: Celsius::new(71.0).ok(), ..Readings::default() };
    let seen = Observation { readings, ..calm(at, trial) };
    let Action::Abort { last_good, .. } = tuner.step(&seen) else { panic!("goes on") };
    assert!(!same(last_good, trial), "{last_good:?}");
    let heat = |point: Point| point.voltage.volts().powi(2) * point.frequency.get();
    assert!(heat(last_good) < heat(trial), "{trial:?} {last_good:?}");
}

#[test]
fn counters_that_still_tell_of_a_trial_do_not_raise_the_voltage_at_home() {
    let start = point(525.0, 1150.0);
    let (mut tuner, trial, at) = in_a_trial(frugal());
    let lossy = |at: u64, there: Point| {
        let mut seen = calm(at, there);
        seen.readings.errors = Ratio::new(0.2).ok();
        seen
    };
    tuner.step(&lossy(at, trial));
    let Action::Abort { last_good, .. } = tuner.step(&lossy(at + 2, trial)) else {
        panic!("stays")
    };
    assert_eq!(last_good, start);
    for second in (at + 4..at + 10).step_by(2) {
        tuner.step(&lossy(second, start));
        assert_eq!(tuner.last_good(), start, "{second}");
    }
    tuner.step(&calm(at + 10, start));
    assert_eq!(tuner.last_good(), start);
}

#[test]
fn a_return_is_meant_first_and_told_as_done_once_it_is_read_back() {
    let start = point(525.0, 1150.0);
    let (mut tuner, trial, at) = in_a_trial(frugal());
    tuner.step(&Observation { restarted: true, ..calm(at, trial) });
    let meant = tuner.take_entries();
    assert!(
        matches!(meant[..], [Entry::Applying { point, last_good, .. }] if point == start && last_good == start),
        "{meant:?}"
    );
    tuner.step(&calm(at + 2, trial));
    assert_eq!(tuner.take_entries(), []);
    tuner.step(&calm(at + 4, start));
    let done = tuner.take_entries();
    assert!(matches!(done[..], [Entry::Restored { point, .. }] if point == start), "{done:?}");
}

#[test]
fn a_machine_that_is_silent_for_a_day_fills_no_journal() {
    let start = point(525.0, 1150.0);
    let mut tuner = Tuner::new(frugal(), Policy::default(), envelope(), Prior::GAMMA, start);
    let mut rows = 0;
    for second in (2..86_400).step_by(2) {
        let readings = Readings::default();
        let (setting, work, power) = (None, None, None);
        tuner.step(&Observation { readings, setting, work, power, ..calm(second, start) });
        rows += tuner.take_entries().len();
    }
    assert!(rows <= 2, "{rows}");
}
