//! Days of many homes as one resource, step by step, and what became of them in truth.

use super::town::{Linked, Town};
use hearth_dispatch::aggregate::{Aggregate, Closed, OfLot, Part, Setup};
use hearth_dispatch::baseline::control::Given;
use std::time::Duration;
use twin::energy::{Noise, Warms};
use units::{Moment, NetWatts, Sats, UnixTime};

const START: u64 = 1_800_000_000 - 1_800_000_000 % 86_400;

/// What became of a run.
#[derive(Default)]
pub struct Seen {
    /// Of each interval, what was drawn in truth less what was wanted, as a part of what was wanted.
    pub errors: Vec<f64>,
    /// The same of each step, from half a minute after the target moved.
    pub steps: Vec<f64>,
    pub worst_discomfort: f64,
    /// Estimated and true delivery of those steered, Wh, and whether the interval held the truth.
    pub delivered: Vec<(f64, f64, bool)>,
    /// What the account says was given in each lot's time, and the truth, Wh.
    pub lots: Vec<(OfLot, f64)>,
    /// By kind of load: what the account and the truth say was given, Wh.
    pub kinds: [(f64, f64); 3],
    pub orders: usize,
    counts: [f64; 6],
    pub paid: u64,
}

pub struct Day {
    /// Seconds of a step; homes report as often at most.
    dt: f64,
    pub town: Town,
    aggregate: Aggregate,
    pub seen: Seen,
    /// True Wh in this interval of each home: as it is, and left alone.
    truth: Vec<(f64, f64)>,
    noise: Noise,
}

impl Day {
    pub fn new(homes: usize, seed: u64, setup: Setup, dt: f64) -> Self {
        Self {
            dt,
            town: Town::new(homes, seed),
            aggregate: Aggregate::new(setup),
            seen: Seen::default(),
            truth: vec![(0.0, 0.0); homes],
            noise: Noise::new(seed + 1),
        }
    }

    /// Runs from a second to another; from `begin` on, every five minutes another target is set within
    /// what the aggregate offers for a quarter of an hour.
    pub fn run(&mut self, begin: f64, end: f64) {
        let (mut target, mut wanted_wh, mut drawn_wh): (Option<f64>, f64, f64) = (None, 0.0, 0.0);
        let mut part = 0.4;
        let mut second = 0.0;
        let dt = self.dt;
        let (mut down, mut own) = (0.0, 0.0);
        while second < end {
            let outdoor =
                2.0 + 3.0 * ((second / 3600.0 - 15.0) * std::f64::consts::TAU / 24.0).cos();
            self.town.step(dt, second, outdoor, &mut self.aggregate);
            let since = second % 300.0;
            if since < dt {
                if target.is_some() && wanted_wh > 0.0 {
                    self.seen.errors.push((drawn_wh - wanted_wh) / wanted_wh);
                }
                (wanted_wh, drawn_wh) = (0.0, 0.0);
                if second >= begin {
                    // From nothing to 70 % of the offer, in moves of any size.
                    part = if self.noise.uniform() < 0.3 {
                        self.noise.between(0.0, 0.7)
                    } else {
                        (part + self.noise.between(-0.1, 0.1)).clamp(0.0, 0.7)
                    };
                    target = Some(own - part * down);
                }
            }
            let now = Moment(Duration::from_secs_f64(second));
            let utc = UnixTime(START + second as u64);
            let step = self.aggregate.step(now, utc, target.map(|t| NetWatts::new(t).unwrap()));
            (own, down) = (step.telemetry.own.get(), step.telemetry.down[1].get());
            self.seen.orders += step.orders.len();
            self.town.take(&step.orders);
            if let Some(mut closed) = step.closed {
                self.close(&mut closed);
            }
            let power = self.town.power();
            for (truth, linked) in self.truth.iter_mut().zip(&mut self.town.homes) {
                truth.0 += linked.home.power() * dt / 3600.0;
                truth.1 += linked.alone.power() * dt / 3600.0;
                if target.is_some() {
                    linked.count(dt);
                    let worst = &mut self.seen.worst_discomfort;
                    *worst = worst.max(linked.home.discomfort());
                }
            }
            if let Some(target) = target {
                wanted_wh += target * dt / 3600.0;
                drawn_wh += power * dt / 3600.0;
                if since > 30.0 {
                    self.seen.steps.push((power - target) / target);
                }
                let homes = step.telemetry.homes;
                let counts = [
                    homes.ready,
                    homes.astray,
                    homes.opted_out,
                    homes.control,
                    homes.resting,
                    homes.silent,
                ];
                for (sum, count) in self.seen.counts.iter_mut().zip(counts) {
                    *sum += count as f64;
                }
            }
            second += dt;
        }
    }

