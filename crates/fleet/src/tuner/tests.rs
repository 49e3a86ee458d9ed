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
