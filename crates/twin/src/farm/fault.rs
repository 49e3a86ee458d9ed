//! What firmware does wrong, on demand: seeded, so that a test sees the same faults every time.

use std::time::Duration;

/// One kind of misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Says yes and does nothing.
    SilentRefusal,
    /// Says no.
    LoudRefusal,
    /// Does it, and the pools are the vendor's afterwards.
    LostPools,
    /// Does it, and the power mode or limit is the factory's afterwards.
    LostMode,
    /// Does it, then forgets all settings at the next restart.
    LostSettings,
    /// Restarts in the middle.
    Reboot,
    /// Answers this late.
    Slow(Duration),
    /// Answers with what is no answer.
    Garbage,
    /// Answers without end.
    Endless,
    /// Takes the connection and never answers.
    Mute,
    /// Claims this many times the hashrate that it has.
    Lies(f64),
    /// Its sensors tell nothing.
    NoSensors,
}

/// How many machines have which fault, as shares of all; the others have none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults(pub Vec<(f64, Fault)>);

impl Faults {
    /// The fault of the machine with this number among `count`: the first shares go to the machines
    /// that a fixed shuffle puts first, so that the shares are met exactly, rounded down.
    pub fn of(&self, index: usize, count: usize) -> Option<Fault> {
        if count == 0 {
            return None;
        }
        // An odd step coprime to the count visits every place once: faults are spread, not bunched.
        let step = (1..count).rev().find(|step| gcd(*step, count) == 1).map_or(1, |near| {
            (near / 2..=near).find(|step| *step > 0 && gcd(*step, count) == 1).unwrap_or(near)
        });
        let place = index * step % count;
        let mut from = 0;
        for (share, fault) in &self.0 {
            let to = from + (share.clamp(0.0, 1.0) * count as f64 + 1e-9) as usize;
            if (from..to).contains(&place) {
                return Some(*fault);
            }
            from = to;
        }
        None
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thousand_machines_fifty_refuse_and_ten_are_mute() {
        let faults = Faults(vec![(0.05, Fault::SilentRefusal), (0.01, Fault::Mute)]);
        for count in [100, 200, 1000, 10_000] {
            let all: Vec<_> = (0..count).filter_map(|i| faults.of(i, count)).collect();
            let mute = all.iter().filter(|fault| **fault == Fault::Mute).count();
            assert_eq!((all.len(), mute), (count * 6 / 100, count / 100), "{count}");
        }
        assert_eq!(Faults::default().of(3, 10), None);
    }
}
