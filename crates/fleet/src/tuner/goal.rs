//! Goals as people write them: `efficiency`, `efficiency=90%`, `watts=800`, `hashrate`, `noise=40`,
//! `heat=1500`.

use super::Goal;
use std::{fmt, str::FromStr};
use units::{Decibels, Ratio, Watts};

/// Hashrate that is kept when only efficiency is asked for, percent.
const KEEP: f64 = 75.0;

/// What is wrong with a goal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoalError {
    /// No such goal.
    #[error(
        "\"{0}\" is no goal; use efficiency, efficiency=90%, watts=800, hashrate, noise=40 or heat=1500"
    )]
    Unknown(String),
    /// A figure that cannot be.
    #[error("\"{0}\" is no {1}; write for example {2}")]
    Figure(String, &'static str, &'static str),
}

impl FromStr for Goal {
    type Err = GoalError;

    fn from_str(text: &str) -> Result<Self, GoalError> {
        let (name, figure) = match text.trim().split_once('=') {
            Some((name, figure)) => (name.trim(), Some(figure.trim())),
            None => (text.trim(), None),
        };
        let unknown = || GoalError::Unknown(text.trim().into());
        match (name, figure) {
            ("efficiency", None) => {
                Ok(Self::Efficiency { keep: percent(KEEP).ok_or_else(unknown)? })
            }
            ("efficiency", Some(figure)) => {
                let figure = figure.trim_end_matches('%');
                let keep = figure.parse().ok().and_then(percent);
                let wrong = || GoalError::Figure(figure.into(), "percentage", "efficiency=90%");
                Ok(Self::Efficiency { keep: keep.ok_or_else(wrong)? })
            }
            ("hashrate", None) => Ok(Self::Hashrate),
            ("watts", Some(figure)) => watts(figure, "watts=800").map(Self::Watts),
            ("heat", Some(figure)) => watts(figure, "heat=1500").map(Self::Heat),
            ("noise", Some(figure)) => {
                let bare = figure.trim_end_matches("dB").trim();
                let noise = bare.parse().ok().and_then(|noise| Decibels::new(noise).ok());
                let wrong = || GoalError::Figure(figure.into(), "noise in dB", "noise=40");
                noise.ok_or_else(wrong).map(Self::Noise)
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Goal {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Efficiency { keep } => write!(f, "efficiency={:.0}%", keep.as_percent()),
            Self::Watts(watts) => write!(f, "watts={:.0}", watts.get()),
            Self::Hashrate => f.write_str("hashrate"),
            Self::Noise(noise) => write!(f, "noise={:.0}", noise.get()),
            Self::Heat(watts) => write!(f, "heat={:.0}", watts.get()),
        }
    }
}

fn percent(figure: f64) -> Option<Ratio> {
    Ratio::percent(figure).ok().filter(|ratio| *ratio > Ratio::NONE)
}

fn watts(figure: &str, example: &'static str) -> Result<Watts, GoalError> {
    let bare = figure.trim_end_matches(['W', 'w']).trim();
    let watts = bare.parse().ok().and_then(|watts| Watts::new(watts).ok());
    let positive = watts.filter(|watts| *watts > Watts::ZERO);
    positive.ok_or_else(|| GoalError::Figure(figure.into(), "power in watts", example))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_read_and_written_as_people_write_them() {
        for (text, shown) in [
            ("efficiency", "efficiency=75%"),
            ("efficiency=90%", "efficiency=90%"),
            ("watts=800", "watts=800"),
            ("watts = 800 W", "watts=800"),
            ("hashrate", "hashrate"),
            ("noise=40dB", "noise=40"),
            ("heat=1500", "heat=1500"),
        ] {
            let goal: Goal = text.parse().unwrap();
            assert_eq!(goal.to_string(), shown);
            assert_eq!(shown.parse(), Ok(goal));
        }
    }

    #[test]
    fn what_is_no_goal_is_refused_in_a_sentence() {
        for text in
            ["", "speed", "watts", "watts=", "watts=-5", "watts=NaN", "efficiency=0", "noise=inf"]
        {
            let error = text.parse::<Goal>().unwrap_err().to_string();
            assert!(error.contains("is no"), "{text}: {error}");
        }
    }
}
