//! One heated body with its machines: a control, switching times, safety and a backup heater, each
//! asked in that order and each able to overrule the one before. It knows no other zone.

use super::{Ahead, Guard, Heater, Pi, Predictive, Safety, Thermostat, Verdict};
use std::time::Duration;
use units::{Celsius, Moment, Reading, Watts};

/// What decides the power.
#[derive(Debug, Clone)]
pub enum Control {
    /// Full power or none.
    Thermostat(Thermostat),
    /// As much as is needed.
    Pi(Pi),
    /// As much as is cheapest; the PI controller takes over while nothing is known of what is ahead.
    Predictive(Box<Predictive>, Pi),
}

/// What a zone should be and is.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Room, tank or pool.
    pub is: Option<Reading<Celsius>>,
    /// Exhaust air or fluid of the machines.
    pub outlet: Option<Reading<Celsius>>,
    /// Set-point of all controls but the predictive, whose limits are in `ahead`. Colder than this is
    /// too cold, also during a hygienic cycle.
    pub set_point: Celsius,
    /// While a hygienic cycle is under way.
    pub hygiene: Option<Cycle>,
    /// What the machines draw.
    pub drawn: Watts,
    /// Begins now; may be empty.
    pub ahead: &'a [Ahead],
}

/// A hygienic cycle that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cycle {
    /// Full power up to this, then the lowest until it is done; what the outlet allows of either.
    pub to: Celsius,
    /// The machines have had their time and it is not done: the backup heater lifts the rest.
    pub late: bool,
}

/// What a zone gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heating {
    /// For the machines.
    pub power: Watts,
    /// The backup heater is to run; it has a thermostat of its own.
    pub backup: bool,
    /// Why.
    pub why: Reason,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The control.
    Control,
    /// Least time on or off, or starts of a day.
    Times,
    /// The outlet is near or above its limit, or nobody knows.
    TooHot,
    /// Nobody knows how warm the zone is: machines idle, the backup heater has the zone.
    Blind,
}

/// What somebody else wants of a zone, in place of its control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// Of its machines; times and safety act as on the control's.
    pub power: Watts,
    /// It may become so cold: the backup heater waits for that instead of the set-point.
    pub low: Celsius,
}

/// One heated body.
#[derive(Debug, Clone)]
pub struct Zone {
    control: Control,
    guard: Guard,
    safety: Safety,
    last: Option<Moment>,
    /// Wh since the last plan, and hours.
    drawn: (f64, f64),
    cold_since: Option<Moment>,
    backup: bool,
    held: bool,
    /// While somebody wants heat now, whatever it costs.
    at_once: Option<Thermostat>,
    order: Option<Order>,
    /// So cold it may be because of an order, the last of which was then, until it has recovered.
    lowered: Option<(Celsius, Moment)>,
    alone: Watts,
}

impl Zone {
    /// Never heated yet.
    pub fn new(control: Control, guard: Guard, safety: Safety) -> Self {
        Self {
            control,
            guard,
            safety,
            last: None,
            drawn: (0.0, 0.0),
            cold_since: None,
            backup: false,
            held: false,
            at_once: None,
            order: None,
            lowered: None,
            alone: Watts::ZERO,
        }
    }

    /// A temperature of the zone older than this is none.
    const STALE: Duration = Duration::from_secs(600);
    /// The backup heater starts after this long this many kelvin too cold, and stops at half of that.
    const BACKUP: (Duration, f64) = (Duration::from_secs(1800), 1.5);

    /// What an order took has been made up for within this time, or somebody else has to.
    const RECOVERS: Duration = Duration::from_secs(4 * 3600);

    /// Hysteresis of heat at once, K.
    const AT_ONCE_BAND: f64 = 0.5;

    /// Full power until the set-point is reached, and whenever it is missed, in place of the control.
    pub fn heat_at_once(&mut self, on: bool) {
        if on != self.at_once.is_some() {
            self.at_once = on.then(|| Thermostat::new(Self::AT_ONCE_BAND));
        }
    }

    /// Does as it is told by somebody else, or no longer so. Hygiene and heat at once come first.
    pub fn follow(&mut self, order: Option<Order>) {
        self.order = order;
    }

    /// Whether it can be told anything now: neither must it be hygienic nor warm at once.
    pub fn can_follow(&self) -> bool {
        self.at_once.is_none()
    }

