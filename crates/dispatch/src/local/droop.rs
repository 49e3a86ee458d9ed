//! Frequency droop and under-frequency steps of the loads of one site. It never measures the frequency.

use crate::ask::{Ask, Mode};
use std::time::Duration;
use units::{Hertz, Moment, Ratio, Reading, Watts};

/// A frequency older than this is lost.
const FRESH: Duration = Duration::from_secs(1);
/// Without a frequency the last ask holds for so long: no event lasts longer without a call of the
/// operator's, and a broken meter must not keep machines off for ever.
const BLIND: Duration = Duration::from_secs(600);
/// What was drawn before counts for events that follow within this time: loads that were shed may have to
/// rest, or take minutes to come back. No longer: some of them may have failed meanwhile.
const MEMORY: Duration = Duration::from_secs(600);
/// A change that is not worth a decision of its own, Hz.
const SMALL: f64 = 0.005;

/// A step at a threshold, as fast frequency response and relays do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relay {
    /// Acts at or below this.
    pub below: Hertz,
    /// Part of the power before the event that goes.
    pub sheds: Ratio,
    /// The frequency must be back within the dead band for this long before the power comes back.
    pub recall: Duration,
}

/// Less power at low frequency and more at high, in proportion.
#[derive(Debug, Clone)]
pub struct Droop {
    nominal: f64,
    dead_band: f64,
    droop: f64,
    relays: Vec<Relay>,
    /// Power of the loads before the frequency left the dead band, and when that was.
    before: Option<(Moment, Watts)>,
    /// It has left it, and is not counted as back yet.
    out: bool,
    tripped: Option<Relay>,
    calm_since: Option<Moment>,
    last: Option<Ask>,
    /// The last frequency that was read, Hz, and when.
    seen: Option<(Moment, f64)>,
}

impl Droop {
    /// Half-width of the dead band in hertz; droop as the part of the nominal frequency that moves the
    /// whole capacity: at most 0.05 and 0.017 Hz in ERCOT (NERC BAL-001-TRE).
    pub fn new(nominal: Hertz, dead_band: Hertz, droop: Ratio, mut relays: Vec<Relay>) -> Self {
        relays.sort_by(|a, b| a.below.get().total_cmp(&b.below.get()));
        Self {
            nominal: nominal.get(),
            dead_band: dead_band.get(),
            droop: droop.get(),
            relays,
            before: None,
            out: false,
            tripped: None,
            calm_since: None,
            last: None,
            seen: None,
        }
    }

    /// Whether this frequency asks for something else than the last one that was decided on.
    pub fn differs(&self, hertz: Hertz) -> bool {
        let calm = |hertz: f64| self.is_calm(hertz - self.nominal);
        let (now, before) = (hertz.get(), self.seen.map(|(_, hertz)| hertz));
        match before {
            None => !calm(now),
            Some(before) if calm(now) && calm(before) => false,
            Some(before) => calm(now) != calm(before) || (now - before).abs() >= SMALL,
        }
    }

    /// What the frequency asks now of loads that draw `power` of at most `capacity`, and would draw
    /// `wanted` if it asked nothing; `None` within the dead band. Without a fresh frequency the last ask
    /// holds for ten minutes.
    pub fn step(
        &mut self,
        now: Moment,
        frequency: Option<Reading<Hertz>>,
        power: Watts,
        wanted: Watts,
        capacity: Watts,
    ) -> Option<Ask> {
        let fresh = frequency.as_ref().and_then(|reading| reading.fresh(now, FRESH));
        let Some(hertz) = fresh.map(|hertz| hertz.get()) else {
            if self.seen.is_some_and(|(at, _)| now.since(at) > BLIND) {
                (self.tripped, self.before, self.last) = (None, None, None);
                self.out = false;
            }
            return self.last.clone();
        };
        self.seen = Some((now, hertz));
        let off = hertz - self.nominal;
        if self.is_calm(off) {
            let since = *self.calm_since.get_or_insert(now);
            if self.tripped.is_none_or(|relay| now.since(since) >= relay.recall) {
                (self.tripped, self.last, self.out) = (None, None, false);
                return None;
            }
        } else {
            self.calm_since = None;
        }
        let kept = self.before.filter(|(at, _)| self.out || now.since(*at) <= MEMORY);
        let (at, before) = match kept {
            Some(before) if self.out => before,
            Some((at, before)) => (at, power.max(before.min(wanted))),
            None => (now, power),
        };
        (self.before, self.out) = (Some((at, before)), true);
        // The lowest threshold passed counts, and stays until it is recalled.
        let passed = self.relays.iter().find(|relay| hertz <= relay.below.get());
        let more =
            |relay: &&Relay| self.tripped.is_none_or(|old| relay.sheds.get() > old.sheds.get());
        if let Some(relay) = passed.filter(more) {
            self.tripped = Some(*relay);
        }
        let share = self.share(off);
        let moved = capacity.part(share);
        let left =
            self.tripped.map_or(before, |relay| before.saturating_sub(before.part(relay.sheds)));
        let why = format!("the frequency is {hertz:.3} Hz");
        let ask = if off < 0.0 || self.tripped.is_some() {
            let lowered = if off < 0.0 { before.saturating_sub(moved) } else { before };
            Ask::at_most(Mode::Droop, left.min(lowered), why)
        } else {
            Ask::at_least(Mode::Droop, (before + moved).min(capacity), why)
        };
        self.last = Some(ask.clone());
        Some(ask)
    }

