//! What hashing earns.

use crate::{Difficulty, Efficiency, EnergyPrice, Hashrate, Sats, UnitError, Usd, si};
use std::{fmt, str::FromStr, time::Duration};

/// Expected revenue of hashing: US dollars per PH/s per day, before any fee; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct HashPrice(f64);

impl HashPrice {
    /// Refuses NaN, infinities and negative prices.
    pub fn new(usd_per_ph_day: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(usd_per_ph_day, "hash price").map(Self)
    }

    /// What the network pays: 86400e15 (S+F) P / (D 2^32), with `reward` the subsidy S and mean
    /// fees F of a block and P dollars per bitcoin. Difficulty counts 2^32 hashes here, as every
    /// published hash price does; the exact number is 1.5e-5 higher
    /// ([`Difficulty::HASHES_PER_UNIT`]).
    pub fn of_network(
        difficulty: Difficulty,
        reward: Sats,
        bitcoin_price: Usd,
    ) -> Result<Self, UnitError> {
        const HASHES_PER_PH_DAY: f64 = 86_400e15;
        let bitcoin = reward.0 as f64 / 1e8;
        let hashes_per_block = difficulty.get() * 4_294_967_296.0;
        Self::new(HASHES_PER_PH_DAY * bitcoin * bitcoin_price.get() / hashes_per_block)
    }

    /// Dollars per PH/s per day.
    pub fn usd_per_ph_day(self) -> f64 {
        self.0
    }

    /// What a kilowatt-hour earns at this efficiency, and so what it may cost at most:
    /// HP / (24 eta) dollars.
    pub fn earns_per_kwh(self, efficiency: Efficiency) -> EnergyPrice {
        EnergyPrice::of(self.0 / (24.0 * efficiency.joules_per_terahash()))
    }

    /// The least efficient machine that pays for energy at this price; `None` where energy is free
    /// or hashing earns nothing.
    pub fn break_even(self, price: EnergyPrice) -> Option<Efficiency> {
        Efficiency::positive(self.0 / (24.0 * price.usd_per_kwh()))
    }

    /// What this hashrate earns in this time.
    pub fn earns(self, rate: Hashrate, time: Duration) -> Usd {
        Usd::of(self.0 * rate.hashes_per_second() / 1e15 * time.as_secs_f64() / 86_400.0)
    }
}

impl fmt::Display for HashPrice {
    /// `38.20 $/PH/day`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} $/PH/day", self.0)
    }
}

impl FromStr for HashPrice {
    type Err = UnitError;

    /// Reads `38.2`, `$38.2`, `38.2 $/PH/day`; a bare number is dollars per PH/s per day.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        let number = ["$/PH/day", "/PH/day", "$/PH/s/day", "/PH/s/day"]
            .iter()
            .find_map(|unit| trimmed.strip_suffix(unit))
            .unwrap_or(trimmed);
        si::read(&number.replacen('$', "", 1), &[""])
            .ok_or_else(|| UnitError::unreadable("hash price", text, "38.2 $/PH/day"))
            .and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(difficulty: f64, reward: f64, price: f64) -> f64 {
        let difficulty = Difficulty::new(difficulty).unwrap();
        let reward = Sats((reward * 1e8).round() as u64);
        HashPrice::of_network(difficulty, reward, Usd::new(price).unwrap())
            .unwrap()
            .usd_per_ph_day()
    }

    #[test]
    fn the_network_pays_the_published_hash_prices() {
        assert_eq!(format!("{:.3}", of(1e14, 3.125, 100_000.0)), "62.864");
        assert_eq!(format!("{:.2}", of(148.2e12, 3.145, 87_500.0)), "37.35");
    }

    #[test]
    fn hash_price_and_efficiency_give_the_highest_price_of_energy() {
        let earned = |hash_price: f64, efficiency: f64| {
            let hash_price = HashPrice::new(hash_price).unwrap();
            hash_price.earns_per_kwh(Efficiency::new(efficiency).unwrap())
        };
        for (hash_price, efficiency, want) in [
            (30.0, 21.5, "0.0581"),
            (38.2, 17.5, "0.0910"),
            (38.2, 25.0, "0.0637"),
            (38.2, 30.0, "0.0531"),
        ] {
            assert_eq!(earned(hash_price, efficiency).to_string(), format!("{want} $/kWh"));
        }
        let per_mwh = earned(30.0, 21.5).usd_per_mwh();
        assert!((per_mwh - 1000.0 * 30.0 / (24.0 * 21.5)).abs() < 1e-9);
    }

    #[test]
    fn the_break_even_efficiency_earns_exactly_what_its_energy_costs() {
        let hash_price = HashPrice::new(30.0).unwrap();
        let price = EnergyPrice::per_kwh(0.07).unwrap();
        let efficiency = hash_price.break_even(price).unwrap();
        let earned = hash_price.earns_per_kwh(efficiency);
        assert!((earned.usd_per_kwh() - 0.07).abs() < 1e-15);
        assert!(hash_price.break_even(EnergyPrice::ZERO).is_none());
        assert!(hash_price.break_even(-price).is_none());
    }

    #[test]
    fn what_a_machine_earns_in_a_day_is_its_share_of_a_petahash() {
        let rate = Hashrate::from_hashes_per_second(200e12);
        let day = Duration::from_secs(86_400);
        let earned = HashPrice::new(38.2).unwrap().earns(rate, day);
        assert!((earned.get() - 7.64).abs() < 1e-12);
    }

    #[test]
    fn a_hash_price_reads_back_and_is_never_negative() {
        for text in ["38.2", "$38.2", "38.2 $/PH/day", "38.2$/PH/s/day", "$38.2/PH/day"] {
            let price: HashPrice = text.parse().unwrap();
            assert_eq!(price.to_string(), "38.20 $/PH/day", "{text}");
        }
        for bad in ["-1", "NaN", "", "inf", "38 €/PH/day"] {
            assert!(bad.parse::<HashPrice>().is_err(), "{bad}");
        }
    }
}
