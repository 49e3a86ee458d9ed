//! Where to go next: the setting with the largest expected gain after what the change costs, and the
//! next safe step on the way there. Pure arithmetic on beliefs.

use super::{
    Envelope, Goal, Policy,
    belief::{Belief, Outlook, Seen, place, same},
    model::Point,
    normal::{density, normal},
};
use std::time::Duration;
use units::{Megahertz, Millivolts};

/// Clocks and voltages that are considered; 6.25 MHz is a step of a BM13xx's PLL.
const GRID: (f64, f64) = (6.25, 5.0);
/// Clocks and core voltages that a home miner's chip can have, MHz and mV, whatever a machine says.
pub(super) const CLOCKS: (f64, f64) = (200.0, 1000.0);
pub(super) const VOLTAGES: (f64, f64) = (800.0, 1400.0);
/// Most columns and rows of the grid.
const LINES: u32 = 200;
/// Distance kept from limits of temperature, kelvin, and of power, as a part.
pub(super) const MARGIN: (f64, f64) = (1.0, 0.02);
/// A setting stays this long, so a change is paid off over it: what air does within half a day.
pub(super) const STAYS: Duration = Duration::from_secs(6 * 3600);
/// Largest step of the clock upwards, MHz.
const UP: f64 = 25.0;
/// A step is only taken if it cannot lose more than this part of what ends a trial.
const DARE: f64 = 0.75;

/// A hashrate this little below what is to be kept is kept: less than shares can tell.
const KEPT: f64 = 0.9995;
/// How much worse than all others a setting is that fails its goal; limits win, so it may be the best.
const FAILS: f64 = 100.0;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Choice {
    /// Nothing better is worth a change.
    Stay,
    /// A step towards something better.
    Try(Point),
    /// Back to the best that was measured.
    Settle(Point),
}

/// What the choice rests on.
pub(super) struct Chooser<'a> {
    pub(super) goal: Goal,
    pub(super) policy: &'a Policy,
    pub(super) envelope: &'a Envelope,
    pub(super) belief: &'a Belief,
    /// Measured here and now.
    pub(super) here: Seen,
    pub(super) air: Option<f64>,
    /// Regulator minus chip, kelvin.
    pub(super) regulator: Option<f64>,
    /// Clock times health at the start: what `keep` is a part of, hashes per second.
    pub(super) first: f64,
    pub(super) avoid: &'a [Avoid],
}

/// A setting that had to be left, and with it all that are worse in the same way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Avoid {
    /// Lost hashes: so do higher clocks at lower voltages.
    Lossy(Point),
    /// Broke a limit or fell silent: so may higher clocks at higher voltages.
    Strained(Point),
}

impl Avoid {
    fn holds(self, point: Point) -> bool {
        let faster = |from: Point| point.frequency.get() >= from.frequency.get() - 0.1;
        match self {
            Self::Lossy(bad) => faster(bad) && point.voltage.get() <= bad.voltage.get() + 0.1,
            Self::Strained(bad) => faster(bad) && point.voltage.get() >= bad.voltage.get() - 0.1,
        }
    }
}

