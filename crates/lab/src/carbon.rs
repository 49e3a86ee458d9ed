//! What energy emitted and whose emission it is: location and market based, and heat that was used.
//!
//! It owns the arithmetic. It never chooses a factor, and never nets what a curtailment avoided elsewhere
//! against what was emitted: that is a number of its own.

use units::{Co2, EmissionFactor, Ratio, WattHours};

/// Energy of one interval with what is known of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hour {
    /// Drawn from the grid.
    pub drawn: WattHours,
    /// Mean of the grid at the place, in this interval.
    pub grid: Option<EmissionFactor>,
    /// Covered by certificates of this interval.
    pub certified: WattHours,
}

/// An emission, and how much energy it leaves out because its factor is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Account {
    /// Of the energy whose factor is known.
    pub emitted: Co2,
    /// Energy without a factor.
    pub unknown: WattHours,
}

/// Location based: each interval's energy times the grid's factor (GHG Protocol, Scope 2 Guidance, 2015).
pub fn location_based(hours: &[Hour]) -> Account {
    hours.iter().fold(Account::default(), |sum, hour| sum.with(hour.drawn, hour.grid))
}

/// Market based with hourly matching: certificates count only in their own interval, the rest of each
/// interval has the residual mix. Certificates beyond the energy drawn are worth nothing elsewhere.
pub fn market_based(
    hours: &[Hour],
    certified: EmissionFactor,
    residual: EmissionFactor,
) -> Account {
    let emitted = hours.iter().map(|hour| {
        let rest = (hour.drawn.get() - hour.certified.get()).max(0.0);
        let matched = hour.drawn.get() - rest;
        let of = |wh: f64, factor: EmissionFactor| WattHours::new(wh).unwrap_or_default() * factor;
        of(matched, certified) + of(rest, residual)
    });
    Account { emitted: emitted.sum(), unknown: WattHours::ZERO }
}

/// Emission that belongs to heat that was used, by energy: the heat's share of the electricity, which
/// all became heat. The rest belongs to the hashes. No more heat counts than was made; `None` if nothing
/// was drawn.
pub fn heat_share(drawn: WattHours, heat_used: WattHours) -> Option<Ratio> {
    let share = heat_used.get() / drawn.get();
    (drawn > WattHours::ZERO).then(|| Ratio::new(share.min(1.0)).ok()).flatten()
}

/// What a curtailment avoided elsewhere: by the marginal factor of its time. Reported beside the account,
/// never subtracted from it.
pub fn avoided(given_up: WattHours, marginal: EmissionFactor) -> Co2 {
    given_up * marginal
}

impl Account {
    fn with(mut self, energy: WattHours, factor: Option<EmissionFactor>) -> Self {
        match factor {
            Some(factor) => self.emitted += energy * factor,
            None => self.unknown = self.unknown + energy,
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kwh(kwh: f64) -> WattHours {
        WattHours::new(kwh * 1e3).unwrap()
    }

    fn g(grams: f64) -> EmissionFactor {
        EmissionFactor::grams_per_kwh(grams).unwrap()
    }

    #[test]
    fn location_based_sums_hours_and_keeps_unknown_apart() {
        let hour = |drawn, grid| Hour { drawn: kwh(drawn), grid, certified: WattHours::ZERO };
        let account = location_based(&[
            hour(2.0, Some(g(500.0))),
            hour(3.0, Some(g(100.0))),
            hour(1.0, None),
        ]);
        assert_eq!((account.emitted.get(), account.unknown), (1300.0, kwh(1.0)));
    }

    #[test]
    fn a_certificate_of_the_day_does_not_cover_the_night() {
        // 10 kWh each by day and by night, certificates for 20 kWh of sun.
        let hour = |certified| Hour { drawn: kwh(10.0), grid: None, certified: kwh(certified) };
        let account = market_based(&[hour(20.0), hour(0.0)], g(0.0), g(400.0));
        assert_eq!(account.emitted.get(), 4000.0, "an annual match would say 0");
    }

    #[test]
    fn heat_that_was_used_carries_its_share_of_the_emission() {
        assert_eq!(heat_share(kwh(10.0), kwh(8.0)).unwrap().get(), 0.8);
        assert_eq!(heat_share(kwh(10.0), kwh(12.0)).unwrap().get(), 1.0);
        assert_eq!(heat_share(WattHours::ZERO, kwh(1.0)), None);
        assert_eq!(avoided(kwh(5.0), g(700.0)).get(), 3500.0);
    }
}
