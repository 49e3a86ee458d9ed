//! Many machines as a power plant sees them: each follows its set-point with a lag, and some go wrong.
//! Protocols and hashing are the farm's.

use super::{Noise, watts};
use std::time::Duration;
use units::Watts;

/// What machines are like and how often they fail.
#[derive(Debug, Clone, Copy)]
pub struct MinersSpec {
    /// Machines.
    pub count: usize,
    /// Each at full power.
    pub rated: Watts,
    /// Lowest power at which one hashes; below it, it is off.
    pub lowest: Watts,
    /// Before a set-point shows any effect, seconds.
    pub delay_s: f64,
    /// From nothing to full power, seconds.
    pub ramp_s: f64,
    /// Machines on one breaker.
    pub circuit: usize,
    /// Times an hour that one machine hears nothing for minutes.
    pub silent_per_hour: f64,
    /// Times an hour that one machine drops out, and comes back by itself at full power.
    pub drops_per_hour: f64,
    /// Times an hour that one circuit drops out with all its machines, and comes back.
    pub circuit_drops_per_hour: f64,
}

/// What is wrong with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Draws on as it did; set-points do not reach it.
    Silent,
    /// Draws nothing and hears nothing; comes back at full power, whatever it was set to.
    Out,
}

#[derive(Debug, Clone)]
struct Miner {
    /// W it was last told, of what reached it.
    told: f64,
    /// W it is told and seconds until that shows.
    coming: Option<(f64, f64)>,
    /// W drawn.
    drawn: f64,
    /// What is wrong, for how many more seconds, and for how many it has been.
    fault: Option<(Fault, f64, f64)>,
}

/// Many machines.
#[derive(Debug, Clone)]
pub struct Miners {
    spec: MinersSpec,
    noise: Noise,
    miners: Vec<Miner>,
}

impl Miners {
    /// All off.
    pub fn new(spec: MinersSpec, seed: u64) -> Self {
        let miner = Miner { told: 0.0, coming: None, drawn: 0.0, fault: None };
        Self { spec, noise: Noise::new(seed), miners: vec![miner; spec.count] }
    }

    /// Their constants.
    pub fn spec(&self) -> &MinersSpec {
        &self.spec
    }

    /// Tells one of them; returns whether it heard. Less than its lowest power is off.
    pub fn set(&mut self, miner: usize, power: Watts) -> bool {
        let (lowest, rated) = (self.spec.lowest.get(), self.spec.rated.get());
        let Some(miner) = self.miners.get_mut(miner) else { return false };
        if miner.fault.is_some() {
            return false;
        }
        let power = if power.get() < lowest { 0.0 } else { power.get().min(rated) };
        // One that is on its way already only carries the newer number.
        let (heading, left) = miner.coming.unwrap_or((miner.told, self.spec.delay_s));
        if power != heading {
            miner.coming = Some((power, left));
        }
        true
    }

    /// What one draws.
    pub fn drawn(&self, miner: usize) -> Watts {
        watts(self.miners.get(miner).map_or(0.0, |miner| miner.drawn))
    }

    /// What all draw.
    pub fn total(&self) -> Watts {
        watts(self.miners.iter().map(|miner| miner.drawn).sum())
    }

    /// Whether one has answered within this time.
    pub fn answers(&self, miner: usize, within: Duration) -> bool {
        (self.miners.get(miner))
            .is_some_and(|m| m.fault.is_none_or(|(_, _, since)| since <= within.as_secs_f64()))
    }

    /// All lose their power at once, and start again from nothing when it is back.
    pub fn black_out(&mut self) {
        for miner in &mut self.miners {
            *miner = Miner { told: 0.0, coming: None, drawn: 0.0, fault: None };
        }
    }

    /// Lets a fault befall one of them for a while.
    pub fn fail(&mut self, miner: usize, fault: Fault, time: Duration) {
        if let Some(miner) = self.miners.get_mut(miner) {
            miner.fault = Some((fault, time.as_secs_f64(), 0.0));
            miner.coming = None;
            if fault == Fault::Out {
                miner.drawn = 0.0;
            }
        }
    }

