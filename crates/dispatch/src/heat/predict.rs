//! Predictive heat: the cheapest power over the hours ahead that keeps a body warm, given price,
//! weather and what hashes earn. Plans with one heat capacity behind one loss (1R1C), of which a
//! front may follow the heat sooner, and learns what that leaves out. It knows no sensor and no clock.

use super::{Body, Guard, Heater, Times};
use std::time::Duration;
use units::{Celsius, EnergyPrice, Moment, NetWatts, Usd, Watts};

/// One step of what is ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// What the body loses heat to.
    pub ambient: Celsius,
    /// Heat that comes or goes besides: sun in, hot water out.
    pub gain: NetWatts,
    /// Not colder than this.
    pub low: Celsius,
    /// Not warmer than this.
    pub high: Celsius,
    /// Price of electricity.
    pub price: EnergyPrice,
}

/// What discomfort costs in the plan, dollars for a kelvin and hour.
#[derive(Debug, Clone, Copy)]
pub struct Comfort {
    /// Below the lower limit.
    pub below: Usd,
    /// Above the upper one.
    pub above: Usd,
}

/// One step of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    /// Power drawn.
    pub power: Watts,
    /// Temperature expected at its end.
    pub temperature: Celsius,
}

/// What to draw, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatPlan {
    /// Steps from now on.
    pub steps: Vec<Planned>,
    /// Electricity less what hashes earn, expected; comfort not counted.
    pub cost: Usd,
}

/// The controller.
#[derive(Debug, Clone)]
pub struct Predictive {
    body: Body,
    step: Duration,
    comfort: Comfort,
    start_cost: Usd,
    times: Times,
    /// W that the model leaves out, learned.
    bias: f64,
    /// K that the front is above the mean.
    ahead_k: f64,
    planned: Option<(Moment, HeatPlan, Ahead, f64)>,
}

impl Predictive {
    /// Plans in steps of this length. A start costs this much: what is not hashed while a machine
    /// starts, and wear.
    pub fn new(
        body: Body,
        step: Duration,
        comfort: Comfort,
        start_cost: Usd,
        times: Times,
    ) -> Self {
        Self { body, step, comfort, start_cost, times, bias: 0.0, ahead_k: 0.0, planned: None }
    }

    /// Points of temperature that the plan distinguishes.
    const POINTS: usize = 121;
    /// Part of what a step's forecast was off by that goes into the bias.
    const LEARN: f64 = 0.08;

    /// Power now; plans anew whenever a step has passed. `drawn` is the mean power since the last plan,
    /// `ahead` begins now and should reach a day or more. `None` without anything ahead.
    pub fn step(
        &mut self,
        now: Moment,
        is: Celsius,
        drawn: Watts,
        guard: &Guard,
        ahead: &[Ahead],
        heater: &Heater,
    ) -> Option<Watts> {
        if let Some((at, plan, _, _)) = &self.planned
            && now.since(*at) < self.step
        {
            return plan.steps.first().map(|first| first.power);
        }
        self.learn(now, is, drawn, heater);
        let plan =
            self.plan(is, guard.on(), guard.held(now), guard.start_in(now), ahead, heater)?;
        let power = plan.steps.first()?.power;
        self.planned = Some((now, plan, *ahead.first()?, is.get()));
        Some(power)
    }

    /// Length of its steps.
    pub fn plans_every(&self) -> Duration {
        self.step
    }

    /// The plan that it follows, since when.
    pub fn following(&self) -> Option<(Moment, &HeatPlan)> {
        self.planned.as_ref().map(|(at, plan, _, _)| (*at, plan))
    }

