//! Hot water that stays free of legionella: all of a tank is at 60 °C for a while at regular intervals.
//! It says when that is due; somebody else heats.

use super::{Ahead, Cycle};
use std::time::Duration;
use units::{Celsius, HeatCapacity, Moment, Watts};

/// A tank's hygienic cycle. Until a first cycle was seen, one is due.
#[derive(Debug, Clone)]
pub struct Hygiene {
    /// All of the tank reaches this.
    pub hot: Celsius,
    /// For this long.
    pub hold: Duration,
    /// Once in this time.
    pub every: Duration,
    hot_since: Option<Moment>,
    done: Option<Moment>,
    /// Heating to it has begun, and goes on until it is done: since when, and how long it may take.
    begun: Option<(Moment, Duration)>,
}

impl Hygiene {
    /// 60 °C for 30 minutes once in this time, a week in most rules (DVGW W 551 asks it daily of large
    /// systems).
    pub fn new(every: Duration) -> Self {
        Self {
            hot: Celsius::new(60.0).unwrap_or(Celsius::ZERO),
            hold: Duration::from_secs(1800),
            every,
            hot_since: None,
            done: None,
            begun: None,
        }
    }

    /// What a control heats the tank to meanwhile: somewhat more, as it may stay a little below, and
    /// cold water comes in.
    pub fn set_point(&self) -> Celsius {
        const MORE_K: f64 = 3.0;
        Celsius::new(self.hot.get() + MORE_K).unwrap_or(self.hot)
    }

    /// Watches the coldest place in the tank; an unknown temperature counts as cold.
    pub fn observe(&mut self, now: Moment, coldest: Option<Celsius>) {
        if coldest.is_none_or(|coldest| coldest < self.hot) {
            self.hot_since = None;
            return;
        }
        let since = *self.hot_since.get_or_insert(now);
        if now.since(since) >= self.hold {
            (self.done, self.begun) = (Some(now), None);
        }
    }

    /// Time left until the tank must have been hot; none when overdue.
    pub fn left(&self, now: Moment) -> Duration {
        self.done.map_or(Duration::ZERO, |done| self.every.saturating_sub(now.since(done)))
    }

    /// The cycle, once heating to it must begin or has begun and is not done. With this power, the lowest
    /// of the machines, because near 60 °C their outlet may allow no more, it takes as long as is left,
    /// half as much again for what is drawn meanwhile. Late when two thirds of that have passed: the rest
    /// is the backup heater's.
    pub fn cycle(
        &mut self,
        now: Moment,
        mean: Celsius,
        tank: HeatCapacity,
        power: Watts,
    ) -> Option<Cycle> {
        let takes = self.takes(mean, tank, power);
        if self.begun.is_none() && self.left(now) <= takes {
            self.begun = Some((now, takes));
        }
        let (begun, takes) = self.begun?;
        Some(Cycle { to: self.set_point(), late: 3 * now.since(begun) >= 2 * takes })
    }

    /// Time until heating to it must begin from this temperature; nothing while it is under way.
    pub fn begins_in(
        &self,
        now: Moment,
        mean: Celsius,
        tank: HeatCapacity,
        power: Watts,
    ) -> Duration {
        match self.begun {
            Some(_) => Duration::ZERO,
            None => self.left(now).saturating_sub(self.takes(mean, tank, power)),
        }
    }

    /// Raises the limits of a predictive control, in steps of this length, for the cheapest hours in
    /// which the cycle can be done before it must be; does nothing while that is farther ahead than
    /// these steps. A cycle that is missed then is tried again in what is left.
    pub fn plan(
        &self,
        now: Moment,
        mean: Celsius,
        tank: HeatCapacity,
        power: Watts,
        step: Duration,
        ahead: &mut [Ahead],
    ) {
        let steps = |time: Duration| time.as_secs_f64() / step.as_secs_f64().max(1.0);
        let takes = self.takes(mean, tank, power);
        let end = steps(self.left(now).saturating_sub(takes)) as usize;
        // Half an hour at 60 °C, and as long before and after it in case.
        let (heats, holds) = (steps(takes).ceil() as usize, steps(3 * self.hold).ceil() as usize);
        if end > ahead.len() || end < heats + holds {
            return;
        }
        let price = |first: usize| {
            let during = ahead.get(first..first + heats + holds).unwrap_or_default();
            during.iter().map(|ahead| ahead.price.usd_per_kwh()).sum::<f64>()
        };
        let cheapest = (0..=end - heats - holds).min_by(|a, b| price(*a).total_cmp(&price(*b)));
        let first = cheapest.unwrap_or(0);
        for (at, ahead) in ahead.iter_mut().enumerate().skip(first).take(heats + holds) {
            let above = Celsius::new(self.set_point().get() + 2.0).unwrap_or(self.hot);
            ahead.high = warmer(ahead.high, above);
            if at >= first + heats {
                ahead.low = warmer(ahead.low, self.set_point());
            }
        }
    }

