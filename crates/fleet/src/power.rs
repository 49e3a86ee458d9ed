//! What a machine really draws: the best source there is, and how far off it may be.

use crate::readings::{Moment, Reading};
use std::time::Duration;
use units::{Ratio, Watts};

/// Older than this, a reading says nothing of now.
pub const FRESH: Duration = Duration::from_secs(60);

/// Where a figure comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A smart meter or PDU outlet of its own.
    Meter,
    /// The machine's own measurement or estimate.
    Firmware,
    /// The operator says so.
    Operator,
    /// The maker's leaflet.
    Nameplate,
}

impl Source {
    /// One standard error as a share of the figure, unless something better is known of the meter.
    /// Class 1 meters: 1 %. Firmware of control boards estimates: 5 %. Nameplates are off by 5 to
    /// 20 % (fleet.md section 1); a declared figure is taken for the better half of that.
    pub fn usual_error(self) -> f64 {
        match self {
            Self::Meter => 0.01,
            Self::Firmware => 0.05,
            Self::Operator => 0.08,
            Self::Nameplate => 0.15,
        }
    }
}

/// A power with its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Best figure.
    pub power: Watts,
    /// One standard error.
    pub error: Watts,
    /// Where it comes from.
    pub source: Source,
    /// When it was read.
    pub at: Moment,
}

impl Estimate {
    /// With the usual error of its source.
    pub fn usual(power: Watts, source: Source, at: Moment) -> Self {
        let error = Ratio::new(source.usual_error()).map_or(power, |share| power.part(share));
        Self { power, error, source, at }
    }
}

/// What may be known of one machine's power.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources {
    /// By a meter of its own, with the meter's error.
    pub meter: Option<(Reading<Watts>, Ratio)>,
    /// By itself.
    pub firmware: Option<Reading<Watts>>,
    /// By the operator.
    pub operator: Option<Watts>,
    /// By the catalogue, at the setting that it is thought to run at.
    pub nameplate: Option<Watts>,
}

/// The best source that is fresh; `None` if there is none at all.
pub fn best(sources: &Sources, now: Moment) -> Option<Estimate> {
    let fresh = |reading: &Reading<Watts>| reading.fresh(now, FRESH).copied();
    let meter = sources.meter.and_then(|(reading, error)| {
        let power = fresh(&reading)?;
        Some(Estimate { power, error: power.part(error), source: Source::Meter, at: reading.at })
    });
    let firmware = sources.firmware.and_then(|reading| {
        fresh(&reading).map(|power| Estimate::usual(power, Source::Firmware, reading.at))
    });
    let said =
        |power: Option<Watts>, source| power.map(|power| Estimate::usual(power, source, now));
    meter
        .or(firmware)
        .or(said(sources.operator, Source::Operator))
        .or(said(sources.nameplate, Source::Nameplate))
}

/// A meter and the machines behind it that cannot both be right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disagreement {
    /// By the meter.
    pub metered: Watts,
    /// Sum of the machines.
    pub summed: Watts,
    /// How many standard errors apart they are.
    pub sigmas: f64,
}

/// Compares a meter with the sum of what hangs on it. Apart by more than three standard errors and
/// 2 % of the meter: somebody is wrong, or something else hangs there.
///
/// Errors of one source go the same way for machines of one make, so they are added up, not squared.
pub fn reconcile(meter: &Estimate, machines: &[Estimate]) -> Option<Disagreement> {
    let summed: Watts = machines.iter().map(|machine| machine.power).sum();
    let error: f64 = machines.iter().map(|machine| machine.error.get()).sum();
    let error = error.hypot(meter.error.get()).max(f64::MIN_POSITIVE);
    let apart = (meter.power.get() - summed.get()).abs();
    let sigmas = apart / error;
    let disagree = sigmas > 3.0 && apart > 0.02 * meter.power.get();
    disagree.then_some(Disagreement { metered: meter.power, summed, sigmas })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    #[test]
    fn meter_then_firmware_then_operator_then_nameplate_and_a_stale_one_steps_back() {
        let at = Moment::from_secs;
        let all = Sources {
            meter: Some((Reading::new(w(3300.0), at(0)), Ratio::percent(1.0).unwrap())),
            firmware: Some(Reading::new(w(3400.0), at(50))),
            operator: Some(w(3450.0)),
            nameplate: Some(w(3500.0)),
        };
        let from = |sources: &Sources, now| best(sources, at(now)).map(|e| e.source);
        assert_eq!(from(&all, 10), Some(Source::Meter));
        assert_eq!(from(&all, 61), Some(Source::Firmware));
        assert_eq!(from(&all, 200), Some(Source::Operator));
        let nameplate = Sources { nameplate: Some(w(3500.0)), ..Sources::default() };
        let estimate = best(&nameplate, at(0)).unwrap();
        assert_eq!((estimate.source, estimate.error.get()), (Source::Nameplate, 525.0));
        assert_eq!(best(&Sources::default(), at(0)), None);
    }

    #[test]
    fn a_meter_that_sees_an_unknown_heater_disagrees_with_the_machines() {
        let at = Moment::default();
        let meter = |power| Estimate::usual(w(power), Source::Meter, at);
        let machines = [Estimate::usual(w(3400.0), Source::Firmware, at); 3];
        assert_eq!(reconcile(&meter(10_300.0), &machines), None);
        let found = reconcile(&meter(12_300.0), &machines).unwrap();
        assert_eq!((found.metered.get(), found.summed.get()), (12_300.0, 10_200.0));
        assert!(found.sigmas > 3.0);
    }
}