    /// What it would draw now without an order.
    pub fn alone(&self) -> Watts {
        self.alone
    }

    /// Whether its machines are on, and since when.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What decides its power.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Decides the power from now until the next step.
    pub fn step(&mut self, now: Moment, wanted: &Wanted, heater: &Heater) -> Heating {
        let dt = self.last.map_or(Duration::ZERO, |last| now.since(last));
        self.last = Some(now);
        let hours = dt.as_secs_f64() / 3600.0;
        self.drawn = (self.drawn.0 + wanted.drawn.get() * hours, self.drawn.1 + hours);

        let verdict = self.safety.step(now, wanted.outlet);
        let is = wanted.is.and_then(|is| is.fresh(now, Self::STALE).copied());
        let free = wanted.hygiene.is_none() && self.can_follow();
        let order = self.order.filter(|_| free);
        let cold = self.cold_below(now, is, wanted.set_point, order);
        self.watch_cold(now, is, cold);
        let Some(is) = is else {
            let power = self.limited(now, heater.idle(), verdict, heater).0;
            self.alone = power;
            return Heating { power, backup: true, why: Reason::Blind };
        };
        let asked = self.ask(now, dt, is, wanted, heater);
        // Its times as they stand, as if nobody had told it anything.
        self.alone = match order {
            Some(_) => limit(self.guard.clone().apply(now, asked, heater), verdict, heater).0,
            None => Watts::ZERO,
        };
        let told = order.map_or(asked, |order| order.power);
        let (power, why) = self.limited(now, told, verdict, heater);
        if order.is_none() {
            self.alone = power;
        }
        self.held = power != asked;
        let late = wanted.hygiene.is_some_and(|cycle| cycle.late);
        Heating { power, backup: self.backup || late, why }
    }

    fn ask(
        &mut self,
        now: Moment,
        dt: Duration,
        is: Celsius,
        wanted: &Wanted,
        heater: &Heater,
    ) -> Watts {
        let set_point = wanted.set_point;
        if let Some(cycle) = wanted.hygiene {
            return if is < cycle.to { heater.highest() } else { heater.lowest() };
        }
        if let Some(thermostat) = &mut self.at_once {
            return thermostat.step(is, set_point, heater);
        }
        match &mut self.control {
            Control::Thermostat(thermostat) => thermostat.step(is, set_point, heater),
            Control::Pi(pi) => pi.step(dt, is, set_point, self.held, heater),
            Control::Predictive(predictive, pi) => {
                let mean = if self.drawn.1 > 0.0 { self.drawn.0 / self.drawn.1 } else { 0.0 };
                let mean = Watts::new(mean).unwrap_or(Watts::ZERO);
                let before = predictive.following().map(|(at, _)| at);
                let planned = predictive.step(now, is, mean, &self.guard, wanted.ahead, heater);
                if predictive.following().map(|(at, _)| at) != before {
                    self.drawn = (0.0, 0.0);
                }
                planned.unwrap_or_else(|| pi.step(dt, is, set_point, self.held, heater))
            }
        }
    }

    fn limited(
        &mut self,
        now: Moment,
        asked: Watts,
        verdict: Verdict,
        heater: &Heater,
    ) -> (Watts, Reason) {
        if verdict == Verdict::Cut {
            self.guard.cut(now);
            return (heater.idle(), Reason::TooHot);
        }
        let timed = self.guard.apply(now, asked, heater);
        match limit(timed, verdict, heater) {
            (power, true) => (power, Reason::TooHot),
            (power, false) if power == asked => (power, Reason::Control),
            (power, false) => (power, Reason::Times),
        }
    }

    /// Colder than this is too cold for the owner, with what an order may take remembered until it has
    /// been made up for.
    fn cold_below(
        &mut self,
        now: Moment,
        is: Option<Celsius>,
        set: Celsius,
        order: Option<Order>,
    ) -> Celsius {
        let warm = is.is_none_or(|is| set.get() - is.get() <= Self::BACKUP.1 / 2.0);
        self.lowered = match order {
            Some(order) => Some((order.low, now)),
            None => self.lowered.filter(|(_, at)| !warm && now.since(*at) < Self::RECOVERS),
        };
        self.lowered.map(|(low, _)| low).filter(|low| *low < set).unwrap_or(set)
    }

