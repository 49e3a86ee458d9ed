//! A reactor's electric output: it moves only as fast as its fuel allows. It knows no schedule.

use std::time::Duration;
use units::{Ratio, Watts};

/// A reactor's constants.
#[derive(Debug, Clone, Copy)]
pub struct ReactorSpec {
    /// Full output.
    pub rated: Watts,
    /// Change of output in a minute, at most, as a part of rated.
    pub ramp_per_minute: Ratio,
    /// Lowest output that it can hold.
    pub lowest: Ratio,
}

impl ReactorSpec {
    /// European Utility Requirements: 50 to 100 % at 5 % a minute, here for a small modular reactor of
    /// 300 MW.
    pub fn small() -> Self {
        let part = |value| Ratio::new(value).unwrap_or_default();
        Self { rated: super::watts(300e6), ramp_per_minute: part(0.05), lowest: part(0.5) }
    }
}

/// A reactor.
#[derive(Debug, Clone)]
pub struct Reactor {
    spec: ReactorSpec,
    /// W.
    output: f64,
}

impl Reactor {
    /// At full output.
    pub fn new(spec: ReactorSpec) -> Self {
        Self { spec, output: spec.rated.get() }
    }

    /// Now.
    pub fn output(&self) -> Watts {
        super::watts(self.output)
    }

    /// Passes time on the way to this output, within its ramp and its range.
    pub fn step(&mut self, dt: Duration, asked: Watts) {
        let rated = self.spec.rated.get();
        let most = rated * self.spec.ramp_per_minute.get() * dt.as_secs_f64() / 60.0;
        let asked = asked.get().clamp(rated * self.spec.lowest.get(), rated);
        self.output += (asked - self.output).clamp(-most, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_full_to_half_takes_ten_minutes_at_five_percent_a_minute() {
        let mut reactor = Reactor::new(ReactorSpec::small());
        let minute = Duration::from_secs(60);
        for passed in 1..=10 {
            reactor.step(minute, Watts::ZERO);
            let want = 300e6 * (1.0 - 0.05 * f64::from(passed));
            assert!((reactor.output().get() - want).abs() < 1.0, "{passed}");
        }
        reactor.step(minute, Watts::ZERO);
        assert!((reactor.output().get() - 150e6).abs() < 1.0);
    }
}