impl Chooser<'_> {
    pub(super) fn next(&self) -> Choice {
        let best = self.best_measured();
        let floor = best.map(|(score, _)| score);
        let mut target = None;
        for point in self.grid() {
            let Some((score, unsure)) = self.score(point) else { continue };
            let gain = match floor {
                Some(best) => expected_improvement(score - best, unsure),
                // Nothing measured is allowed: the best that may well be comes first.
                None => 10.0 * FAILS + score,
            };
            let chance = self.allowed(point);
            let gain = match floor {
                Some(_) => gain * chance - self.cost(),
                None if chance < 0.6 => continue,
                None => gain,
            };
            if target.is_none_or(|(most, _)| gain > most) && self.step_to(point).is_some() {
                target = Some((gain, point));
            }
        }
        let worth = self.policy.worth.get();
        if let Some(step) =
            target.filter(|(gain, _)| *gain > worth).and_then(|(_, point)| self.step_to(point))
        {
            return Choice::Try(step);
        }
        match best {
            Some((_, point)) if !same(point, self.here.point) => Choice::Settle(point),
            _ => Choice::Stay,
        }
    }

    /// The best of what was measured and keeps its distance from the cliff.
    fn best_measured(&self) -> Option<(f64, Point)> {
        let allowed = self.belief.seen.iter().map(|seen| seen.point);
        allowed
            .filter(|point| self.allowed(*point) > 0.45)
            .filter_map(|point| Some((self.score(point)?.0, point)))
            .max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Chance that a setting keeps its distance from where hashes are lost.
    pub(super) fn allowed(&self, point: Point) -> f64 {
        let chip = self.belief.outlook(point, &self.here, self.air).chip;
        let (edge, unsure) =
            self.belief.cliff.voltage(place(point, chip), self.policy.abort_errors);
        normal((point.voltage.get() - self.policy.clearance.get() - edge) / unsure.max(1.5))
    }

    /// How good a setting is for the goal, as the logarithm of it, and its standard deviation; `None`
    /// where it may not go.
    fn score(&self, point: Point) -> Option<(f64, f64)> {
        let there = self.belief.outlook(point, &self.here, self.air);
        if !self.within(&there) {
            return None;
        }
        let (rate, unsure) = (there.rate.ln(), there.unsure);
        Some(match self.goal {
            Goal::Efficiency { keep } if there.rate < KEPT * keep.get() * self.first => {
                (rate - (KEPT * keep.get() * self.first).ln() - FAILS, 0.1 * unsure)
            }
            Goal::Efficiency { .. } => (rate - there.watts.ln(), unsure),
            Goal::Watts(most) if there.watts * (1.0 + unsure) > most.get() => {
                (-(there.watts / most.get()).ln() - FAILS, 0.1 * unsure)
            }
            Goal::Watts(_) | Goal::Hashrate | Goal::Noise(_) => (rate, 0.1 * unsure),
            Goal::Heat(heat) => {
                let off = (there.watts / heat.get() - 1.0).abs();
                (rate - 5.0 * (off - MARGIN.1).max(0.0), 0.1 * unsure)
            }
        })
    }

    fn within(&self, there: &Outlook) -> bool {
        let limits = &self.envelope.limits;
        let cool = |limit: f64, t: f64| t <= limit - MARGIN.0;
        cool(limits.chip.get(), there.chip)
            && limits
                .regulator
                .zip(self.regulator)
                .is_none_or(|(limit, above)| cool(limit.get(), there.chip + above))
            && limits.power.is_none_or(|most| there.watts <= most.get() * (1.0 - MARGIN.1))
    }

    /// The next setting on the way to a target; `None` if no step is safe.
    pub(super) fn step_to(&self, target: Point) -> Option<Point> {
        let (f, v) = (self.here.point.frequency.get(), self.here.point.voltage.get());
        let to_v = target.voltage.get();
        let next_f = target.frequency.get().min(f + UP);
        let (low, high) = (self.envelope.voltage.low.get(), self.envelope.voltage.high.get());
        let step = self.policy.step.get();
        let ways =
            [(next_f, 1.0), (next_f, 0.5), (next_f, 0.25), (next_f, 0.0), (f, 1.0), (f, 0.5)];
        for (mhz, part) in ways {
            let lowest = self.lowest_good(mhz.min(f)).unwrap_or(v) - step * part;
            let mv = if to_v >= v { to_v.min(v + 2.0 * step) } else { to_v.max(lowest) };
            let point = setting(mhz, mv.clamp(low, high))?;
            if !same(point, self.here.point) && self.dares(point) {
                return Some(point);
            }
        }
        None
    }

    /// Lowest voltage that was good at this clock or a higher one.
    fn lowest_good(&self, mhz: f64) -> Option<f64> {
        let good = self.belief.seen.iter().filter(|seen| seen.point.frequency.get() >= mhz - 3.2);
        good.map(|seen| seen.point.voltage.get()).min_by(f64::total_cmp)
    }

    /// Whether a step cannot lose too much, judged from the nearest setting that was measured.
    fn dares(&self, point: Point) -> bool {
        let there = self.belief.outlook(point, &self.here, self.air);
        let most = self.policy.abort_errors.get() * DARE;
        let (f, v) = (point.frequency.get(), point.voltage.get());
        let from = |seen: &Seen| {
            let lower = seen.point.voltage.get() - v;
            let faster = f - seen.point.frequency.get();
            let unseen = || self.belief.cliff.most_lost(place(seen.point, seen.chip)).min(0.01);
            let lost = seen.lost.unwrap_or_else(unseen);
            self.belief.cliff.worst(lost, lower.max(0.0), faster.max(0.0))
        };
        let reachable = |seen: &&Seen| {
            let lower = seen.point.voltage.get() - v;
            lower <= self.policy.step.get() + 0.1 && f <= seen.point.frequency.get() + UP + 0.1
        };
        let known = self.belief.seen.iter().filter(reachable).map(from).min_by(f64::total_cmp);
        let avoided = self.avoid.iter().any(|avoid| avoid.holds(point));
        !avoided && self.within(&there) && known.is_some_and(|worst| worst <= most)
    }

    fn cost(&self) -> f64 {
        self.policy.switch_cost.as_secs_f64() / STAYS.as_secs_f64()
    }

    fn grid(&self) -> impl Iterator<Item = Point> {
        let (f, v) = (self.envelope.frequency, self.envelope.voltage);
        let within = |value: f64, sane: (f64, f64)| value.clamp(sane.0, sane.1);
        let count = |low: f64, high: f64, step: f64| {
            (((high - low) / step + 1e-6).max(0.0) as u32).min(LINES)
        };
        let (low_f, low_v) = (within(f.low.get(), CLOCKS), within(v.low.get(), VOLTAGES));
        let columns = count(low_f, within(f.high.get(), CLOCKS), GRID.0);
        let rows = count(low_v, within(v.high.get(), VOLTAGES), GRID.1);
        (0..=columns).flat_map(move |i| {
            (0..=rows).filter_map(move |j| {
                setting(low_f + GRID.0 * f64::from(i), low_v + GRID.1 * f64::from(j))
            })
        })
    }
}

