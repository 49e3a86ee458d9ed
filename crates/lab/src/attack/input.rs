//! What every attack is described by: a share of the hashrate, tie-following, stubbornness, delay.
//! Owns what is allowed and says what to mend; never computes.

use crate::LabError;
use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};
use units::Sats;

/// The mean time between blocks at the difficulty that fits the hashrate.
pub const BLOCK_INTERVAL: Duration = Duration::from_secs(600);

/// A share of the hashrate: more than 0, less than 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

/// The part of the other miners that, between two equally high branches, mines on the attacker's
/// (Eyal and Sirer's gamma): 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Gamma(f64);

/// How long a censor refuses the branch with the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stubbornness {
    /// While the transaction has at most this many confirmations; then the censor follows again.
    Confirmations(NonZeroU32),
    /// Whatever happens.
    Forever,
}

impl Share {
    /// `name` is how the input is called on the command line.
    pub fn new(name: &str, share: f64) -> Result<Self, LabError> {
        // Written so that NaN is refused too.
        if share > 0.0 && share < 1.0 {
            return Ok(Self(share));
        }
        Err(LabError::new(format!(
            "{name} is {share}; a share of the hashrate is more than 0 and less than 1, such as 0.36"
        )))
    }

    /// A share that games can be played with: rarer outcomes would not be seen in them.
    pub fn to_play(name: &str, share: f64) -> Result<Self, LabError> {
        let share = Self::new(name, share)?;
        if (0.001..=0.999).contains(&share.0) {
            return Ok(share);
        }
        Err(LabError::new(format!(
            "{name} is {}; games can be played with shares of 0.001 to 0.999",
            share.0
        )))
    }

    /// As a fraction.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// What is left.
    pub fn rest(self) -> f64 {
        1.0 - self.0
    }
}

impl Gamma {
    /// Nobody.
    pub const NONE: Self = Self(0.0);

    /// `gamma` from 0 to 1.
    pub fn new(gamma: f64) -> Result<Self, LabError> {
        if (0.0..=1.0).contains(&gamma) {
            return Ok(Self(gamma));
        }
        Err(LabError::new(format!(
            "gamma is {gamma}; the part of the others that follows the attacker in a tie is 0 to 1"
        )))
    }

    /// As a fraction.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Stubbornness {
    /// The most confirmations that can be asked for; beyond, say forever.
    pub const MOST: u32 = 10_000;

    /// `confirmations` from 1 to [`Self::MOST`].
    pub fn confirmations(confirmations: u32) -> Result<Self, LabError> {
        NonZeroU32::new(confirmations)
            .filter(|k| k.get() <= Self::MOST)
            .map(Self::Confirmations)
            .ok_or_else(|| Self::unreadable(&confirmations.to_string()))
    }

    /// The confirmations, if there is an end.
    pub const fn limit(self) -> Option<u32> {
        match self {
            Self::Confirmations(k) => Some(k.get()),
            Self::Forever => None,
        }
    }

    fn unreadable(text: &str) -> LabError {
        LabError::new(format!(
            "stubbornness is \"{text}\"; give the confirmations a censor fights, 1 to {}, or inf",
            Self::MOST
        ))
    }
}

impl FromStr for Stubbornness {
    type Err = LabError;

    /// Reads `6`, `inf` or `forever`.
    fn from_str(text: &str) -> Result<Self, LabError> {
        match text.trim() {
            "inf" | "forever" | "∞" => Ok(Self::Forever),
            number => number
                .parse()
                .map_err(|_| Self::unreadable(text))
                .and_then(|k| Self::confirmations(k).map_err(|_| Self::unreadable(text))),
        }
    }
}

impl fmt::Display for Stubbornness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmations(k) => write!(f, "{k}"),
            Self::Forever => f.write_str("∞"),
        }
    }
}

/// A delay that was given in seconds: 0 to 600, the time between blocks.
pub fn delay(seconds: f64) -> Result<Duration, LabError> {
    Duration::try_from_secs_f64(seconds).ok().filter(|d| *d <= BLOCK_INTERVAL).ok_or_else(|| {
        LabError::new(format!(
            "delay is {seconds} s; the time a block takes to reach the others is 0 to 600 seconds"
        ))
    })
}

/// A positive count, at most `most`.
pub fn count(name: &str, count: u64, most: u64) -> Result<u64, LabError> {
    if (1..=most).contains(&count) {
        return Ok(count);
    }
    Err(LabError::new(format!("{name} is {count}; give 1 to {most}")))
}

/// An amount that was given in bitcoin: 0 to 21 million, rounded to the nearest satoshi.
pub fn bitcoin(name: &str, amount: f64) -> Result<Sats, LabError> {
    if (0.0..=21e6).contains(&amount) {
        return Ok(Sats((amount * 1e8).round() as u64));
    }
    Err(LabError::new(format!("{name} is {amount} BTC; give 0 to 21 million")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_input_gets_one_sentence_that_names_it() {
        for bad in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let said = Share::new("share", bad).unwrap_err().to_string();
            assert!(said.starts_with("share is ") && !said.contains('\n'), "{said}");
        }
        for bad in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert!(Gamma::new(bad).unwrap_err().to_string().starts_with("gamma is "));
        }
        for bad in [-1.0, 601.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(delay(bad).unwrap_err().to_string().starts_with("delay is "));
        }
        for bad in ["0", "-1", "1.5", "10001", "", "NaN", "many"] {
            let said = bad.parse::<Stubbornness>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("stubbornness is \"{bad}\"")), "{said}");
        }
        for bad in [-1.0, f64::NAN, 3e7] {
            assert!(bitcoin("reward", bad).is_err());
        }
        assert!(count("games", 0, 10).is_err() && count("games", 11, 10).is_err());
    }

    #[test]
    fn what_is_right_is_read() {
        assert_eq!(Share::new("share", 0.36).unwrap().get(), 0.36);
        assert_eq!(Share::to_play("share", 0.001), Share::new("share", 0.001));
        assert!(
            Share::to_play("share", 1e-9).is_err() && Share::to_play("share", f64::NAN).is_err()
        );
        assert_eq!("inf".parse(), Ok(Stubbornness::Forever));
        assert_eq!("6".parse::<Stubbornness>().unwrap().limit(), Some(6));
        assert_eq!(delay(0.0), Ok(Duration::ZERO));
        assert_eq!(bitcoin("reward", 3.125), Ok(Sats(312_500_000)));
        assert!(Gamma::new(0.0).is_ok() && Gamma::new(1.0).is_ok());
    }
}
