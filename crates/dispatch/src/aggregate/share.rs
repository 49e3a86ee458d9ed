//! What each home gives of what all are to give. It knows no home by name and never asks for more than
//! was offered.

use super::fill::{self, Offer};

/// A home that can give something in the way that is needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Its place in the list of homes.
    pub home: usize,
    /// What it gave so far, hours.
    pub given: f64,
    /// All of its flexibility, W; more than 0.
    pub range: f64,
    /// What of that it can give for long, W.
    pub sustained: f64,
    /// It can only give multiples of this, W.
    pub step: Option<f64>,
    /// What it gives already by its last order, W.
    pub held: Option<f64>,
    /// Whether it is counted on.
    pub counted: bool,
    /// What it is to give, W.
    pub gives: f64,
}

/// A home that runs in steps stays where it is until it should be this far away, in steps. So one that
/// is shed stays so until the others have given as much, for half of `even` where half is needed.
const STAYS: f64 = 0.75;

/// What all homes that can give something do, in the room of the last step.
#[derive(Debug, Default)]
pub(super) struct Shares {
    all: Vec<Share>,
    offers: Vec<Offer>,
    /// What those that run in steps should give, and their places.
    wished: Vec<(f64, usize)>,
    turns: Vec<(f64, usize, f64)>,
}

impl Shares {
    pub fn clear(&mut self) {
        self.all.clear();
    }

    pub fn push(&mut self, share: Share) {
        self.all.push(share);
    }

    pub fn all(&self) -> &[Share] {
        &self.all
    }

    /// What those counted on give together, W.
    pub fn given(&self) -> f64 {
        self.all.iter().filter(|share| share.counted).map(|share| share.gives).sum()
    }

    /// Sets what each gives so that those counted on give `needed` W together, as nearly as steps allow:
    /// first what they can sustain, then what they can. Gives back the level of what was given, hours,
    /// which was `near` before.
    pub fn share(&mut self, needed: f64, even: f64, near: f64) -> Option<f64> {
        let level = self.relax(|_| true, needed, even, near);
        self.wished.clear();
        let (mut counted, mut most, mut smooth) = (0.0, 0.0, 0.0);
        for (at, share) in self.all.iter_mut().enumerate() {
            if let Some(step) = share.step {
                let wish = share.gives;
                share.gives = stepped(share, step);
                self.wished.push((wish, at));
            }
            if share.counted {
                counted += share.gives;
                most += share.range;
                smooth += if share.step.is_none() { share.gives } else { 0.0 };
            }
        }
        if self.wished.is_empty() {
            return level;
        }
        let missing = self.turn(needed.min(most) - counted);
        // Those without steps take what is left.
        let rest = (smooth + missing).max(0.0);
        self.relax(|share| share.step.is_none(), rest, even, level.unwrap_or(near));
        level
    }

    /// As if there were no steps.
    fn relax(
        &mut self,
        of: impl Fn(&Share) -> bool,
        needed: f64,
        even: f64,
        near: f64,
    ) -> Option<f64> {
        let offer = |share: &Share, most: f64| Offer::new(share.given, share.range, most, even);
        let counted = |share: &&Share| share.counted && of(share);
        self.offers.clear();
        let sustained = self.all.iter().filter(counted);
        self.offers.extend(sustained.map(|share| offer(share, share.sustained)));
        let level = fill::level(&self.offers, needed, near)?;
        let mut gives = 0.0;
        for share in self.all.iter_mut().filter(|share| of(share)) {
            share.gives = offer(share, share.sustained).at(level);
            gives += if share.counted { share.gives } else { 0.0 };
        }
        if needed - gives <= SLIGHT_PART * needed {
            return Some(level);
        }
        self.offers.clear();
        let more = self.all.iter().filter(counted);
        self.offers.extend(more.map(|share| offer(share, share.range - share.gives)));
        let beyond = fill::level(&self.offers, needed - gives, level)?;
        for share in self.all.iter_mut().filter(|share| of(share)) {
            let more = offer(share, share.range - share.gives).at(beyond);
            share.gives = (share.gives + more).min(share.range);
        }
        Some(level)
    }

    /// Moves homes by a step, those farthest from what they should give first, until less is missing
    /// than half a step would bring, or nobody can; gives back what is missing still.
    fn turn(&mut self, mut missing: f64) -> f64 {
        let sign = missing.signum();
        loop {
            let shares = &self.all;
            let mut least = f64::INFINITY;
            self.turns.clear();
            self.turns.extend(self.wished.iter().filter_map(|(wish, at)| {
                let share = shares.get(*at).filter(|share| share.counted)?;
                let step = share.step.filter(|step| *step <= 2.0 * missing * sign)?;
                let place = (share.gives / step).round();
                let can = if sign > 0.0 { place < steps(share, step) } else { place > 0.0 };
                least = least.min(step);
                can.then_some((sign * (wish - share.gives) / step, *at, step))
            }));
            // No more of them than that can turn before too little is missing: the others need no order.
            let most = (missing * sign / least).ceil() as usize;
            let first = |a: &(f64, usize, f64), b: &(f64, usize, f64)| {
                b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
            };
            if most < self.turns.len() {
                self.turns.select_nth_unstable_by(most, first);
                self.turns.truncate(most + 1);
            }
            self.turns.sort_unstable_by(first);
            let before = missing;
            for (_, at, step) in &self.turns {
                let share = self.all.get_mut(*at);
                if let Some(share) = share.filter(|_| *step <= 2.0 * missing * sign) {
                    let gave = share.gives;
                    share.gives = (gave + sign * step).clamp(0.0, share.range);
                    missing -= share.gives - gave;
                }
            }
            if missing == before {
                return missing;
            }
        }
    }
}