    fn close(&mut self, closed: &mut Closed) {
        if closed.records.is_empty() {
            self.truth.fill((0.0, 0.0));
            return;
        }
        let delivered = closed.delivered.unwrap();
        let steered = closed.records.iter().filter(|record| record.part == Part::Steered);
        let truth: f64 = steered
            .clone()
            .map(|record| {
                let at: usize = record.home.strip_prefix("home-").unwrap().parse().unwrap();
                self.truth[at].1 - self.truth[at].0
            })
            .sum();
        let holds = (delivered.low.get()..=delivered.high.get()).contains(&truth);
        self.seen.delivered.push((delivered.energy.get(), truth, holds));
        match self.seen.lots.last_mut() {
            Some((lot, sum)) if lot.drawn == closed.of_lot.drawn => {
                (*lot, *sum) = (closed.of_lot, *sum + truth);
            }
            _ => self.seen.lots.push((closed.of_lot, truth)),
        }
        for record in steered.clone() {
            let at: usize = record.home.strip_prefix("home-").unwrap().parse().unwrap();
            let kind = &mut self.seen.kinds[self.town.homes[at].home.warms as usize];
            kind.0 += record.delivered_wh.unwrap() as f64;
            kind.1 += self.truth[at].1 - self.truth[at].0;
        }
        let sum: i64 = steered.map(|record| record.delivered_wh.unwrap()).sum();
        assert_eq!(sum, delivered.energy.get().round() as i64, "shares add up");
        for record in &closed.records {
            assert_eq!(record.delivered_wh.is_some(), record.part == Part::Steered);
            if matches!(record.part, Part::Control | Part::Resting) {
                let at: usize = record.home.strip_prefix("home-").unwrap().parse().unwrap();
                self.town.homes[at].alone_for += 300.0;
            }
        }
        // 25 sats for each kilowatt-hour.
        let payment = Sats((closed.payable().kilowatt_hours() * 25.0) as u64);
        let left = closed.pay(payment);
        let shares: u64 = closed.records.iter().map(|record| record.paid.0).sum();
        assert_eq!(shares + left.0, payment.0, "to the sat");
        assert!(closed.records.iter().all(|r| r.part == Part::Steered || r.paid == Sats(0)));
        self.seen.paid += shares;
        self.truth.fill((0.0, 0.0));
    }

