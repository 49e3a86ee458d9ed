//! A reactor under a day of swings of what the grid takes, made up from seeds: the machines take the
//! difference, and the plant's own load following, which is always on, finds nothing to do.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_dispatch::plant::{NetExport, Plant};
use std::time::Duration;
use twin::energy::{Miners, MinersSpec, Noise, Reactor, ReactorSpec};
use units::{Moment, NetWatts, Ratio, Reading, Watts};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_reactor_is_constant_within_one_percent_over_a_day_of_swings() {
    for seed in 1..=5 {
        let day = day(seed, true);
        println!(
            "seed {seed}: grid takes {:.0} to {:.0} MW, machines draw {:.0} to {:.0} MW, output \
             {:.2} to {:.2} MW ({:.2} % off at most), export off by {:.2} % RMS",
            day.asked.0,
            day.asked.1,
            day.machines.0,
            day.machines.1,
            day.output.0,
            day.output.1,
            day.off_percent(),
            day.export_rms_percent,
        );
        assert!(day.off_percent() <= 1.0, "{day:?}");
        // Swings worth the name.
        assert!(day.asked.1 - day.asked.0 > 80.0, "{day:?}");
    }
}

#[test]
fn without_the_machines_the_reactor_has_to_swing() {
    assert!(day(1, false).off_percent() > 20.0);
}

#[derive(Debug)]
struct Day {
    asked: (f64, f64),
    machines: (f64, f64),
    output: (f64, f64),
    export_rms_percent: f64,
}

impl Day {
    fn off_percent(&self) -> f64 {
        (OUTPUT - self.output.0).max(self.output.1 - OUTPUT) / OUTPUT * 100.0
    }
}

/// MW; below full output, so that the plant could move either way.
const OUTPUT: f64 = 280.0;

fn day(seed: u64, machines_follow: bool) -> Day {
    let mut noise = Noise::new(seed);
    let mut reactor = Reactor::new(ReactorSpec::small());
    while reactor.output() > watts(OUTPUT) {
        reactor.step(SECOND, watts(OUTPUT));
    }
    // Forty containers of 3.5 MW, each one steerable load here.
    let spec = MinersSpec {
        count: 40,
        rated: watts(3.5),
        lowest: watts(0.0),
        delay_s: 2.0,
        ramp_s: 8.0,
        circuit: 1,
        silent_per_hour: 0.02,
        drops_per_hour: 0.01,
        circuit_drops_per_hour: 0.0,
    };
    let mut miners = Miners::new(spec, seed + 100);
    let mut control = NetExport::new(Plant {
        output: watts(OUTPUT),
        ramp_per_minute: Ratio::new(0.03).unwrap(),
        machines: watts(3.5 * 40.0),
    });
    let house_load = 2.0;
    let mut asked = 200.0;
    let mut day = Day {
        asked: (f64::MAX, 0.0),
        machines: (f64::MAX, 0.0),
        output: (f64::MAX, 0.0),
        export_rms_percent: 0.0,
    };
    let (mut meter, mut square) = (None, 0.0);
    // A quarter of an hour to begin with, then a day.
    for second in -900..86_400_i64 {
        let now = Moment::from_secs((second + 900) as u64);
        if noise.happens(3.0, 1.0) && second > 0 {
            asked = noise.between(150.0, 265.0);
        }
        let answers: Vec<usize> =
            (0..spec.count).filter(|&m| miners.answers(m, Duration::from_secs(3))).collect();
        let drawn = miners.total().megawatts();
        let output = Some(Reading::new(reactor.output(), now));
        let share = control.step(now, watts(asked), meter, output, None);
        if machines_follow {
            let by_others: f64 = (0..spec.count)
                .filter(|m| !answers.contains(m))
                .map(|m| miners.drawn(m).megawatts())
                .sum();
            let each = (share.machines.megawatts() - by_others).max(0.0) / answers.len() as f64;
            for &miner in &answers {
                let _ = miners.set(miner, watts(each));
            }
        }
        miners.step(SECOND);
        // The plant's own control follows the schedule with what the machines leave it.
        let needed = share.export.megawatts() + house_load + drawn;
        reactor.step(SECOND, watts(needed));
        let export = reactor.output().megawatts() - house_load - miners.total().megawatts();
        meter = Some(Reading::new(NetWatts::new(-export * 1e6).unwrap(), now));
        if second < 0 {
            continue;
        }
        let widen = |range: &mut (f64, f64), value: f64| {
            *range = (range.0.min(value), range.1.max(value));
        };
        widen(&mut day.asked, share.export.megawatts());
        widen(&mut day.machines, miners.total().megawatts());
        widen(&mut day.output, reactor.output().megawatts());
        square += (export - share.export.megawatts()).powi(2) / 86_400.0;
    }
    day.export_rms_percent = 100.0 * square.sqrt() / OUTPUT;
    day
}

fn watts(megawatts: f64) -> Watts {
    Watts::new(megawatts * 1e6).unwrap()
}
