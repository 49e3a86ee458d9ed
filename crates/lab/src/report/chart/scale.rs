//! A range of values on an axis: where each lies, which are ticked, and how those are written.

use super::Scale;
use crate::report::table::grouped;

/// Low to high on a scale; never empty, and positive on a logarithmic scale.
pub(super) struct Span {
    scale: Scale,
    low: f64,
    high: f64,
}

/// How much room a span leaves beside its values.
#[derive(Clone, Copy)]
pub(super) enum Fit {
    /// None.
    Tight,
    /// A little, and zero is shown if it is not far.
    Roomy,
}

impl Span {
    /// Covers every value that this scale can show; `None` if there is none.
    pub(super) fn over(
        scale: Scale,
        fit: Fit,
        values: impl IntoIterator<Item = f64>,
    ) -> Option<Self> {
        let shown = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let (low, high) = values
            .into_iter()
            .filter(shown)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        let (low, high) = match scale {
            Scale::Linear => linear_room(fit, low, high),
            Scale::Log => log_room(fit, low, high),
        };
        Some(Self { scale, low, high })
    }

    /// 0 at the low end, 1 at the high end; values beyond an end lie on it. `None` if the scale
    /// cannot show it.
    pub(super) fn part(&self, value: f64) -> Option<f64> {
        let part = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value > 0.0 => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Log => return None,
        };
        part.is_finite().then_some(part.clamp(0.0, 1.0))
    }

    /// The low end.
    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// Round values to tick, with their text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => self.linear_ticks(),
            Scale::Log => self.log_ticks(),
        }
    }

    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / 6.0);
        let exponent = step.log10().floor();
        // 0.25 needs one digit more than 0.2.
        let digits = if (step / 10f64.powf(exponent)).fract().abs() > 1e-6 { 1.0 } else { 0.0 };
        let decimals = (digits - exponent).max(0.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| {
                let value = i as f64 * step;
                (value, text(value, decimals))
            })
            .collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let within = |v: &f64| (self.low * 0.999_999..=self.high * 1.000_001).contains(v);
        let of = |mantissas: &[f64], every: i32| -> Vec<(f64, String)> {
            (first..=last)
                .filter(|e| e.rem_euclid(every) == 0)
                .flat_map(|e| {
                    mantissas.iter().map(move |m| (m * 10f64.powi(e), (-e).max(0) as usize))
                })
                .filter(|(v, _)| within(v))
                .map(|(v, decimals)| (v, text(v, decimals)))
                .collect()
        };
        let decades = of(&[1.0], 1 + (last - first) / 9);
        if decades.len() > 3 {
            return decades;
        }
        let finer = of(&[1.0, 2.0, 5.0], 1);
        if finer.len() > 2 { finer } else { self.linear_ticks() }
    }
}

fn linear_room(fit: Fit, low: f64, high: f64) -> (f64, f64) {
    let flat = high - low <= 1e-12 * high.abs().max(low.abs());
    match fit {
        _ if flat && high == 0.0 => (0.0, 1.0),
        Fit::Roomy if low >= 0.0 && (flat || low < 0.5 * high) => (0.0, high * 1.06),
        _ if flat => (low - 0.1 * low.abs(), high + 0.1 * high.abs()),
        Fit::Tight => (low, high),
        Fit::Roomy => (low - 0.06 * (high - low), high + 0.06 * (high - low)),
    }
}

fn log_room(fit: Fit, low: f64, high: f64) -> (f64, f64) {
    match fit {
        _ if high / low < 1.000_001 => (low / 2.0, high * 2.0),
        Fit::Tight => (low, high),
        Fit::Roomy => {
            let room = (high / low).powf(0.04);
            (low / room, high * room)
        }
    }
}

/// 1, 2, 2.5 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.log10().floor());
    let rounds = [1.0, 2.0, 2.5, 5.0, 10.0];
    decade * rounds.into_iter().find(|r| decade * r >= least * 0.999_999).unwrap_or(10.0)
}

fn text(value: f64, decimals: usize) -> String {
    let size = value.abs();
    if size >= 1e7 || decimals > 5 {
        // Ten digits hide what adding steps of a tenth leaves behind.
        return format!("{:e}", format!("{value:.10e}").parse::<f64>().unwrap_or(value));
    }
    grouped(&format!("{:.decimals$}", if value == 0.0 { 0.0 } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, fit: Fit, values: &[f64]) -> Vec<String> {
        let span = Span::over(scale, fit, values.iter().copied()).unwrap();
        span.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_span() {
        let linear = |values: &[f64]| labels(Scale::Linear, Fit::Tight, values).join(" ");
        assert_eq!(linear(&[0.0, 1.0]), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(linear(&[-30.0, 4000.0]), "0 1,000 2,000 3,000 4,000");
        assert_eq!(linear(&[0.01, 0.11]), "0.02 0.04 0.06 0.08 0.10");
        assert_eq!(linear(&[0.0, 1.3]), "0.00 0.25 0.50 0.75 1.00 1.25");
        assert_eq!(linear(&[0.0, 5e9]), "0 1e9 2e9 3e9 4e9 5e9");
        let log = |values: &[f64]| labels(Scale::Log, Fit::Tight, values).join(" ");
        assert_eq!(log(&[0.1, 1000.0]), "0.1 1 10 100 1,000");
        assert_eq!(log(&[1.0, 30.0]), "1 2 5 10 20");
        assert_eq!(log(&[110.0, 180.0]), "120 140 160 180");
        assert_eq!(log(&[1.0, 1e18]).len(), "1 1,000 1,000,000 1e9 1e12 1e15 1e18".len());
    }

    #[test]
    fn flat_or_single_values_still_have_a_span() {
        for scale in [Scale::Linear, Scale::Log] {
            for fit in [Fit::Tight, Fit::Roomy] {
                for value in [1e-9, 1.0, 7e12] {
                    let span = Span::over(scale, fit, [value]).unwrap();
                    let part = span.part(value).unwrap();
                    assert!((0.05..=0.95).contains(&part), "{value}: {part}");
                }
            }
        }
        assert!(Span::over(Scale::Linear, Fit::Tight, [0.0]).is_some());
        assert!(Span::over(Scale::Linear, Fit::Tight, [-3.0]).unwrap().part(-3.0).is_some());
    }

    #[test]
    fn what_a_scale_cannot_show_is_left_out() {
        assert!(Span::over(Scale::Log, Fit::Roomy, [0.0, -1.0, f64::NAN]).is_none());
        assert!(Span::over(Scale::Linear, Fit::Roomy, [f64::INFINITY]).is_none());
        let span = Span::over(Scale::Log, Fit::Tight, [0.0, 1.0, 10.0]).unwrap();
        assert_eq!(span.part(0.0), None);
        assert_eq!(span.part(100.0), Some(1.0));
    }
}