    fn learn(&mut self, now: Moment, is: Celsius, drawn: Watts, heater: &Heater) {
        let Some((at, _, then, was)) = &self.planned else { return };
        let hours = now.since(*at).as_secs_f64() / 3600.0;
        let heat = drawn.get() + then.gain.get();
        let (mean, ambient) = (was - self.ahead_k, then.ambient.get());
        let (lags, settled) = self.front(hours);
        self.ahead_k = self.ahead_k * lags + settled * heat * (1.0 - lags);
        // After a pause the old forecast says nothing.
        if hours <= 0.0 || hours > 2.0 * self.step.as_secs_f64() / 3600.0 {
            return;
        }
        let (keep, per_watt) = self.response(hours);
        let expected =
            ambient + (mean - ambient) * keep + per_watt * (heat + self.bias) + self.ahead_k;
        let off = (is.get() - expected) * self.body.capacity.get() / hours;
        let most = heater.highest().get();
        self.bias = (self.bias + Self::LEARN * off).clamp(-most, most);
    }

    /// What is left after these hours of what the front is above the mean, and kelvin that it is above
    /// for each watt in the end.
    fn front(&self, hours: f64) -> (f64, f64) {
        self.body.front.map_or((0.0, 0.0), |front| {
            let lag = (front.lag.as_secs_f64() / 3600.0).max(1e-3);
            ((-hours / lag).exp(), 1.0 / front.surface.get())
        })
    }

    /// Of the difference to ambient what is left after these hours, and kelvin gained for each watt.
    fn response(&self, hours: f64) -> (f64, f64) {
        let loss = self.body.loss.get();
        let keep = (-hours * loss / self.body.capacity.get()).exp();
        (keep, (1.0 - keep) / loss)
    }

    /// The cheapest plan: dynamic programming over temperature and how long the heater has been on or
    /// off, linear between its points. Nothing starts within `start_in`. `None` without anything ahead.
    pub fn plan(
        &self,
        is: Celsius,
        on: bool,
        held: Option<Duration>,
        start_in: Duration,
        ahead: &[Ahead],
        heater: &Heater,
    ) -> Option<HeatPlan> {
        let table = Table::new(self, start_in, ahead, heater)?;
        let mut mode = table.mode(on, held);
        let (mut mean, mut front) = (is.get() - self.ahead_k, self.ahead_k);
        let mut cost = 0.0;
        let mut offers = Vec::with_capacity(table.levels.len());
        let steps = ahead.iter().enumerate().map(|(step, ahead)| {
            table.offers(ahead, Some(front), &mut offers);
            let choice = table.best(step, mode, mean, ahead, &offers);
            (mode, mean, front) = (choice.mode, choice.mean, offers[choice.level].front);
            cost += choice.paid;
            Planned {
                power: Watts::new(table.levels[choice.level].0).unwrap_or(Watts::ZERO),
                temperature: Celsius::new(mean + front).unwrap_or(is),
            }
        });
        let steps = steps.collect();
        Some(HeatPlan { steps, cost: Usd::new(cost).unwrap_or(Usd::ZERO) })
    }
}

/// Cost to go, by step, mode and temperature. Modes count steps since the heater went on (first) or
/// off, up to as many as it must stay.
struct Table<'a> {
    of: &'a Predictive,
    /// W and dollars earned in an hour; the first is idle.
    levels: Vec<(f64, f64)>,
    hours: f64,
    keep: f64,
    per_watt: f64,
    /// See [`Predictive::front`].
    front: (f64, f64),
    on_modes: usize,
    off_modes: usize,
    /// First step in which the heater may start.
    first_start: usize,
    lowest: f64,
    spacing: f64,
    /// Points for a kelvin.
    per_kelvin: f64,
    /// One row of points for each mode for each step, and a last one for the end.
    to_go: Vec<f64>,
}

/// A level for one step: kelvin that it gives besides what the mean keeps of itself, kelvin of the front
/// above the mean in the end, and dollars of electricity less earnings.
struct Offer {
    rise: f64,
    front: f64,
    paid: f64,
}

struct Choice {
    level: usize,
    mode: usize,
    mean: f64,
    /// Electricity less earnings, dollars.
    paid: f64,
    total: f64,
}

