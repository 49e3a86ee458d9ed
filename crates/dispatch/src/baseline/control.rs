//! A randomised control group: some of the devices, drawn by lot, are left alone and show what the
//! others would have drawn.

use super::{Delivered, Estimate, MeterError, Void, mean_and_variance};
use units::{NetWattHours, Ratio, WattHours};

/// The baseline of `treated` devices from what each device of the control group drew in the same time.
/// A device whose meter has a gap is left out of the group; the lot made that independent of the event.
///
/// The error is s sqrt(1/n + 1/m) m, for n in the group and m treated: the group's mean is uncertain,
/// and so is the draw of those treated. For many treated it is s/sqrt(n) of each: a coefficient of
/// variation of 1.1, as homes have, makes 11 % at n = 100.
///
/// # Errors
/// Void below two complete readings.
pub fn randomised(control: &[Option<WattHours>], treated: usize) -> Result<Estimate, Void> {
    let drawn: Vec<f64> = control.iter().flatten().map(|r| r.get()).collect();
    let (mean, variance) = mean_and_variance(&drawn).ok_or(Void::FewReadings)?;
    let (n, m) = (drawn.len() as f64, treated as f64);
    let error = if treated == 0 { 0.0 } else { m * (variance * (1.0 / n + 1.0 / m)).sqrt() };
    Estimate::new(m * mean, error, n - 1.0)
}

/// A control group that also tells how much what a home draws depends on what it usually draws. It
/// narrows the error, as large homes that came into one group by chance do not count as an effect, and
/// gives each home a baseline of its own. Either sign, for homes with a plant on the roof.
///
/// Baseline of a home that usually draws x: y + b (x - X), with Y and X the group's means and b the slope
/// of least squares within the group (analysis of covariance; Deng et al. 2013, "CUPED"). The lot makes
/// it right whatever x is, as long as x is from before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    drawn: f64,
    usual: f64,
    slope: f64,
    /// Sum of squares of what is usual; infinite where that says nothing.
    squares: f64,
    count: f64,
    freedom: f64,
}

/// With fewer homes whose usual draw is known a slope says nothing.
pub(super) const ENOUGH: usize = 10;

impl Group {
    /// From what each home of the group drew, and usually draws where that is known.
    ///
    /// # Errors
    /// Void below two complete readings.
    pub fn new(control: &[(NetWattHours, Option<NetWattHours>)]) -> Result<Self, Void> {
        let drawn: Vec<f64> = control.iter().map(|(drawn, _)| drawn.get()).collect();
        let (mean, _) = mean_and_variance(&drawn).ok_or(Void::FewReadings)?;
        let count = drawn.len() as f64;
        let mut group = Self {
            drawn: mean,
            usual: 0.0,
            slope: 0.0,
            squares: f64::INFINITY,
            count,
            freedom: count - 1.0,
        };
        let known: Vec<f64> =
            control.iter().filter_map(|(_, usual)| Some((*usual)?.get())).collect();
        if let Some((usual, spread)) = mean_and_variance(&known)
            && known.len() >= ENOUGH
            && spread > 0.0
        {
            group.usual = usual;
            let away = |usual: Option<NetWattHours>| group.away(usual);
            let squares = control.iter().map(|(_, usual)| away(*usual).powi(2)).sum();
            let products: f64 =
                control.iter().map(|(drawn, usual)| away(*usual) * (drawn.get() - mean)).sum();
            (group.squares, group.slope) = (squares, products / squares);
            group.freedom = count - 2.0;
        }
        Ok(group)
    }

    /// What a home would have drawn that usually draws this much.
    pub fn baseline(&self, usual: Option<NetWattHours>) -> NetWattHours {
        NetWattHours::new(self.drawn + self.slope * self.away(usual)).unwrap_or_default()
    }

