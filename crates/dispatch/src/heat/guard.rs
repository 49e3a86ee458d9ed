//! How long a heater stays on or off and how often it starts. It knows no temperature.

use super::Heater;
use std::{collections::VecDeque, time::Duration};
use units::{Moment, Watts};

/// Limits of switching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// On at least this long.
    pub min_on: Duration,
    /// Off at least this long.
    pub min_off: Duration,
    /// Starts in any 24 hours.
    pub starts_per_day: usize,
}

impl Default for Times {
    /// 30 minutes, 15 minutes, 6 starts.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self { min_on: minutes(30), min_off: minutes(15), starts_per_day: 6 }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// What a heater did lately.
#[derive(Debug, Clone)]
pub struct Guard {
    times: Times,
    on: bool,
    /// Since when it is on or off; `None` for ever.
    since: Option<Moment>,
    /// Latest starts, oldest first.
    starts: VecDeque<Moment>,
}

impl Guard {
    /// Off for long.
    pub fn new(times: Times) -> Self {
        Self { times, on: false, since: None, starts: VecDeque::new() }
    }

    /// Its limits.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// Whether it is on.
    pub fn on(&self) -> bool {
        self.on
    }

    /// How long it has been on or off; `None` for ever.
    pub fn held(&self, now: Moment) -> Option<Duration> {
        self.since.map(|since| now.since(since))
    }

    /// What of this power may be: on too short it goes on at its lowest, off too short or started too
    /// often it stays idle, which is chosen over sleep because it wakes at once.
    pub fn apply(&mut self, now: Moment, wanted: Watts, heater: &Heater) -> Watts {
        let wants = heater.hashes_at(wanted);
        let held_for = |least: Duration| self.held(now).is_none_or(|held| held >= least);
        match (self.on, wants) {
            (true, false) if held_for(self.times.min_on) => self.switch(false, now),
            (false, true) if held_for(self.times.min_off) && self.may_start(now) => {
                self.switch(true, now);
                self.starts.push_back(now);
            }
            _ => {}
        }
        match (self.on, wants) {
            (false, _) => heater.idle(),
            (true, false) => heater.lowest(),
            (true, true) => Watts::min(wanted, heater.highest()),
        }
    }

    /// Off at once, whatever its times say: somebody's safety asks.
    pub fn cut(&mut self, now: Moment) {
        if self.on {
            self.switch(false, now);
        }
    }

    /// How long until the starts of a day allow another one; nothing if they do now.
    pub fn start_in(&self, now: Moment) -> Duration {
        let oldest = self.starts.len().checked_sub(self.times.starts_per_day);
        let blocking = oldest.and_then(|at| self.starts.get(at));
        blocking.map_or(Duration::ZERO, |&start| DAY.saturating_sub(now.since(start)))
    }

    fn may_start(&mut self, now: Moment) -> bool {
        while self.starts.front().is_some_and(|&start| now.since(start) >= DAY) {
            self.starts.pop_front();
        }
        self.start_in(now).is_zero()
    }

    fn switch(&mut self, on: bool, now: Moment) {
        (self.on, self.since) = (on, Some(now));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use units::{Efficiency, HashPrice};

    pub(in super::super) fn watts(value: f64) -> Watts {
        Watts::new(value).unwrap()
    }

    /// Idle at 25 W, hashes from 2 to 6 kW.
    pub(in super::super) fn heater() -> Heater {
        let at = |power, efficiency| (watts(power), Efficiency::new(efficiency).unwrap());
        let curve = [at(2000.0, 17.0), at(4000.0, 18.5), at(6000.0, 21.0)];
        Heater::new(watts(25.0), &curve, HashPrice::new(38.2).unwrap()).unwrap()
    }

    #[test]
    fn a_heater_is_never_on_or_off_too_short_and_never_starts_a_seventh_time() {
        let heater = heater();
        let mut guard = Guard::new(Times::default());
        let (mut on_since, mut off_since, mut starts) = (None, None, Vec::new());
        let mut was = false;
        // Wanted on and off every 7 minutes for three days.
        for minute in 0..3 * 1440 {
            let now = Moment::from_secs(60 * minute);
            let wanted = if minute / 7 % 2 == 0 { 5000.0 } else { 0.0 };
            let on = heater.hashes_at(guard.apply(now, watts(wanted), &heater));
            if on && !was {
                assert!(off_since.is_none_or(|since| minute - since >= 15), "{minute}");
                starts.push(minute);
                on_since = Some(minute);
            } else if !on && was {
                assert!(on_since.is_some_and(|since| minute - since >= 30), "{minute}");
                off_since = Some(minute);
            }
            was = on;
        }
        assert!(starts.len() > 12, "{starts:?}");
        assert!(starts.windows(7).all(|seven| seven[6] - seven[0] >= 1440), "{starts:?}");
        let at = |minute: u64| Moment::from_secs(60 * minute);
        let (end, sixth) = (at(3 * 1440), starts[starts.len() - 6]);
        assert_eq!(end.after(guard.start_in(end)), at(sixth + 1440));
        assert_eq!(guard.start_in(at(sixth + 1440)), Duration::ZERO);
    }

    #[test]
    fn a_heater_that_must_stay_on_goes_on_at_its_lowest() {
        let heater = heater();
        let mut guard = Guard::new(Times::default());
        assert_eq!(guard.apply(Moment::default(), watts(9e3), &heater), watts(6000.0));
        let soon = Moment::from_secs(60);
        assert_eq!(guard.apply(soon, Watts::ZERO, &heater), heater.lowest());
        guard.cut(soon);
        assert_eq!(guard.apply(soon, watts(9e3), &heater), heater.idle());
    }
}
