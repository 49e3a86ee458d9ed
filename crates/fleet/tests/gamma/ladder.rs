//! The public way of tuning a Gamma, to compare with: from 525 MHz and 1150 mV upwards by 25 MHz, 20 mV
//! more where less than 94 % of the expected hashrate is verified, ninety seconds of settling and ten
//! minutes of measuring a point, until a limit.

use crate::bench::{Bench, envelope, point};

pub struct Climb {
    pub points: u32,
    pub seconds: f64,
    /// Best efficiency that it met, J/TH by its own measurement.
    pub best: f64,
}

pub fn climb(bench: &mut Bench) -> Climb {
    let limits = envelope().limits;
    let (mut mhz, mut mv) = (525.0, 1150.0);
    let mut climb = Climb { points: 0, seconds: 0.0, best: f64::INFINITY };
    let begun = bench.seconds;
    loop {
        bench.set(point(mhz, mv));
        climb.points += 1;
        for _ in 0..45 {
            bench.observe();
        }
        bench.set(point(mhz, mv));
        let (mut watts, mut hot, mut work) = (0.0, false, None);
        for _ in 0..300 {
            let seen = bench.observe();
            watts += seen.readings.power.unwrap().get() / 300.0;
            work = seen.work;
            hot |= seen.readings.chip.unwrap() > limits.chip;
            if hot {
                break;
            }
        }
        let rate = work.unwrap().rate().terahashes_per_second();
        if !hot {
            climb.best = climb.best.min(watts / rate);
        }
        if rate < 0.94 * mhz * 2040e-6 {
            mv += 20.0;
        } else {
            mhz += 25.0;
        }
        if hot || mhz > 625.0 || mv > 1250.0 {
            climb.seconds = bench.seconds - begun;
            return climb;
        }
    }
}