    pub fn print(&self, what: &str) {
        let (seen, count) = (&self.seen, self.seen.steps.len().max(1) as f64);
        let intervals = self.seen.errors.len() as f64;
        let mean = seen.errors.iter().map(|e| e.abs()).sum::<f64>() / intervals;
        let within = seen.errors.iter().filter(|e| e.abs() <= 0.03).count();
        let rms = (seen.steps.iter().map(|e| e * e).sum::<f64>() / count).sqrt();
        println!(
            "{what}: interval error mean {:.2} %, worst {:.2} %, {within} of {intervals} within 3 %; \
             4 s RMS after settling {:.2} %; worst discomfort {:.3} K",
            100.0 * mean,
            100.0 * worst(&seen.errors),
            100.0 * rms,
            seen.worst_discomfort
        );
        let steps = seen.counts.iter().sum::<f64>() / self.town.homes.len() as f64;
        println!(
            "  homes: ready, astray, opted out, control, resting, silent {:?}; {:.3} orders a home and minute",
            seen.counts.map(|sum| (sum / steps).round()),
            seen.orders as f64 / self.town.homes.len() as f64 / (steps * self.dt / 60.0)
        );
        for warms in [None, Some(Warms::Room), Some(Warms::Tank), Some(Warms::Nothing)] {
            let hours = self.sorted(warms, |linked| linked.hours);
            let by_mean = self.sorted(warms, Linked::by_mean);
            let mean = hours.iter().sum::<f64>() / hours.len() as f64;
            let at = |part: f64| hours[(part * (hours.len() - 1) as f64) as usize];
            println!(
                "  hours at full flexibility, {}: n {}, mean {mean:.2}, 5 % below {:.2}, 95 % below \
                 {:.2}, Gini {:.3}; by mean flexibility {:.2}, Gini {:.3}",
                warms.map_or("all".into(), |warms| format!("{warms:?}")),
                hours.len(),
                at(0.05),
                at(0.95),
                gini(&hours),
                by_mean.iter().sum::<f64>() / by_mean.len() as f64,
                gini(&by_mean)
            );
        }
        let estimated: f64 = seen.delivered.iter().map(|d| d.0).sum();
        let truth: f64 = seen.delivered.iter().map(|d| d.1).sum();
        let held = seen.delivered.iter().filter(|d| d.2).count();
        let square: f64 = seen.delivered.iter().map(|d| (d.0 - d.1).powi(2)).sum();
        let deviation = (square / seen.delivered.len() as f64).sqrt();
        println!(
            "  delivered {:.1} kWh, in truth {:.1} ({:+.2} %), error of one interval {:.1} % RMS of \
             the mean; 95 % interval held the truth {held} of {} times; paid {} sats",
            estimated / 1e3,
            truth / 1e3,
            100.0 * (estimated / truth - 1.0),
            100.0 * deviation / (truth / seen.delivered.len() as f64),
            seen.delivered.len(),
            seen.paid
        );
        if let Some((given, truth)) = self.sum() {
            println!(
                "  lots of {:.1} kWh, in truth {:.1} ({:+.2} %), {:+.2} standard errors of {:.1} kWh; rooms, \
                 tanks, machines {:?}",
                given.energy.get() / 1e3,
                truth / 1e3,
                100.0 * (given.energy.get() / truth - 1.0),
                (given.energy.get() - truth) / given.error().get(),
                given.error().get() / 1e3,
                seen.kinds.map(|(said, truth)| ((said / 1e3).round(), (truth / 1e3).round()))
            );
        }
    }

    /// What the account says was given in all lots' times, and the truth, Wh.
    pub fn sum(&self) -> Option<(Given, f64)> {
        let lots = self.seen.lots.iter().map(|(lot, truth)| (lot.given, *truth));
        lots.reduce(|one, other| (one.0.and(other.0), one.1 + other.1))
    }

    /// Of homes that did as told, never opted out and were never left alone by lot for long.
    pub fn sorted(&self, of: Option<Warms>, what: impl Fn(&Linked) -> f64) -> Vec<f64> {
        let all = self.town.homes.iter();
        let took_part = all.filter(|l| l.home.obeys && !l.was_out && l.alone_for < 1800.0);
        let mut sorted: Vec<f64> = took_part
            .filter(|linked| of.is_none_or(|warms| linked.home.warms == warms))
            .map(what)
            .collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

pub fn worst(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error.abs()).fold(0.0, f64::max)
}

/// 0 where all give equally, 1 where one gives all; of sorted numbers.
pub fn gini(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    let sum: f64 = sorted.iter().sum();
    let ranked: f64 = sorted.iter().enumerate().map(|(at, x)| (at as f64 + 1.0) * x).sum();
    2.0 * ranked / (n * sum) - (n + 1.0) / n
}