    /// Passes time.
    pub fn step(&mut self, dt: Duration) {
        let seconds = dt.as_secs_f64();
        self.break_down(seconds);
        let (rated, ramp) = (self.spec.rated.get(), self.spec.rated.get() / self.spec.ramp_s);
        for miner in &mut self.miners {
            if let Some((fault, left, since)) = miner.fault {
                miner.fault = (left > seconds).then_some((fault, left - seconds, since + seconds));
                if fault == Fault::Out {
                    miner.drawn = 0.0;
                    miner.told = rated;
                    continue;
                }
            }
            if let Some((to, left)) = miner.coming {
                miner.coming = (left > seconds).then_some((to, left - seconds));
                if miner.coming.is_none() {
                    miner.told = to;
                }
            }
            let most = ramp * seconds;
            miner.drawn += (miner.told - miner.drawn).clamp(-most, most);
        }
    }

    fn break_down(&mut self, seconds: f64) {
        let spec = self.spec;
        let all = spec.count as f64;
        if self.noise.happens(spec.silent_per_hour * all, seconds) {
            let (miner, time) = (self.noise.pick(spec.count), self.noise.between(60.0, 1200.0));
            self.fail(miner, Fault::Silent, Duration::from_secs_f64(time));
        }
        if self.noise.happens(spec.drops_per_hour * all, seconds) {
            let (miner, time) = (self.noise.pick(spec.count), self.noise.between(45.0, 900.0));
            self.fail(miner, Fault::Out, Duration::from_secs_f64(time));
        }
        let circuits = spec.count.div_ceil(spec.circuit.max(1));
        if self.noise.happens(spec.circuit_drops_per_hour * circuits as f64, seconds) {
            let first = self.noise.pick(circuits) * spec.circuit;
            let time = Duration::from_secs_f64(self.noise.between(45.0, 900.0));
            for miner in first..(first + spec.circuit).min(spec.count) {
                self.fail(miner, Fault::Out, time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> Miners {
        let spec = MinersSpec {
            count: 10,
            rated: watts(3500.0),
            lowest: watts(1500.0),
            delay_s: 2.0,
            ramp_s: 10.0,
            circuit: 5,
            silent_per_hour: 0.0,
            drops_per_hour: 0.0,
            circuit_drops_per_hour: 0.0,
        };
        Miners::new(spec, 1)
    }

    fn pass(miners: &mut Miners, seconds: u64) {
        for _ in 0..seconds {
            miners.step(Duration::from_secs(1));
        }
    }

    #[test]
    fn a_machine_follows_after_its_delay_at_its_ramp() {
        let mut miners = ten();
        assert!(miners.set(3, watts(3500.0)) && !miners.set(10, watts(3500.0)));
        pass(&mut miners, 1);
        assert_eq!(miners.drawn(3), Watts::ZERO);
        pass(&mut miners, 6);
        assert!((miners.drawn(3).get() - 2100.0).abs() < 1.0, "{}", miners.drawn(3));
        pass(&mut miners, 10);
        assert_eq!(miners.total(), watts(3500.0));
        miners.set(3, watts(1400.0));
        pass(&mut miners, 15);
        assert_eq!(miners.total(), Watts::ZERO);
    }

    #[test]
    fn a_silent_machine_draws_on_and_one_that_dropped_out_comes_back_by_itself() {
        let mut miners = ten();
        for miner in 0..10 {
            miners.set(miner, watts(2000.0));
        }
        pass(&mut miners, 20);
        miners.fail(0, Fault::Silent, Duration::from_secs(100));
        miners.fail(1, Fault::Out, Duration::from_secs(100));
        assert!(!miners.set(0, Watts::ZERO) && !miners.set(1, Watts::ZERO));
        assert!(miners.answers(0, Duration::from_secs(10)));
        pass(&mut miners, 50);
        assert_eq!((miners.drawn(0), miners.drawn(1)), (watts(2000.0), Watts::ZERO));
        assert!(!miners.answers(1, Duration::from_secs(10)));
        pass(&mut miners, 70);
        assert_eq!((miners.drawn(0), miners.drawn(1)), (watts(2000.0), watts(3500.0)));
    }
}