    /// The homes that were treated, from what each usually draws.
    pub fn treated(&self, treated: impl Iterator<Item = Option<NetWattHours>>) -> Treated<'_> {
        let mut all = Treated { group: self, baseline: 0.0, away: 0.0, count: 0.0 };
        for usual in treated {
            all.count += 1.0;
            all.baseline += self.baseline(usual).get();
            all.away += self.away(usual);
        }
        all
    }

    /// From the mean, Wh. One of whom nothing is known stands there, where the slope does nothing.
    fn away(&self, usual: Option<NetWattHours>) -> f64 {
        usual.map_or(0.0, |usual| usual.get() - self.usual)
    }
}

/// Homes that were treated, beside the group that they are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Treated<'a> {
    group: &'a Group,
    baseline: f64,
    away: f64,
    count: f64,
}

impl Treated<'_> {
    pub(super) fn count(&self) -> f64 {
        self.count
    }

    /// Degrees of freedom of the group that they are compared with.
    pub(super) fn freedom(&self) -> f64 {
        self.group.freedom
    }

    /// What they would have drawn together.
    pub fn baseline(&self) -> NetWattHours {
        NetWattHours::new(self.baseline).unwrap_or_default()
    }

    /// What one home of the group adds to the error of their baseline by having been drawn: its weight in
    /// the baseline times what it drew beyond its own, as it would be without itself (jackknife;
    /// MacKinnon and White 1985, "HC3"). Homes differ more the more they draw.
    pub fn pull(&self, drawn: NetWattHours, usual: Option<NetWattHours>) -> Pull {
        let (group, away) = (self.group, self.group.away(usual));
        let weight = self.count / group.count + self.away * away / group.squares;
        let leverage = 1.0 / group.count + away * away / group.squares;
        let left = drawn.get() - group.baseline(usual).get();
        let others = (1.0 - leverage).max(f64::MIN_POSITIVE);
        let freedom = group.freedom.max(1.0);
        Pull { of_group: weight * left / others, of_treated: (self.count / freedom).sqrt() * left }
    }

    /// What they gave up, from what all of them drew and each of the group's pull in this time.
    pub fn given(&self, metered: NetWattHours, pulls: impl Iterator<Item = Pull>) -> Given {
        let pulls = pulls.filter(|_| self.count > 0.0);
        Given::over(self.baseline() - metered, pulls, self.group.freedom)
    }
}

/// Errors of one home of the group, Wh. Those of more than one interval add up before they are squared:
/// a home that draws more than its baseline now does so tomorrow.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Pull {
    of_group: f64,
    /// Its share of how much those treated may differ from their baselines by themselves.
    of_treated: f64,
}

impl Pull {
    /// Both intervals.
    pub fn and(self, other: Self) -> Self {
        Self {
            of_group: self.of_group + other.of_group,
            of_treated: self.of_treated + other.of_treated,
        }
    }

    fn square(self) -> f64 {
        self.of_group.powi(2) + self.of_treated.powi(2)
    }
}

/// What was given up, and how far chance of the lot may have moved it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Given {
    /// Best estimate.
    pub energy: NetWattHours,
    /// Wh².
    variance: f64,
    freedom: f64,
}

impl Given {
    /// Over intervals that share a lot: `energy` in all, and what each home of the group adds to the error.
    pub fn over(energy: NetWattHours, pulls: impl Iterator<Item = Pull>, freedom: f64) -> Self {
        Self { energy, variance: pulls.map(Pull::square).sum(), freedom }
    }

    /// Degrees of freedom that the error was found with.
    pub fn freedom(&self) -> f64 {
        self.freedom
    }

    /// One standard error.
    pub fn error(&self) -> NetWattHours {
        NetWattHours::new(self.variance.sqrt()).unwrap_or_default()
    }

    /// With a standard error of at least this.
    pub fn no_surer_than(self, error: NetWattHours) -> Self {
        Self { variance: self.variance.max(error.get().powi(2)), ..self }
    }

    /// Together with what was given in another lot's time, whose chance is its own. Degrees of freedom
    /// after Welch and Satterthwaite.
    pub fn and(self, other: Self) -> Self {
        let variance = self.variance + other.variance;
        let parts = self.variance.powi(2) / self.freedom + other.variance.powi(2) / other.freedom;
        let freedom = if parts > 0.0 { variance.powi(2) / parts } else { self.freedom };
        Self { energy: self.energy + other.energy, variance, freedom }
    }

