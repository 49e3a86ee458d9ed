//! Proof of the tuner on the emulated Gamma: against an exhaustive sweep, against the public ladder,
//! through a warm afternoon, on machines that lie, and through crashes.

#[path = "gamma/bench.rs"]
mod bench;
#[path = "gamma/ladder.rs"]
mod ladder;

use bench::{Bench, Lie, at_least, board, envelope, joules, point, settled, sweep, tune};
use hearth_fleet::tuner::{Goal, Policy, Prior, Tuner};
use units::Ratio;

const SEEDS: u64 = 20;
const INTERVAL: f64 = 0.05;

fn efficiency(keep: f64) -> Goal {
    Goal::Efficiency { keep: Ratio::new(keep).unwrap() }
}

fn tuner(goal: Goal, bench: &Bench) -> Tuner {
    Tuner::new(goal, Policy::default(), envelope(), Prior::GAMMA, bench.setting())
}

#[test]
fn within_two_percent_of_the_best_in_a_quarter_of_the_ladders_time_and_no_limit_broken() {
    for keep in [0.75, 1.0] {
        let mut close = 0;
        let mut slow = 0;
        for seed in 0..SEEDS {
            let spec = board(seed);
            let start = settled(spec, point(525.0, 1150.0), 25.0);
            let (best_at, best) = sweep(spec, 25.0, at_least(keep, start.good), |o| -joules(o));
            let climb = ladder::climb(&mut Bench::new(spec, seed, INTERVAL, Lie::None));
            let mut bench = Bench::new(spec, seed, INTERVAL, Lie::None);
            let mut tuner = tuner(efficiency(keep), &bench);
            let run = tune(&mut bench, &mut tuner, 7200.0);
            let found = run.found.unwrap_or_else(|| panic!("seed {seed}: no end"));
            let out = settled(spec, found.point, 25.0);
            let off = joules(&out) / joules(&best) - 1.0;
            println!(
                "keep {keep} board {seed}: {:.2} J/TH -> {:.2} at {} {} (says {:.2}), best {:.2} at {} {} (off {:.2} %), lost {}, \
                 {:.0} s, {} set, {} aborted; ladder {:.2} J/TH in {:.0} s, {} points ({:.2}); lossy {:.1} s",
                joules(&start),
                joules(&out),
                found.point.frequency,
                found.point.voltage,
                found.efficiency.joules_per_terahash(),
                joules(&best),
                best_at.frequency,
                best_at.voltage,
                off * 100.0,
                out.lost,
                run.seconds,
                run.applied,
                run.aborted,
                climb.best,
                climb.seconds,
                climb.points,
                run.seconds / climb.seconds,
                bench.lossy,
            );
            close += u32::from(off <= 0.02);
            slow += u32::from(run.seconds > climb.seconds / 4.0);
            assert_eq!(bench.breaches, 0, "seed {seed}");
            assert!(bench.lossy <= 5.0, "seed {seed}: {}", bench.lossy);
        }
        println!("close {close} slow {slow}");
        assert!(close >= 19 && slow == 0, "{close} {slow}");
    }
}