    fn watch_cold(&mut self, now: Moment, is: Option<Celsius>, set_point: Celsius) {
        let short = is.map_or(f64::INFINITY, |is| set_point.get() - is.get());
        let (patience, kelvin) = Self::BACKUP;
        if short < kelvin {
            self.cold_since = None;
        } else {
            let since = *self.cold_since.get_or_insert(now);
            self.backup |= now.since(since) >= patience;
        }
        self.backup &= short > kelvin / 2.0;
    }
}

/// What safety leaves of a power, and whether that is less.
fn limit(power: Watts, verdict: Verdict, heater: &Heater) -> (Watts, bool) {
    let Verdict::AtMost(part) = verdict else { return (heater.idle(), true) };
    let most = Watts::new(part * heater.highest().get()).unwrap_or(Watts::ZERO);
    if power <= Watts::max(most, heater.idle()) {
        return (power, false);
    }
    // Below the lowest power that is stable only the cut is left, and it comes by itself.
    (Watts::max(most, heater.lowest()), true)
}

#[cfg(test)]
mod tests {
    use super::super::guard::tests::heater;
    use super::super::{Medium, Times};
    use super::*;

    fn zone() -> Zone {
        let pi = Pi::new(2000.0, Duration::from_secs(3 * 3600));
        Zone::new(Control::Pi(pi), Guard::new(Times::default()), Safety::new(Medium::Air))
    }

    fn c(value: f64) -> Celsius {
        Celsius::new(value).unwrap()
    }

    /// Decides every minute; room and outlet by minute, `None` for a sensor that is lost.
    fn run(
        zone: &mut Zone,
        minutes: std::ops::Range<u64>,
        room: Option<f64>,
        outlet: Option<f64>,
    ) -> Heating {
        let heater = heater();
        let mut last = None;
        for minute in minutes {
            let now = Moment::from_secs(60 * minute);
            let wanted = Wanted {
                is: room.map(|t| Reading::new(c(t), now)),
                outlet: outlet.map(|t| Reading::new(c(t), now)),
                set_point: c(20.0),
                hygiene: None,
                drawn: Watts::ZERO,
                ahead: &[],
            };
            last = Some(zone.step(now, &wanted, &heater));
        }
        last.unwrap()
    }

    #[test]
    fn a_lost_room_sensor_leaves_the_room_to_the_backup_heater() {
        let mut zone = zone();
        assert!(run(&mut zone, 0..40, Some(18.6), Some(40.0)).power >= heater().lowest());
        let blind = run(&mut zone, 40..80, None, Some(40.0));
        assert_eq!(blind, Heating { power: heater().idle(), backup: true, why: Reason::Blind });
        assert!(!run(&mut zone, 80..82, Some(19.9), Some(40.0)).backup);
    }

    #[test]
    fn the_backup_heater_leaves_an_order_its_bound_and_what_follows_it_four_hours() {
        let mut zone = zone();
        zone.follow(Some(Order { power: heater().idle(), low: c(17.0) }));
        assert!(!run(&mut zone, 0..120, Some(17.5), Some(40.0)).backup);
        zone.follow(None);
        let after = run(&mut zone, 120..340, Some(17.5), Some(40.0));
        assert!(!after.backup && after.power > heater().idle(), "{after:?}");
        assert!(run(&mut zone, 340..400, Some(17.5), Some(40.0)).backup, "it does not recover");
        zone.follow(Some(Order { power: heater().idle(), low: c(17.0) }));
        assert!(run(&mut zone, 500..540, Some(15.4), Some(40.0)).backup, "colder than agreed");
    }

    #[test]
    fn the_backup_heater_comes_when_the_machines_do_not_suffice() {
        let mut zone = zone();
        assert!(!run(&mut zone, 0..25, Some(18.0), Some(40.0)).backup);
        assert!(run(&mut zone, 25..35, Some(18.0), Some(40.0)).backup);
        assert!(run(&mut zone, 35..40, Some(19.0), Some(40.0)).backup);
        assert!(!run(&mut zone, 40..45, Some(19.5), Some(40.0)).backup);
    }

