//! A small Gaussian process over clock and voltage: what the physical model leaves unexplained, and
//! how little is known where nothing was measured. Never more than 64 points.

/// Most points kept; a Cholesky factor of 64 × 64 is 44,000 multiplications.
const MOST: usize = 64;
/// Distances at which two settings have little to do with each other: MHz and mV.
const REACH: (f64, f64) = (100.0, 80.0);
/// Usual size of what is left over, relative.
const SIGNAL: f64 = 0.01;
/// Noise of a measured point, relative.
const NOISE: f64 = 0.005;

/// Where and how far off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Residual {
    pub(super) mhz: f64,
    pub(super) mv: f64,
    pub(super) value: f64,
}

/// The process, ready to be asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Gp {
    points: Vec<Residual>,
    factor: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl Gp {
    /// Of these points; of too many, those that say most are kept.
    pub(super) fn of(mut points: Vec<Residual>) -> Self {
        points.retain(|p| p.mhz.is_finite() && p.mv.is_finite() && p.value.is_finite());
        while points.len() > MOST {
            let spare = most_redundant(&points);
            points.remove(spare);
        }
        let Some(factor) = cholesky(&points) else { return Self::default() };
        let values: Vec<f64> = points.iter().map(|p| p.value).collect();
        let weights = backward(&factor, &forward(&factor, &values));
        Self { points, factor, weights }
    }

    /// Expected residual there and its standard deviation, relative.
    pub(super) fn predict(&self, mhz: f64, mv: f64) -> (f64, f64) {
        let here = Residual { mhz, mv, value: 0.0 };
        let near: Vec<f64> = self.points.iter().map(|p| kernel(p, &here)).collect();
        let mean = near.iter().zip(&self.weights).map(|(k, w)| k * w).sum();
        let known: f64 = forward(&self.factor, &near).iter().map(|v| v * v).sum();
        (mean, (SIGNAL * SIGNAL - known).max(0.0).sqrt())
    }
}

fn kernel(a: &Residual, b: &Residual) -> f64 {
    let (f, v) = ((a.mhz - b.mhz) / REACH.0, (a.mv - b.mv) / REACH.1);
    SIGNAL * SIGNAL * (-0.5 * (f * f + v * v)).exp()
}

fn most_redundant(points: &[Residual]) -> usize {
    let crowd = |i: usize| -> f64 {
        let others = points.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, other)| kernel(&points[i], other)).sum()
    };
    (0..points.len()).max_by(|a, b| crowd(*a).total_cmp(&crowd(*b))).unwrap_or(0)
}

fn cholesky(points: &[Residual]) -> Option<Vec<Vec<f64>>> {
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(points.len());
    for (i, point) in points.iter().enumerate() {
        let mut row: Vec<f64> = Vec::with_capacity(i + 1);
        for (j, other) in points[..=i].iter().enumerate() {
            let above = if i == j { &row[..] } else { &factor[j][..j] };
            let known: f64 = row.iter().zip(above).map(|(a, b)| a * b).sum();
            let left = kernel(point, other) - known;
            if i == j {
                let square = left + NOISE * NOISE;
                row.push((square > 0.0).then(|| square.sqrt())?);
            } else {
                row.push(left / factor[j][j]);
            }
        }
        factor.push(row);
    }
    Some(factor)
}

fn forward(factor: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::with_capacity(right.len());
    for (row, right) in factor.iter().zip(right) {
        let known: f64 = row.iter().zip(&out).map(|(a, b)| a * b).sum();
        out.push((right - known) / row[out.len()]);
    }
    out
}

fn backward(factor: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let mut out = right.to_vec();
    for i in (0..out.len()).rev() {
        out[i] /= factor[i][i];
        for j in 0..i {
            out[j] -= factor[i][j] * out[i];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_it_saw_and_says_how_little_it_knows_far_away() {
        let saw = |mhz, mv, value| Residual { mhz, mv, value };
        let gp = Gp::of(vec![saw(500.0, 1100.0, 0.01), saw(600.0, 1100.0, -0.01)]);
        let (near, sure) = gp.predict(500.0, 1100.0);
        assert!((near - 0.0073).abs() < 0.002 && sure < 0.006, "{near} {sure}");
        let (far, unsure) = gp.predict(1000.0, 1600.0);
        assert!(far.abs() < 1e-4 && (unsure - SIGNAL).abs() < 1e-4, "{far} {unsure}");
        assert_eq!(Gp::default().predict(500.0, 1100.0), (0.0, SIGNAL));
    }

    #[test]
    fn of_too_many_points_the_crowded_go_first() {
        let crowd = (0..100).map(|i| Residual {
            mhz: 500.0 + 0.01 * f64::from(i),
            mv: 1100.0,
            value: 0.005,
        });
        let alone = Residual { mhz: 900.0, mv: 1400.0, value: -0.008 };
        let gp = Gp::of(crowd.chain([alone]).collect());
        assert_eq!(gp.points.len(), MOST);
        assert!(gp.points.contains(&alone));
    }
}