/// Expected value of max(0, x) for x normal with this mean and deviation.
pub(super) fn expected_improvement(mean: f64, deviation: f64) -> f64 {
    if deviation <= 0.0 {
        return mean.max(0.0);
    }
    let z = mean / deviation;
    mean * normal(z) + deviation * density(z)
}

fn setting(mhz: f64, mv: f64) -> Option<Point> {
    Some(Point { frequency: Megahertz::new(mhz).ok()?, voltage: Millivolts::new(mv).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capability::Range, limits::Limits, tuner::Prior};

    #[test]
    fn options_that_no_chip_has_make_no_grid_that_never_ends() {
        let millivolts = |v| Millivolts::new(v).unwrap();
        let megahertz = |f| Megahertz::new(f).unwrap();
        let chip = units::Celsius::new(70.0).unwrap();
        let limits = Limits {
            chip,
            regulator: None,
            inlet: None,
            outlet: None,
            input_low: None,
            input_high: None,
            power: None,
        };
        let envelope = Envelope {
            frequency: Range::new(megahertz(0.0), megahertz(1e9)).unwrap(),
            voltage: Range::new(millivolts(0.0), millivolts(1e9)).unwrap(),
            limits,
        };
        let point = Point { frequency: megahertz(525.0), voltage: millivolts(1150.0) };
        let chooser = Chooser {
            goal: Goal::Hashrate,
            policy: &Policy::default(),
            envelope: &envelope,
            belief: &Belief::new(Prior::GAMMA),
            here: Seen { point, chip: 60.0, watts: 17.0, lost: None },
            air: None,
            regulator: None,
            first: 1.0,
            avoid: &[],
        };
        let count = chooser.grid().take(100_000).count();
        assert!((10_000..=41_000).contains(&count), "{count}");
    }

    #[test]
    fn expected_improvement_is_the_gain_when_sure_and_never_negative() {
        for (mean, deviation, want) in
            [(0.1, 0.0, 0.1), (-0.1, 0.0, 0.0), (0.0, 0.1, 0.0399), (0.2, 0.01, 0.2)]
        {
            let got = expected_improvement(mean, deviation);
            assert!((got - want).abs() < 1e-3, "{mean} {deviation}: {got}");
        }
    }
}