    fn is_calm(&self, off: f64) -> bool {
        // A nanohertz is rounding, not frequency.
        off.abs() <= self.dead_band + 1e-9
    }

    /// Part of the capacity that moves this far from the nominal frequency, hertz.
    fn share(&self, off: f64) -> Ratio {
        let full = self.droop * self.nominal - self.dead_band;
        let part = (off.abs() - self.dead_band) / full.max(1e-6);
        Ratio::new(part.clamp(0.0, 1.0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    fn hz(hertz: f64) -> Hertz {
        Hertz::new(hertz).unwrap()
    }

    fn ercot() -> Droop {
        let relay = Relay {
            below: hz(59.7),
            sheds: Ratio::new(1.0).unwrap(),
            recall: Duration::from_secs(60),
        };
        Droop::new(hz(60.0), hz(0.017), Ratio::new(0.05).unwrap(), vec![relay])
    }

    fn at(droop: &mut Droop, second: u64, hertz: f64) -> Option<Ask> {
        let now = Moment::from_secs(second);
        droop.step(now, Some(Reading::new(hz(hertz), now)), w(500e3), w(500e3), w(1e6))
    }

    #[test]
    fn nothing_moves_within_the_dead_band() {
        for hertz in [59.983, 60.0, 60.017] {
            assert_eq!(at(&mut ercot(), 1, hertz), None, "{hertz}");
        }
    }

    #[test]
    fn a_tenth_of_a_hertz_moves_what_the_standard_says() {
        // (0.1 − 0.017) / (0.05 × 60 − 0.017) = 2.78 % of the capacity.
        let low = at(&mut ercot(), 1, 59.9).unwrap().ceiling.unwrap().get();
        let high = at(&mut ercot(), 1, 60.1).unwrap().floor.unwrap().get();
        assert!((low - (500e3 - 27_824.0)).abs() < 10.0, "{low}");
        assert!((high - (500e3 + 27_824.0)).abs() < 10.0, "{high}");
    }

    #[test]
    fn a_relay_stays_tripped_until_the_frequency_has_been_back_for_its_time() {
        let mut droop = ercot();
        assert_eq!(at(&mut droop, 1, 59.69).unwrap().ceiling, Some(w(0.0)));
        assert_eq!(at(&mut droop, 2, 60.0).unwrap().ceiling, Some(w(0.0)));
        assert_eq!(at(&mut droop, 61, 60.0).unwrap().ceiling, Some(w(0.0)));
        assert_eq!(at(&mut droop, 62, 60.0), None);
    }

    #[test]
    fn a_lost_frequency_holds_the_last_ask_for_ten_minutes() {
        let mut droop = ercot();
        let asked = at(&mut droop, 1, 59.9);
        assert!(asked.is_some());
        let mut blind =
            |second| droop.step(Moment::from_secs(second), None, w(1.0), w(1.0), w(1e6));
        assert_eq!(blind(9), asked);
        assert_eq!(blind(601), asked);
        assert_eq!(blind(602), None);
        assert_eq!(blind(9_000), None);
    }

    #[test]
    fn loads_that_have_yet_to_come_back_do_not_make_the_next_event_count_from_less() {
        // Second, hertz, drawn, wanted, and what the ask counts from: a tenth of a hertz takes 27.8 kW.
        let cases = [
            (1, 59.9, 500e3, 500e3, Some(500e3)),
            (2, 59.9, 472e3, 500e3, Some(500e3)),
            (3, 60.0, 472e3, 500e3, None),
            (4, 59.9, 472e3, 500e3, Some(500e3)),
            (5, 60.0, 472e3, 500e3, None),
            // Somebody else wants less meanwhile, and then more runs than before.
            (6, 59.9, 480e3, 490e3, Some(490e3)),
            (7, 60.0, 480e3, 490e3, None),
            (8, 59.9, 600e3, 600e3, Some(600e3)),
            // An event that goes on counts from where it began, one that begins later from what is drawn.
            (700, 59.9, 572e3, 600e3, Some(600e3)),
            (701, 60.0, 572e3, 600e3, None),
            (702, 59.9, 572e3, 600e3, Some(572e3)),
        ];
        let mut droop = ercot();
        for (second, hertz, drawn, wanted, from) in cases {
            let now = Moment::from_secs(second);
            let read = Some(Reading::new(hz(hertz), now));
            let ask = droop.step(now, read, w(drawn), w(wanted), w(1e6));
            let asked = ask.map(|ask| ask.ceiling.unwrap().get() + 27_824.0);
            let off = asked.zip(from).map_or(0.0, |(asked, from)| (asked - from).abs());
            assert!(asked.is_some() == from.is_some() && off < 10.0, "{second}: {asked:?}");
        }
    }

    #[test]
    fn only_a_frequency_that_asks_for_something_else_differs() {
        let mut droop = ercot();
        assert!(!droop.differs(hz(60.01)) && droop.differs(hz(59.9)));
        at(&mut droop, 1, 60.0);
        assert!(!droop.differs(hz(60.016)) && droop.differs(hz(59.98)));
        at(&mut droop, 2, 59.9);
        assert!(!droop.differs(hz(59.903)) && droop.differs(hz(59.89)) && droop.differs(hz(60.0)));
    }
}