impl<'a> Table<'a> {
    fn new(
        of: &'a Predictive,
        start_in: Duration,
        ahead: &[Ahead],
        heater: &Heater,
    ) -> Option<Self> {
        let first = ahead.first()?;
        let bounds = ahead.iter().fold((first.low.get(), first.high.get()), |(low, high), a| {
            (low.min(a.low.get()), high.max(a.high.get()))
        });
        // Some room beyond the limits, where only discomfort is worse or better.
        let margin = 0.5 * (bounds.1 - bounds.0) + 2.0;
        let hours = of.step.as_secs_f64() / 3600.0;
        let most_above = of.front(hours).1 * heater.highest().get();
        let (lowest, highest) = (bounds.0 - margin - most_above, bounds.1 + margin);
        let (keep, per_watt) = of.response(hours);
        let steps =
            |time: Duration| (time.as_secs_f64() / of.step.as_secs_f64()).ceil().max(1.0) as usize;
        let mut levels = vec![(heater.idle().get(), 0.0)];
        levels.extend(heater.powers().map(|p| (p.get(), heater.earns_per_hour(p).get())));
        let (on_modes, off_modes) = (steps(of.times.min_on), steps(of.times.min_off));
        let row = (on_modes + off_modes) * Predictive::POINTS;
        let mut table = Self {
            of,
            levels,
            hours,
            keep,
            per_watt,
            front: of.front(hours),
            on_modes,
            off_modes,
            first_start: (start_in.as_secs_f64() / of.step.as_secs_f64()).ceil() as usize,
            lowest,
            spacing: (highest - lowest) / (Predictive::POINTS - 1) as f64,
            per_kelvin: (Predictive::POINTS - 1) as f64 / (highest - lowest),
            to_go: vec![0.0; row * (ahead.len() + 1)],
        };
        table.end(ahead, heater);
        let mut offers = Vec::with_capacity(table.levels.len());
        for (step, ahead) in ahead.iter().enumerate().rev() {
            table.offers(ahead, None, &mut offers);
            for mode in 0..on_modes + off_modes {
                for point in 0..Predictive::POINTS {
                    let mean = table.lowest + point as f64 * table.spacing;
                    let total = table.best(step, mode, mean, ahead, &offers).total;
                    let at = table.index(step, mode, point);
                    table.to_go[at] = total;
                }
            }
        }
        Some(table)
    }

    /// Heat that is left at the end saves what it costs to make on average.
    fn end(&mut self, ahead: &[Ahead], heater: &Heater) {
        let mean = ahead.iter().map(|a| a.price.usd_per_kwh()).sum::<f64>() / ahead.len() as f64;
        let lowest = heater.lowest();
        let earned = heater.earns_per_hour(lowest).get() / lowest.kilowatts();
        let worth = (mean - earned).max(0.0) * self.of.body.capacity.get() / 1e3;
        for mode in 0..self.on_modes + self.off_modes {
            for point in 0..Predictive::POINTS {
                let at = self.index(ahead.len(), mode, point);
                self.to_go[at] = -worth * point as f64 * self.spacing;
            }
        }
    }

    fn index(&self, step: usize, mode: usize, point: usize) -> usize {
        (step * (self.on_modes + self.off_modes) + mode) * Predictive::POINTS + point
    }

    fn mode(&self, on: bool, held: Option<Duration>) -> usize {
        let (first, count) = if on { (0, self.on_modes) } else { (self.on_modes, self.off_modes) };
        // The first mode is the one after a whole step.
        let passed = held
            .map_or(usize::MAX, |held| (held.as_secs_f64() / self.of.step.as_secs_f64()) as usize);
        first + passed.saturating_sub(1).min(count - 1)
    }

    /// What each level does and costs in this step, wherever the mean is. Where nobody knows how far
    /// the front is above it, it counts as following the heat for two steps.
    fn offers(&self, ahead: &Ahead, front: Option<f64>, offers: &mut Vec<Offer>) {
        let price = ahead.price.usd_per_kwh();
        let ambient = (1.0 - self.keep) * ahead.ambient.get();
        let (lags, settled) = self.front;
        offers.clear();
        offers.extend(self.levels.iter().map(|&(power, earned)| {
            let heat = power + ahead.gain.get();
            let end = settled * heat;
            Offer {
                rise: ambient + self.per_watt * (heat + self.of.bias),
                front: match front {
                    Some(front) => front * lags + end * (1.0 - lags),
                    None => end * (1.0 - lags * lags),
                },
                paid: (power / 1e3 * price - earned) * self.hours,
            }
        }));
    }