    /// Time to heat the tank to it and hold it, and once more in case.
    fn takes(&self, mean: Celsius, tank: HeatCapacity, power: Watts) -> Duration {
        let lift = (self.hot.get() - mean.get()).max(0.0);
        let hours = 1.5 * tank.get() * lift / power.get().max(1.0);
        let heats = Duration::try_from_secs_f64(3600.0 * hours).unwrap_or(Duration::MAX);
        heats.saturating_add(2 * self.hold)
    }
}

fn warmer(a: Celsius, b: Celsius) -> Celsius {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::{EnergyPrice, NetWatts};

    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    fn c(value: f64) -> Option<Celsius> {
        Celsius::new(value).ok()
    }

    #[test]
    fn a_cycle_counts_only_after_half_an_hour_without_a_break() {
        let mut hygiene = Hygiene::new(WEEK);
        let minute = |count: u64| Moment::from_secs(60 * count);
        for (at, coldest, done) in [
            (0, c(61.0), false),
            (20, c(59.0), false),
            (25, c(60.0), false),
            (50, c(60.0), false),
            (55, c(60.5), true),
        ] {
            hygiene.observe(minute(at), coldest);
            assert_eq!(hygiene.left(minute(at)) == WEEK, done, "{at}");
        }
        hygiene.observe(minute(60), None);
        assert_eq!(hygiene.left(minute(65)), WEEK - Duration::from_secs(600));
    }

    #[test]
    fn a_cycle_is_planned_for_the_cheapest_hours_before_its_deadline() {
        let mut hygiene = Hygiene::new(WEEK);
        hygiene.observe(Moment::default(), c(60.0));
        hygiene.observe(Moment::from_secs(1800), c(60.0));
        let (hour, low) = (Duration::from_secs(3600), c(50.0).unwrap());
        let ahead: Vec<Ahead> = (0..24)
            .map(|hour| Ahead {
                ambient: c(20.0).unwrap(),
                gain: NetWatts::ZERO,
                low,
                high: c(55.0).unwrap(),
                price: EnergyPrice::per_kwh(if hour == 14 { 0.05 } else { 0.2 }).unwrap(),
            })
            .collect();
        let tank = HeatCapacity::of_water(300.0).unwrap();
        let power = Watts::new(2400.0).unwrap();
        let hours = |day: u64| {
            let mut ahead = ahead.clone();
            let now = Moment::from_secs(86_400 * day);
            hygiene.plan(now, low, tank, power, hour, &mut ahead);
            (0..24).filter(|&hour| ahead[hour].low > low).collect::<Vec<_>>()
        };
        assert_eq!(hours(3), [0; 0]);
        // 3.5 kWh take up to three hours with the half hour at 60 °C.
        assert!(hours(6).contains(&14), "{:?}", hours(6));
    }

    #[test]
    fn an_empty_tank_is_heated_before_its_legionella_deadline() {
        let mut hygiene = Hygiene::new(WEEK);
        for minute in 0..=30 {
            hygiene.observe(Moment::from_secs(60 * minute), c(60.0));
        }
        let tank = HeatCapacity::of_water(300.0).unwrap();
        let (cold, power) = (c(10.0).unwrap(), Watts::new(1500.0).unwrap());
        let begins = (0..7 * 24)
            .find(|&hour| {
                hygiene.cycle(Moment::from_secs(3600 * hour), cold, tank, power).is_some()
            })
            .unwrap();
        // 17.4 kWh at 1.5 kW take 11.6 h; it began at least half as much again before.
        assert!((145..=151).contains(&begins), "{begins}");
        // Almost hot it still goes on, until half an hour at 60 °C is done.
        let (almost, later) =
            (c(59.5).unwrap(), |minute: u64| Moment::from_secs(3600 * begins + 60 * minute));
        let cycle = hygiene.cycle(later(1), almost, tank, power).unwrap();
        assert!(!cycle.late && cycle.to == c(63.0).unwrap());
        for minute in 2..=32 {
            hygiene.observe(later(minute), c(60.0));
        }
        assert_eq!(hygiene.cycle(later(33), almost, tank, power), None);
    }

    #[test]
    fn a_cycle_is_late_when_two_thirds_of_its_time_have_passed_and_not_because_the_first_is_due() {
        let mut hygiene = Hygiene::new(WEEK);
        let (tank, power) = (HeatCapacity::of_water(300.0).unwrap(), Watts::new(1000.0).unwrap());
        let mut late = |minute: u64| {
            let now = Moment::from_secs(60 * minute);
            hygiene.observe(now, c(55.0));
            hygiene.cycle(now, c(50.0).unwrap(), tank, power).unwrap().late
        };
        // 3.5 kWh at 1 kW and half as much again are 5.2 h, and twice half an hour at 60 °C: of 6.2 h.
        assert_eq!((0..600).find(|&minute| late(minute)), Some(250));
    }
}
