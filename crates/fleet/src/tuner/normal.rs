//! The standard normal distribution.

/// Density at z.
pub(super) fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Probability of at most z, to 7.5e-8 (Abramowitz and Stegun 26.2.17).
pub(super) fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = series.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let above = density(z) * sum;
    if z < 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_tables() {
        for (z, want) in [(0.0, 0.5), (1.0, 0.841_344_7), (-2.0, 0.022_750_1), (-3.0, 0.001_349_9)]
        {
            assert!((normal(z) - want).abs() < 1e-6, "{z}: {}", normal(z));
        }
    }
}