    /// The level that costs least from this step on.
    fn best(&self, step: usize, mode: usize, mean: f64, ahead: &Ahead, offers: &[Offer]) -> Choice {
        let is_on = mode < self.on_modes;
        let must_stay = mode + 1 != self.on_modes && mode + 1 != self.on_modes + self.off_modes;
        let (low, high) = (ahead.low.get(), ahead.high.get());
        let (below, above) = (self.of.comfort.below.get(), self.of.comfort.above.get());
        let kept = mean * self.keep;
        // Idle or the lowest power is always among the choices.
        let mut best = Choice { level: 0, mode, mean, paid: 0.0, total: f64::INFINITY };
        for (level, offer) in offers.iter().enumerate() {
            let on = level > 0;
            if on != is_on && (must_stay || on && step < self.first_start) {
                continue;
            }
            let next_mode = match (is_on, on) {
                (true, true) => (mode + 1).min(self.on_modes - 1),
                (false, false) => (mode + 1).min(self.on_modes + self.off_modes - 1),
                (true, false) => self.on_modes,
                (false, true) => 0,
            };
            let next = kept + offer.rise;
            let felt = next + offer.front;
            let mut paid = offer.paid;
            if on && !is_on {
                paid += self.of.start_cost.get();
            }
            let discomfort =
                self.hours * ((low - felt).max(0.0) * below + (felt - high).max(0.0) * above);
            let total = paid + discomfort + self.later(step + 1, next_mode, next);
            if total < best.total {
                best = Choice { level, mode: next_mode, mean: next, paid, total };
            }
        }
        best
    }