    #[test]
    fn heat_at_once_is_full_power_to_the_set_point_and_still_within_safety() {
        let mut zone = zone();
        assert!(run(&mut zone, 0..5, Some(19.5), Some(30.0)).power < heater().highest());
        zone.heat_at_once(true);
        assert_eq!(run(&mut zone, 5..6, Some(19.5), Some(30.0)).power, heater().highest());
        assert!(run(&mut zone, 6..7, Some(19.5), Some(47.5)).power < heater().highest());
        assert_eq!(run(&mut zone, 60..61, Some(20.3), Some(30.0)).power, heater().idle());
        zone.heat_at_once(false);
        assert!(run(&mut zone, 120..125, Some(19.5), Some(30.0)).power < heater().highest());
    }

    #[test]
    fn an_outlet_that_is_too_hot_is_cut_at_once_whatever_the_switching_times_say() {
        let mut zone = zone();
        assert!(run(&mut zone, 0..5, Some(15.0), Some(40.0)).power == heater().highest());
        let soft = run(&mut zone, 5..6, Some(15.0), Some(47.5));
        assert_eq!((soft.power.get(), soft.why), (3000.0, Reason::TooHot));
        let cut = run(&mut zone, 6..7, Some(15.0), Some(53.0));
        assert_eq!((cut.power, cut.why), (heater().idle(), Reason::TooHot));
        // Cool again, but off for less than its least time.
        let cool = run(&mut zone, 7..8, Some(15.0), Some(35.0));
        assert_eq!((cool.power, cool.why), (heater().idle(), Reason::Times));
        assert!(run(&mut zone, 8..25, Some(15.0), Some(35.0)).power == heater().highest());
    }

    #[test]
    fn a_hygienic_cycle_is_heated_at_full_power_up_to_its_set_point_by_any_control() {
        let heater = heater();
        let mut zone = zone();
        for (minute, is, power) in
            [(0, 59.9, heater.highest()), (1, 62.9, heater.highest()), (2, 63.1, heater.lowest())]
        {
            let now = Moment::from_secs(60 * minute);
            let wanted = Wanted {
                is: Some(Reading::new(c(is), now)),
                outlet: Some(Reading::new(c(40.0), now)),
                set_point: c(50.0),
                hygiene: Some(Cycle { to: c(63.0), late: false }),
                drawn: Watts::ZERO,
                ahead: &[],
            };
            assert_eq!(zone.step(now, &wanted, &heater).power, power, "{is}");
        }
    }

    #[test]
    fn a_hygienic_cycle_starts_the_backup_heater_only_once_the_machines_have_had_their_time() {
        let heater = heater();
        let mut zone = zone();
        let mut backup = |minute: u64, is, late| {
            let now = Moment::from_secs(60 * minute);
            let wanted = Wanted {
                is: Some(Reading::new(c(is), now)),
                outlet: Some(Reading::new(c(40.0), now)),
                set_point: c(50.0),
                hygiene: Some(Cycle { to: c(63.0), late }),
                drawn: Watts::ZERO,
                ahead: &[],
            };
            zone.step(now, &wanted, &heater).backup
        };
        // 13 K below what the cycle heats to, and as warm as anybody wants.
        assert!((0..300).all(|minute| !backup(minute, 50.0, false)));
        assert!(backup(300, 59.0, true));
        assert!(!backup(301, 60.5, false));
        // A tank that is too cold for its owner gets it meanwhile, too.
        assert!((302..340).any(|minute| backup(minute, 48.0, false)));
    }

    #[test]
    fn without_forecast_the_predictive_control_heats_like_pi() {
        use super::super::{Body, Comfort};
        use units::{HeatCapacity, HeatLoss, Usd};
        let capacity = HeatCapacity::new(8000.0).unwrap();
        let body = Body::mixed(capacity, HeatLoss::new(200.0).unwrap());
        let comfort = Comfort { below: Usd::ZERO, above: Usd::ZERO };
        let step = Duration::from_secs(900);
        let predictive = Predictive::new(body, step, comfort, Usd::ZERO, Times::default());
        let pi = Pi::new(2000.0, Duration::from_secs(3 * 3600));
        let mut zone = zone();
        let with_pi = run(&mut zone, 0..300, Some(18.6), Some(40.0));
        zone = Zone::new(
            Control::Predictive(Box::new(predictive), pi),
            Guard::new(Times::default()),
            Safety::new(Medium::Air),
        );
        assert_eq!(run(&mut zone, 0..300, Some(18.6), Some(40.0)), with_pi);
    }
}