/// Less than this part of what is needed is as good as given.
const SLIGHT_PART: f64 = 1e-8;

/// The step nearest to what it should give, or where it is.
fn stepped(share: &Share, step: f64) -> f64 {
    let held = share.held.map(|held| (held / step).round() * step);
    match held.filter(|held| *held <= share.range * (1.0 + SLIGHT)) {
        Some(held) if (share.gives - held).abs() < STAYS * step => held,
        _ => ((share.gives / step).round().min(steps(share, step)) * step).min(share.range),
    }
}

/// Rounding in a report is not a step less.
const SLIGHT: f64 = 1e-3;

fn steps(share: &Share, step: f64) -> f64 {
    (share.range / step * (1.0 + SLIGHT)).floor()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn home(given: f64, range: f64, step: Option<f64>) -> Share {
        Share {
            home: 0,
            given,
            range,
            sustained: range,
            step,
            held: None,
            counted: true,
            gives: 0.0,
        }
    }

    fn share(homes: &mut [Share], needed: f64, even: f64) {
        let mut shares = Shares { all: homes.to_vec(), ..Shares::default() };
        shares.share(needed, even, 0.0);
        homes.copy_from_slice(shares.all());
    }

    fn gives(shares: &[Share]) -> Vec<f64> {
        shares.iter().map(|share| share.gives.round()).collect()
    }

    #[test]
    fn what_can_be_sustained_is_used_before_what_cannot() {
        let mut shares = [home(0.0, 1000.0, None), home(0.0, 1000.0, None)];
        shares[0].sustained = 100.0;
        for (needed, expected) in
            [(200.0, [100.0, 100.0]), (900.0, [100.0, 800.0]), (1500.0, [500.0, 1000.0])]
        {
            share(&mut shares, needed, 1.0);
            assert_eq!(gives(&shares), expected);
        }
    }

    #[test]
    fn of_homes_in_steps_those_who_gave_least_go_and_the_others_fill_the_rest() {
        let on_off = |given| home(given, 2000.0, Some(2000.0));
        let mut shares = [on_off(0.3), on_off(0.0), on_off(0.2), home(0.1, 3000.0, None)];
        share(&mut shares, 5000.0, 1.0);
        let total: f64 = shares.iter().map(|share| share.gives).sum();
        assert!((total - 5000.0).abs() < 1e-3);
        // As if there were no steps: 800, 1400, 1000 and 1800.
        assert_eq!(gives(&shares), [0.0, 2000.0, 2000.0, 1000.0]);
        let mut only = [on_off(0.3), on_off(0.0), on_off(0.2)];
        share(&mut only, 3900.0, 1.0);
        assert_eq!(gives(&only), [0.0, 2000.0, 2000.0]);
    }

    #[test]
    fn a_home_in_steps_stays_until_the_others_gave_as_much() {
        let mut homes: Vec<Share> = (0..10).map(|_| home(0.0, 1000.0, Some(1000.0))).collect();
        let (mut turns, minutes) = (0, 24 * 60);
        for _ in 0..minutes {
            share(&mut homes, 5000.0, 1.0);
            assert!((homes.iter().map(|home| home.gives).sum::<f64>() - 5000.0).abs() < 1.0);
            for home in &mut homes {
                turns += usize::from(home.held.is_some_and(|held| held != home.gives));
                home.held = Some(home.gives);
                home.given += home.gives / 1000.0 / 60.0;
            }
        }
        let given: Vec<f64> = homes.iter().map(|home| home.given).collect();
        let (least, most) = (
            given.iter().copied().reduce(f64::min).unwrap(),
            given.iter().copied().reduce(f64::max).unwrap(),
        );
        assert!(most - least < 0.75, "{least} to {most} of 12 hours");
        // Each half hour on or off: 48 turns a day.
        assert!(turns < 10 * 60, "{turns} turns of ten homes in a day");
    }

    proptest! {
        #[test]
        fn nobody_gives_more_than_offered_and_steps_are_kept(
            homes in prop::collection::vec(
                (0.0..20.0, 100.0..5000.0, 0.0..1.0f64, prop::option::of(0.1..1.0f64)), 1..100),
            part in 0.0..1.2f64,
        ) {
            let mut homes: Vec<Share> = homes
                .into_iter()
                .map(|(given, range, sustained, step)| Share {
                    sustained: sustained * range,
                    ..home(given, range, step.map(|step| step * range))
                })
                .collect();
            let all: f64 = homes.iter().map(|home| home.range).sum();
            share(&mut homes, part * all, 1.0);
            let mut largest = 0.0_f64;
            for home in &homes {
                prop_assert!((0.0..=home.range).contains(&home.gives));
                if let Some(step) = home.step {
                    largest = largest.max(step);
                    let place = home.gives / step;
                    prop_assert!((place - place.round()).abs() < 0.02, "{place}");
                }
            }
            let total: f64 = homes.iter().map(|home| home.gives).sum();
            // Where steps do not fit, never by more than the largest of them.
            let reach: f64 = homes
                .iter()
                .map(|home| home.step.map_or(home.range, |step| steps(home, step) * step))
                .sum();
            let missed = (total - (part * all).min(reach)).abs();
            prop_assert!(missed <= largest + 1e-6 * all + 1e-6, "{missed} of {all}");
        }
    }
}