    fn later(&self, step: usize, mode: usize, temperature: f64) -> f64 {
        let last = (Predictive::POINTS - 1) as f64;
        let place = ((temperature - self.lowest) * self.per_kelvin).clamp(0.0, last - 1e-9);
        let point = place as usize;
        let at = self.index(step, mode, point);
        match self.to_go.get(at..at + 2) {
            Some(&[left, right]) => left + (place - point as f64) * (right - left),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        Front,
        guard::tests::{heater, watts},
    };
    use super::*;
    use units::{HeatCapacity, HeatLoss};

    fn c(value: f64) -> Celsius {
        Celsius::new(value).unwrap()
    }

    fn controller() -> Predictive {
        let usd = |value| Usd::new(value).unwrap();
        let loss = HeatLoss::from_kelvin_per_kilowatt(5.0).unwrap();
        let body = Body::mixed(HeatCapacity::new(8000.0).unwrap(), loss);
        let comfort = Comfort { below: usd(2.0), above: usd(2.0) };
        Predictive::new(body, Duration::from_secs(1800), comfort, usd(0.02), Times::default())
    }

    /// A day and a half at 0 °C; electricity costs this by step.
    fn ahead(price: impl Fn(usize) -> f64) -> Vec<Ahead> {
        (0..72)
            .map(|step| Ahead {
                ambient: Celsius::ZERO,
                gain: NetWatts::ZERO,
                low: c(20.0),
                high: c(22.0),
                price: EnergyPrice::per_kwh(price(step)).unwrap(),
            })
            .collect()
    }

    #[test]
    fn heat_is_made_before_the_dear_hours_and_the_room_stays_warm() {
        let heater = heater();
        let dear = |step: usize| if (24..32).contains(&step) { 0.6 } else { 0.12 };
        let plan =
            controller().plan(c(20.5), true, None, Duration::ZERO, &ahead(dear), &heater).unwrap();
        let energy = |from: usize, to: usize| {
            plan.steps[from..to].iter().map(|s| s.power.get() / 2e3).sum::<f64>()
        };
        // Four hours of 4 kW without the room's 2 K are 16 kWh, and 2 K hold 16 kWh.
        assert!(energy(24, 32) < 3.0, "{plan:?}");
        assert!(plan.steps.iter().all(|s| (19.7..22.3).contains(&s.temperature.get())), "{plan:?}");
    }

    #[test]
    fn free_power_that_earns_is_used_up_to_the_upper_limit() {
        let heater = heater();
        let plan = controller()
            .plan(c(20.0), false, None, Duration::ZERO, &ahead(|_| 0.0), &heater)
            .unwrap();
        assert!(plan.cost < Usd::ZERO);
        let warm = plan.steps.iter().filter(|s| s.temperature.get() > 21.8).count();
        assert!(warm > 50, "{plan:?}");
    }

    #[test]
    fn a_plan_respects_the_least_time_on_that_is_left() {
        let heater = heater();
        let mut controller = controller();
        controller.step = Duration::from_secs(600);
        let warm: Vec<Ahead> =
            ahead(|_| 0.5).into_iter().map(|a| Ahead { ambient: c(25.0), ..a }).collect();
        let just_on = Some(Duration::from_secs(600));
        let plan = controller.plan(c(23.0), true, just_on, Duration::ZERO, &warm, &heater).unwrap();
        let on: Vec<bool> = plan.steps.iter().map(|s| heater.hashes_at(s.power)).collect();
        assert_eq!(on[..3], [true, true, false], "{plan:?}");
    }

    #[test]
    fn a_heater_that_may_not_start_again_for_hours_stays_on_rather_than_letting_the_room_cool() {
        let heater = heater();
        let dear = ahead(|step| if step < 4 { 0.6 } else { 0.12 });
        let on_at = |start_in| {
            let plan = controller().plan(c(21.5), true, None, start_in, &dear, &heater).unwrap();
            heater.hashes_at(plan.steps[0].power)
        };
        assert!(!on_at(Duration::ZERO));
        assert!(on_at(Duration::from_secs(12 * 3600)));
    }

    #[test]
    fn a_room_that_is_left_without_heat_is_expected_to_cool_sooner_than_its_walls() {
        let heater = heater();
        let mut controller = controller();
        let dear = ahead(|step| if step == 0 { 50.0 } else { 0.12 });
        let first = |controller: &Predictive| {
            let plan = controller.plan(c(20.5), true, None, Duration::ZERO, &dear, &heater);
            plan.unwrap().steps[0]
        };
        let mixed = first(&controller);
        // It is 2 K above the mean of the house, of which 63 % go in half an hour, and idle keeps little.
        let surface = HeatLoss::from_kelvin_per_kilowatt(0.5).unwrap();
        controller.body.front = Some(Front { surface, lag: Duration::from_secs(1800) });
        controller.ahead_k = 2.0;
        let fronted = first(&controller);
        assert_eq!((mixed.power, fronted.power), (heater.idle(), heater.idle()));
        let sooner = mixed.temperature.get() - fronted.temperature.get();
        assert!((sooner - 1.26).abs() < 0.05, "{sooner}");
    }

    #[test]
    fn what_the_model_leaves_out_is_learned() {
        let heater = heater();
        let mut controller = controller();
        let guard = Guard::new(Times::default());
        // 500 W more come in than anybody says: the room is held at 20 °C by 3,500 W.
        for step in 0..200 {
            let now = Moment::from_secs(1800 * step);
            controller.step(now, c(20.0), watts(3500.0), &guard, &ahead(|_| 0.1), &heater);
        }
        assert!((controller.bias - 500.0).abs() < 10.0, "{}", controller.bias);
    }

    #[test]
    fn nothing_ahead_is_no_plan() {
        let guard = Guard::new(Times::default());
        let power =
            controller().step(Moment::default(), c(20.0), Watts::ZERO, &guard, &[], &heater());
        assert_eq!(power, None);
    }
}
