//! A control group of several kinds of homes: each home is compared with those of its kind. One line for all
//! is right for their sum; but what a tank usually draws says less of its next hours than it does of a
//! machine's, so the one line credits some kinds with what others gave.

use super::{
    Void,
    control::{ENOUGH, Given, Group, Pull, Treated},
};
use units::NetWattHours;

/// What a home is compared by: from before the lot, or nothing that the lot can change.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Like {
    /// Its kind: any number.
    pub kind: u8,
    /// What it usually draws, where that is known.
    pub usual: Option<NetWattHours>,
}

/// A control group by kind. A kind of which fewer than ten were left alone is compared with all.
#[derive(Debug, Clone, PartialEq)]
pub struct Strata {
    all: Group,
    kinds: Vec<(u8, Group)>,
}

impl Strata {
    /// From what each home of the group drew.
    ///
    /// # Errors
    /// Void below two complete readings.
    pub fn new(control: &[(NetWattHours, Like)]) -> Result<Self, Void> {
        let homes = |which: &dyn Fn(u8) -> bool| -> Vec<_> {
            let some = control.iter().filter(|(_, like)| which(like.kind));
            some.map(|(drawn, like)| (*drawn, like.usual)).collect()
        };
        let mut names: Vec<u8> = control.iter().map(|(_, like)| like.kind).collect();
        names.sort_unstable();
        names.dedup();
        let own = |kind: u8| {
            let homes = homes(&|one| one == kind);
            let group = (homes.len() >= ENOUGH).then(|| Group::new(&homes).ok())??;
            Some((kind, group))
        };
        let kinds = names.into_iter().filter_map(own).collect();
        Ok(Self { all: Group::new(&homes(&|_| true))?, kinds })
    }

    /// What a home would have drawn that is like this.
    pub fn baseline(&self, like: Like) -> NetWattHours {
        self.of(like.kind).unwrap_or(&self.all).baseline(like.usual)
    }

    /// The homes that were treated.
    pub fn treated(&self, homes: &[Like]) -> Several<'_> {
        let kinds = self.kinds.iter().map(|(kind, group)| {
            let own = homes.iter().filter(|like| like.kind == *kind);
            (*kind, group.treated(own.map(|like| like.usual)))
        });
        let others = homes.iter().filter(|like| self.of(like.kind).is_none());
        let others = self.all.treated(others.map(|like| like.usual));
        Several { kinds: kinds.collect(), others }
    }

    fn of(&self, kind: u8) -> Option<&Group> {
        self.kinds.iter().find(|(own, _)| *own == kind).map(|(_, group)| group)
    }
}

/// Homes of several kinds that were treated, beside those that they are compared with.
#[derive(Debug, Clone)]
pub struct Several<'a> {
    kinds: Vec<(u8, Treated<'a>)>,
    /// Those compared with all.
    others: Treated<'a>,
}

impl Several<'_> {
    /// What one home of the group adds to the error of their baselines, see [`Treated::pull`].
    pub fn pull(&self, drawn: NetWattHours, like: Like) -> Pull {
        let of_all = self.others.pull(drawn, like.usual);
        let own = self.kinds.iter().find(|(kind, _)| *kind == like.kind);
        own.map_or(of_all, |(_, own)| own.pull(drawn, like.usual).and(of_all))
    }

    /// What they gave up, from what all of them drew and each of the group's pull in this time.
    pub fn given(&self, metered: NetWattHours, pulls: impl Iterator<Item = Pull>) -> Given {
        let all = || self.kinds.iter().map(|(_, own)| own).chain([&self.others]);
        let baseline: NetWattHours = all().map(Treated::baseline).sum();
        let freedom = all().filter(|some| some.count() > 0.0).map(Treated::freedom).sum();
        let any = all().any(|some| some.count() > 0.0);
        Given::over(baseline - metered, pulls.filter(|_| any), freedom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(wh: f64) -> NetWattHours {
        NetWattHours::new(wh).unwrap()
    }

    fn like(kind: u8, usual: f64) -> Like {
        Like { kind, usual: NetWattHours::new(usual).ok() }
    }

    /// Kind 0 draws what it usually does, kind 1 always 5 Wh whatever it usually does.
    fn homes(of_each: usize) -> Vec<(NetWattHours, Like)> {
        let usual = |at: usize| (at % 7) as f64;
        let steady = (0..of_each).map(|at| (net(usual(at)), like(0, usual(at))));
        steady.chain((0..of_each).map(|at| (net(5.0), like(1, usual(at))))).collect()
    }

    #[test]
    fn each_kind_has_a_line_of_its_own() {
        let strata = Strata::new(&homes(14)).unwrap();
        assert!((strata.baseline(like(0, 6.0)).get() - 6.0).abs() < 1e-9);
        assert!((strata.baseline(like(1, 6.0)).get() - 5.0).abs() < 1e-9);
        // Of a third kind nothing is known: the mean of 3 and 5, a slope between 1 and 0.
        assert!((strata.baseline(like(2, 3.0)).get() - 4.0).abs() < 1e-9);
        let others = strata.treated(&[like(0, 1.0), like(1, 1.0), like(2, 3.0)]);
        let given = others.given(net(1.0), std::iter::empty());
        assert!((given.energy.get() - (1.0 + 5.0 + 4.0 - 1.0)).abs() < 1e-9);
    }

    #[test]
    fn kinds_with_few_homes_are_compared_with_all() {
        let few = homes(9);
        let strata = Strata::new(&few).unwrap();
        let all: Vec<_> = few.iter().map(|(drawn, like)| (*drawn, like.usual)).collect();
        let all = Group::new(&all).unwrap();
        for one in [like(0, 6.0), like(1, 0.0), like(7, 2.0)] {
            assert_eq!(strata.baseline(one), all.baseline(one.usual));
        }
        let treated = vec![like(0, 1.0); 30];
        let (some, plain) =
            (strata.treated(&treated), all.treated(treated.iter().map(|like| like.usual)));
        for (drawn, like) in &few {
            assert_eq!(some.pull(*drawn, *like), plain.pull(*drawn, like.usual));
        }
    }

    /// Two kinds that differ by chance: the error says how far the estimate is off.
    #[test]
    fn the_error_is_as_large_as_it_is_said() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(5);
        let (mut square, mut said) = (0.0, 0.0);
        for _ in 0..2_000 {
            let mut home = || {
                let (kind, usual) = (u8::from(rng.random_bool(0.4)), rng.random_range(0.0..10.0));
                let noise = rng.random_range(-3.0..3.0);
                let drawn =
                    if kind == 0 { usual + noise } else { 20.0 - 0.5 * usual + 2.0 * noise };
                (net(drawn), like(kind, usual))
            };
            let control: Vec<_> = (0..60).map(|_| home()).collect();
            let treated: Vec<_> = (0..600).map(|_| home()).collect();
            let strata = Strata::new(&control).unwrap();
            let likes: Vec<_> = treated.iter().map(|(_, like)| *like).collect();
            let several = strata.treated(&likes);
            let pulls = control.iter().map(|(drawn, like)| several.pull(*drawn, *like));
            // Nothing was given up.
            let given = several.given(treated.iter().map(|(drawn, _)| *drawn).sum(), pulls);
            square += given.energy.get().powi(2);
            said += given.error().get().powi(2);
        }
        let size = (square / said).sqrt();
        assert!((0.9..1.1).contains(&size), "{size}");
    }
}
