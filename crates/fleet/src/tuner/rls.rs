//! Recursive least squares: coefficients of a linear model with their uncertainty, updated one
//! observation at a time. Owns no meaning of the coefficients.

/// Belief about N coefficients: a normal distribution.
#[derive(Debug, Clone)]
pub(super) struct Rls<const N: usize> {
    mean: [f64; N],
    cov: [[f64; N]; N],
    prior: [f64; N],
    forget: f64,
}

impl<const N: usize> Rls<N> {
    /// Prior means and standard deviations. `forget` is the part of the prior variance that comes
    /// back with each observation, so that a machine that drifts is followed; never beyond the prior.
    pub(super) fn new(mean: [f64; N], deviation: [f64; N], forget: f64) -> Self {
        let prior = deviation.map(|sd| sd * sd);
        let mut cov = [[0.0; N]; N];
        for (i, variance) in prior.iter().enumerate() {
            cov[i][i] = *variance;
        }
        Self { mean, cov, prior, forget }
    }

    /// Takes `y = x · coefficients + noise`. What is not finite is not taken.
    pub(super) fn update(&mut self, x: [f64; N], y: f64, noise: f64) {
        if !(y.is_finite() && noise.is_finite() && x.iter().all(|x| x.is_finite())) {
            return;
        }
        for i in 0..N {
            self.cov[i][i] = (self.cov[i][i] + self.forget * self.prior[i]).min(self.prior[i]);
        }
        let spread = self.times(&x);
        let variance = dot(&x, &spread) + noise * noise;
        if variance <= 0.0 {
            return;
        }
        let miss = y - dot(&x, &self.mean);
        for i in 0..N {
            self.mean[i] += spread[i] * miss / variance;
            for j in 0..N {
                self.cov[i][j] -= spread[i] * spread[j] / variance;
            }
        }
        for i in 0..N {
            for j in 0..i {
                let both = 0.5 * (self.cov[i][j] + self.cov[j][i]);
                (self.cov[i][j], self.cov[j][i]) = (both, both);
            }
            self.cov[i][i] = self.cov[i][i].max(0.0);
        }
    }

    /// Expected value at `x` and its standard deviation, noise not included.
    pub(super) fn predict(&self, x: [f64; N]) -> (f64, f64) {
        (dot(&x, &self.mean), dot(&x, &self.times(&x)).max(0.0).sqrt())
    }

    /// A coefficient and its standard deviation.
    pub(super) fn coefficient(&self, i: usize) -> (f64, f64) {
        (self.mean[i], self.cov[i][i].max(0.0).sqrt())
    }

    fn times(&self, x: &[f64; N]) -> [f64; N] {
        let mut out = [0.0; N];
        for (row, out) in self.cov.iter().zip(&mut out) {
            *out = dot(row, x);
        }
        out
    }
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_from_a_wrong_prior_and_uncertainty_shrinks() {
        let mut line = Rls::new([0.0, 0.0], [10.0, 10.0], 0.0);
        let before = line.predict([1.0, 5.0]).1;
        for i in 0..50 {
            let x = f64::from(i) / 10.0;
            line.update([1.0, x], 3.0 - 2.0 * x, 0.1);
        }
        let (mean, sd) = line.predict([1.0, 5.0]);
        assert!((mean + 7.0).abs() < 0.02, "{mean}");
        assert!(sd < 0.1 && before > 40.0, "{sd} {before}");
    }

    #[test]
    fn what_is_not_a_number_changes_nothing() {
        let mut line = Rls::new([1.0], [1.0], 0.0);
        line.update([f64::NAN], 1.0, 1.0);
        line.update([1.0], f64::INFINITY, 1.0);
        assert_eq!(line.predict([1.0]), (1.0, 1.0));
    }

    #[test]
    fn a_drifting_coefficient_is_followed_only_with_forgetting() {
        let settle = |forget: f64| {
            let mut level = Rls::new([0.0], [1.0], forget);
            for i in 0..400 {
                level.update([1.0], if i < 200 { 0.0 } else { 1.0 }, 0.3);
            }
            level.predict([1.0]).0
        };
        assert!(settle(0.0) < 0.6 && settle(0.01) > 0.95, "{} {}", settle(0.0), settle(0.01));
    }
}
