//! The least and the most that a zone can draw, and for how long, before its comfort, its outlet, its
//! machines' times or a hygienic cycle forbid it. A forecast and nothing else: what is done with it, and
//! when the zone lets go, somebody else decides.
//!
//! ```text
//!  °C   ┌ high ──────────────── less the doubt ─┐ most: full power until here,
//!       │        ╱                               │ or until the outlet is too hot for it
//!  is ──┼───────●
//!       │        ╲                               │ least: idle until here, if the machines may
//!       └ low ───────────────── plus the doubt ─┘ stop now and will be allowed to start again
//! ```

use super::{Body, Guard, Heater, Watch};
use std::time::Duration;
use units::{Celsius, Moment, Watts};

const MINUTE: Duration = Duration::from_secs(60);
/// No weather is known for longer, minutes.
const LONGEST: u32 = 8 * 60;
/// An order is not begun for less.
const BEGIN: Duration = Duration::from_secs(300);
/// Outdoors it becomes colder or warmer by so much each hour, and by no more in all, K.
const DRIFT_K: (f64, f64) = (1.0, 8.0);
/// Where nobody measures it: as cold as on a design day, °C.
const COLDEST: f64 = -10.0;
/// Heat capacities that somebody states may be smaller: so much of them is counted on.
const CAUTION: f64 = 0.75;
/// Left to the bound for sensors and ramps, K.
const SPARE_K: f64 = 0.1;
/// The outlet's safety takes power away over so many kelvin below its limit.
const SOFT_K: f64 = 5.0;

/// How far an order may take a zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leeway {
    /// Below and above the set-point, K.
    pub band_k: f64,
    /// By how much an hour of the model may be wrong as long as no day was seen, K.
    pub doubt_k: f64,
}

/// A power, and how long it can be held; `None` without end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hold {
    /// Of the zone's machines.
    pub power: Watts,
    /// From now on.
    pub lasts: Option<Duration>,
}

impl Hold {
    fn alone(power: Watts) -> Self {
        Self { power, lasts: None }
    }
}

/// Between which powers a zone may be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// The least.
    pub least: Hold,
    /// The most.
    pub most: Hold,
}

impl Offer {
    /// Nothing but what the zone draws by itself.
    pub fn none(alone: Watts) -> Self {
        Self { least: Hold::alone(alone), most: Hold::alone(alone) }
    }

    /// The same beside what it would draw alone by now.
    pub fn around(self, alone: Watts) -> Self {
        let below = self.least.power < alone;
        let above = self.most.power > alone;
        Self {
            least: if below { self.least } else { Hold::alone(alone) },
            most: if above { self.most } else { Hold::alone(alone) },
        }
    }

    /// What of this power the zone can be told.
    pub fn limit(&self, power: Watts) -> Watts {
        power.max(self.least.power).min(self.most.power)
    }
}

/// A zone at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Stands<'a> {
    /// Now.
    pub now: Moment,
    /// Its temperature.
    pub is: Celsius,
    /// What it is to have.
    pub set_point: Celsius,
    /// What it loses heat to, if that is known.
    pub ambient: Option<Celsius>,
    /// Temperature at the outlet where it is measured, and its limit.
    pub outlet: Option<(Celsius, Celsius)>,
    /// What its control draws.
    pub alone: Watts,
    /// It does as it was told already.
    pub follows: bool,
    /// Time until it must be heated for a hygienic cycle.
    pub free: Option<Duration>,
    /// Its switching times.
    pub guard: &'a Guard,
    /// How long its machines stay on and off at least, whatever the zone's times are.
    pub stays: (Duration, Duration),
    /// Its machines.
    pub heater: &'a Heater,
    /// Its model.
    pub watch: &'a Watch,
}

/// What a zone can be told now. It is never less than `alone` downwards or upwards.
pub fn offer(leeway: &Leeway, zone: &Stands<'_>) -> Offer {
    let alone = Hold::alone(zone.alone);
    let of = |hold: Option<Hold>| hold.unwrap_or(alone);
    let all = Offer { least: of(least(leeway, zone)), most: of(most(leeway, zone)) };
    all.around(zone.alone)
}

fn least(leeway: &Leeway, zone: &Stands<'_>) -> Option<Hold> {
    let Stands { now, guard, heater, .. } = *zone;
    let held = guard.held(now);
    let rest = |least: Duration| held.map_or(Duration::ZERO, |held| least.saturating_sub(held));
    let low = zone.set_point.get() - leeway.band_k;
    let idle = || {
        let free = cooling(leeway, zone, low, heater.idle());
        // Off, it must be warm enough until it may start again; what is off already cannot be helped.
        let off = guard.times().min_off.max(zone.stays.1);
        let stops = rest(guard.times().min_on).is_zero() && free >= off.max(guard.start_in(now));
        (!guard.on() || stops).then_some((heater.idle(), free))
    };
    let lowest = || Some((heater.lowest(), cooling(leeway, zone, low, heater.lowest())));
    hold(zone, [idle(), lowest()])
}