    /// With the interval that holds the truth.
    ///
    /// # Errors
    /// Void when the energies are too large to add up.
    pub fn delivered(&self, meter: MeterError, confidence: Ratio) -> Result<Delivered, Void> {
        let error = NetWattHours::new(self.variance.sqrt()).map_err(|_| Void::TooMuch)?;
        let none = NetWattHours::ZERO;
        Delivered::between(self.energy, error, self.freedom, none, meter, confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_mean_stands_for_those_treated() {
        let control: Vec<_> =
            [1.0, 2.0, 3.0, 4.0].iter().map(|v| WattHours::new(*v).ok()).chain([None]).collect();
        let estimate = randomised(&control, 12).unwrap();
        assert_eq!((estimate.energy.get(), estimate.freedom), (30.0, 3.0));
        // s² = 5/3, 1/4 + 1/12 = 1/3.
        assert!((estimate.error.get() - 12.0 * (5.0f64 / 9.0).sqrt()).abs() < 1e-9);
        assert_eq!(randomised(&control[..1], 12), Err(Void::FewReadings));
        assert_eq!(randomised(&control, 0).unwrap().energy, WattHours::ZERO);
    }

    fn net(wh: f64) -> NetWattHours {
        NetWattHours::new(wh).unwrap()
    }

    #[test]
    fn a_home_that_usually_draws_more_has_a_higher_baseline() {
        let home = |x: f64| (net(5.0 + 2.0 * x), NetWattHours::new(x).ok());
        let homes: Vec<_> = (0..20).map(|at| home(f64::from(at))).collect();
        let group = Group::new(&homes).unwrap();
        let baseline = group.baseline(Some(net(30.0))).get();
        assert!((baseline - 65.0).abs() < 1e-6, "{baseline}");
        assert_eq!(group.baseline(None).get(), 24.0, "of whom nothing is known");
        let few = Group::new(&homes[..9]).unwrap();
        assert_eq!(few.baseline(Some(net(30.0))).get(), 13.0, "too few for a slope");
    }

    #[test]
    fn without_usual_draws_the_error_is_that_of_two_means() {
        let control: Vec<(NetWattHours, Option<NetWattHours>)> =
            (0..50).map(|at| (net(f64::from(at % 5)), None)).collect();
        let group = Group::new(&control).unwrap();
        let treated = group.treated([None; 200].into_iter());
        let pulls = control.iter().map(|(drawn, usual)| treated.pull(*drawn, *usual));
        let error = treated.given(net(0.0), pulls).error().get();
        // s² = 100/49; the jackknife has n - 1 where the formula has n.
        let expected = 200.0 * (100.0 / 49.0 * (1.0 / 49.0 + 1.0 / 200.0f64)).sqrt();
        assert!((error - expected).abs() < 1e-9, "{error} {expected}");
    }

    #[test]
    fn errors_of_intervals_that_share_a_lot_add_up_and_those_of_two_lots_in_squares() {
        let control: Vec<(NetWattHours, Option<NetWattHours>)> =
            (0..50).map(|at| (net(f64::from(at % 5)), None)).collect();
        let group = Group::new(&control).unwrap();
        let treated = group.treated([None; 200].into_iter());
        let pull =
            |(drawn, usual): &(NetWattHours, Option<NetWattHours>)| treated.pull(*drawn, *usual);
        let one = treated.given(net(0.0), control.iter().map(pull));
        let twice = control.iter().map(|home| pull(home).and(pull(home)));
        let both = Given::over(net(800.0), twice, one.freedom());
        assert!((both.error().get() - 2.0 * one.error().get()).abs() < 1e-9);
        let lots = one.and(one);
        assert!((lots.error().get() - 2f64.sqrt() * one.error().get()).abs() < 1e-9);
        assert!((lots.freedom() - 98.0).abs() < 1e-9);
    }
}
