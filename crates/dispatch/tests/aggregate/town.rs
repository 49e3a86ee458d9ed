//! Two thousand made-up homes with links that fail, and the same homes left alone beside them.

use hearth_dispatch::aggregate::{Aggregate, Hold, Order, Report};
use std::time::Duration;
use twin::energy::{Dwelling, Noise, Warms};
use units::{Moment, NetWatts, Watts};

/// A home with its link to the aggregate.
pub struct Linked {
    pub id: String,
    pub home: Dwelling,
    /// The same home that nobody tells anything.
    pub alone: Dwelling,
    pub opted_out: bool,
    /// Nothing goes either way until then, s.
    silent: f64,
    /// Seconds between reports, and until the next.
    every: f64,
    next: f64,
    /// What was reported, and how old it is when it arrives.
    delay: f64,
    waiting: Option<(f64, Report)>,
    /// When it opted out, and whether an order came after the step that followed.
    out_since: Option<u32>,
    pub told_while_out: u32,
    /// What it gave by its own report: Wh; hours, each step's watts as a part of what it could give then;
    /// and the sum of what it could give, W, over `seen` steps.
    pub gave: f64,
    pub hours: f64,
    range: f64,
    seen: f64,
    pub was_out: bool,
    /// Seconds that it was left alone by lot.
    pub alone_for: f64,
}

pub struct Town {
    pub homes: Vec<Linked>,
    noise: Noise,
    steps: u32,
}

/// Part that never does as told, is silent at any time, reports late, and is opted out at any time.
pub const DISOBEYS: f64 = 0.05;
pub const SILENT: f64 = 0.01;
pub const LATE: f64 = 0.10;
pub const OUT: f64 = 0.03;
/// A silence and an opt-out last so long, s.
const SILENCE: f64 = 600.0;
const OUTING: f64 = 3.0 * 3600.0;

impl Town {
    pub fn new(count: usize, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let homes = (0..count)
            .map(|at| {
                let warms = match noise.uniform() {
                    kind if kind < 0.4 => Warms::Room,
                    kind if kind < 0.8 => Warms::Tank,
                    _ => Warms::Nothing,
                };
                let mut home = Dwelling::new(warms, seed ^ (at as u64) << 20);
                let alone = home.clone();
                home.obeys = noise.uniform() >= DISOBEYS;
                let late = noise.uniform() < LATE;
                Linked {
                    id: format!("home-{at}"),
                    home,
                    alone,
                    opted_out: false,
                    silent: 0.0,
                    every: if late { 20.0 } else { 4.0 },
                    next: noise.between(0.0, 20.0),
                    delay: if late { 8.0 } else { 0.0 },
                    waiting: None,
                    out_since: None,
                    told_while_out: 0,
                    gave: 0.0,
                    hours: 0.0,
                    range: 0.0,
                    seen: 0.0,
                    was_out: false,
                    alone_for: 0.0,
                }
            })
            .collect();
        Self { homes, noise, steps: 0 }
    }

    /// What all homes draw in truth, W.
    pub fn power(&self) -> f64 {
        self.homes.iter().map(|linked| linked.home.power()).sum()
    }

    /// Lives on for `dt`; reports that arrive are heard at `second`.
    pub fn step(&mut self, dt: f64, second: f64, outdoor: f64, aggregate: &mut Aggregate) {
        self.steps += 1;
        let (hour, time) = (second / 3600.0 % 24.0, Duration::from_secs_f64(dt));
        let now = Moment(Duration::from_secs_f64(second));
        for linked in &mut self.homes {
            linked.home.step(time, hour, outdoor);
            linked.alone.step(time, hour, outdoor);
            let failing = 3600.0 / SILENCE * SILENT / (1.0 - SILENT);
            if linked.silent <= 0.0 && self.noise.happens(failing, dt) {
                linked.silent = SILENCE;
            }
            linked.silent -= dt;
            let leaving = 3600.0 / OUTING * OUT / (1.0 - OUT);
            let turns = if linked.opted_out { 3600.0 / OUTING } else { leaving };
            if self.noise.happens(turns, dt) {
                linked.opted_out = !linked.opted_out;
                linked.was_out = true;
                linked.out_since = None;
                if linked.opted_out {
                    // The home itself stops at once, and says so at once.
                    linked.home.tell(None, 0.0);
                    linked.next = 0.0;
                }
            }
            linked.next -= dt;
            if linked.next <= 0.0 {
                linked.next += linked.every.max(dt);
                linked.next = linked.next.max(0.0);
                let delay = if linked.opted_out || dt > 8.0 { 0.0 } else { linked.delay };
                linked.waiting = Some((second + delay, linked.report()));
            }
            if linked.silent <= 0.0
                && let Some((_, report)) = linked.waiting.take_if(|(due, _)| *due <= second)
            {
                aggregate.hear(now, &linked.id, report).unwrap();
                if report.opted_out && linked.out_since.is_none() {
                    linked.out_since = Some(self.steps);
                }
            }
        }
    }

    /// Orders reach those who are not silent; the aggregate gives them in the step just taken.
    pub fn take(&mut self, orders: &[Order]) {
        for order in orders {
            let at: usize = order.home.strip_prefix("home-").unwrap().parse().unwrap();
            let linked = &mut self.homes[at];
            if order.power.is_some() && linked.out_since.is_some() {
                linked.told_while_out += 1;
            }
            if linked.silent <= 0.0 && !linked.opted_out {
                linked.home.tell(order.power.map(NetWatts::get), order.valid.as_secs_f64());
            }
        }
    }
}

impl Linked {
    fn report(&self) -> Report {
        let says = self.home.says();
        let net = |watts| NetWatts::new(watts).unwrap();
        let hold = |(power, lasts): (f64, Option<f64>)| Hold {
            power: net(power),
            lasts: lasts.map(|lasts| Duration::from_secs_f64((lasts - self.delay).max(0.0))),
        };
        Report {
            power: net(says.power),
            own: net(says.own),
            lowest: hold(says.lowest),
            highest: hold(says.highest),
            step: says.step.map(|step| Watts::new(step).unwrap()),
            opted_out: self.opted_out,
        }
    }

    /// Counts what it gives now, W, of what it could.
    pub fn count(&mut self, dt: f64) {
        let says = self.home.says();
        let range = says.own - says.lowest.0;
        let gives = (says.own - says.power).clamp(0.0, range);
        if range > 1.0 {
            self.hours += gives / range * dt / 3600.0;
        }
        self.gave += gives * dt / 3600.0;
        self.range += range;
        self.seen += 1.0;
    }

    /// Wh for each watt that it could give on average.
    pub fn by_mean(&self) -> f64 {
        self.gave / (self.range / self.seen).max(1.0)
    }
}