fn most(leeway: &Leeway, zone: &Stands<'_>) -> Option<Hold> {
    let Stands { now, guard, heater, .. } = *zone;
    let high = zone.set_point.get() + leeway.band_k;
    let held = guard.held(now);
    let starts = !guard.on();
    let may_start =
        held.is_none_or(|held| held >= guard.times().min_off) && guard.start_in(now).is_zero();
    if starts && !may_start {
        return None;
    }
    let on_for = guard.times().min_on.max(zone.stays.0).saturating_sub(match starts {
        true => Duration::ZERO,
        false => held.unwrap_or(Duration::MAX),
    });
    let full = heater.highest();
    let part = match zone.outlet {
        None => full,
        Some((outlet, limit)) => {
            let above = zone.watch.outlet_k_per_w()?;
            // What can be held up to the top of the band, and within the outlet's limit now.
            let part = |room: f64| room / (above + SOFT_K / full.get().max(1.0));
            let now = (limit.get() - outlet.get()) / SOFT_K * full.get();
            Watts::new(part(limit.get() - high).min(now).clamp(0.0, full.get())).ok()?
        }
    };
    let lasts = |power: Watts| {
        heater.hashes_at(power).then(|| (power, heating(leeway, zone, high, power, on_for)))
    };
    let until_hot = match zone.outlet {
        None => None,
        // At full power only as far as the outlet allows.
        Some((outlet, limit)) => zone.watch.outlet_k_per_w().and_then(|above| {
            let bound = limit.get() - full.get() * above - SOFT_K;
            let now = limit.get() - outlet.get() >= SOFT_K;
            (now && bound < high).then(|| (full, heating(leeway, zone, bound, full, on_for)))
        }),
    };
    hold(zone, [until_hot, lasts(part)])
}

/// The first that can be held for long enough to begin with it.
fn hold(zone: &Stands<'_>, of: [Option<(Watts, Duration)>; 2]) -> Option<Hold> {
    let least = if zone.follows { MINUTE } else { BEGIN };
    let lasts = |time: Duration| zone.free.map_or(time, |free| free.min(time));
    let mut fit = of.into_iter().flatten().map(|(power, time)| (power, lasts(time)));
    let (power, time) = fit.find(|(_, time)| *time >= least)?;
    Some(Hold { power, lasts: Some(time) })
}

/// How long it stays above `low` at this power.
fn cooling(leeway: &Leeway, zone: &Stands<'_>, low: f64, power: Watts) -> Duration {
    let ambient = zone.ambient.map_or(COLDEST, Celsius::get);
    let (fall, _) = zone.watch.doubt_k(leeway.doubt_k);
    let bound = |hours: f64| low + SPARE_K + fall * hours.max(1.0);
    let around = |hours: f64| ambient - (DRIFT_K.0 * hours).min(DRIFT_K.1);
    let mut course = Course::new(zone, power);
    (1..=LONGEST)
        .find(|minute| {
            let hours = f64::from(*minute) / 60.0;
            course.minute(around(hours)) < bound(hours)
        })
        .map_or(MINUTE * LONGEST, |minute| MINUTE * (minute - 1))
}

/// How long it stays below `high` at this power, and after that at its lowest for as long as its machines
/// must stay on.
fn heating(leeway: &Leeway, zone: &Stands<'_>, high: f64, power: Watts, on: Duration) -> Duration {
    // What it would lose is not counted on where nobody measures what is around.
    let ambient = zone.ambient.map_or(zone.is.get(), Celsius::get);
    let (_, rise) = zone.watch.doubt_k(leeway.doubt_k);
    let bound = |hours: f64| high - SPARE_K - rise * hours.max(1.0);
    let around = |hours: f64| ambient + (DRIFT_K.0 * hours).min(DRIFT_K.1);
    let on = (on.as_secs() / 60) as u32;
    let mut course = Course::new(zone, power);
    for minute in 1..=LONGEST {
        let hours = f64::from(minute) / 60.0;
        let mut warm = course.minute(around(hours)) > bound(hours);
        if minute < on && !warm {
            let mut after = course.at(zone.heater.lowest());
            warm = (minute + 1..=on).any(|minute| {
                let hours = f64::from(minute) / 60.0;
                after.minute(around(hours)) > bound(hours)
            });
        }
        if warm {
            return MINUTE * (minute - 1);
        }
    }
    MINUTE * LONGEST
}

/// The model by minutes.
#[derive(Clone, Copy)]
struct Course {
    heat: f64,
    body: Body,
    mean: f64,
    front: f64,
}

impl Course {
    fn new(zone: &Stands<'_>, power: Watts) -> Self {
        let front = zone.watch.front_k();
        let body = zone.watch.body().of_capacity(CAUTION);
        Self { heat: power.get(), body, mean: zone.is.get() - front, front }
    }

    fn at(self, power: Watts) -> Self {
        Self { heat: power.get(), ..self }
    }

    /// A minute later; what the sensor shows.
    fn minute(&mut self, ambient: f64) -> f64 {
        let state = (self.mean, self.front);
        (self.mean, self.front) = self.body.after(state, self.heat, ambient, 1.0 / 60.0);
        self.mean + self.front
    }
}
