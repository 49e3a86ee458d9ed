//! What the running server and `hearth tune` say to each other: a request, and a line for each step.

use fleet::{
    Command,
    control::tune::{ArmNews, News},
    tuner::{ArmFound, Entry, Found, Point},
};
use serde::{Deserialize, Serialize};
use units::{Efficiency, Hashrate, Watts};

/// What the server is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Id, name, address or worker.
    pub device: String,
    /// As a goal is written.
    pub goal: String,
    /// Longest tuning, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_s: Option<u64>,
    /// Return to what was before the last tuning instead.
    #[serde(default)]
    pub undo: bool,
}

/// That it has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Under which it is asked for and stopped.
    pub job: u64,
    /// The machine's id.
    pub device: String,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of the row after the last one here.
    pub next: usize,
    /// What happened since.
    pub rows: Vec<Row>,
    /// Whether nothing more will.
    pub ended: bool,
}

/// One line. What is unknown is null.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// `step`, `good`, `back`, `refused`, `found`, `stopped` or `error`.
    pub event: String,
    /// A sentence.
    pub text: String,
    /// Chip clock, MHz, where that is what is set.
    pub frequency_mhz: Option<f64>,
    /// Core voltage, mV.
    pub voltage_mv: Option<f64>,
    /// By verified work, J/TH.
    pub j_per_th: Option<f64>,
    /// One standard error of it, relative.
    pub error: Option<f64>,
    /// Verified hashrate, TH/s.
    pub verified_ths: Option<f64>,
    /// Power by the best source, W.
    pub power_w: Option<f64>,
}

impl Row {
    /// A line without figures.
    pub fn of(event: &str, text: impl Into<String>) -> Self {
        Self { event: event.into(), text: text.into(), ..Self::default() }
    }

    fn at(event: &str, point: Point, text: String) -> Self {
        Self {
            frequency_mhz: Some(point.frequency.get()),
            voltage_mv: Some(point.voltage.get()),
            ..Self::of(event, text)
        }
    }

    fn with(self, power: Option<Watts>, rate: Option<Hashrate>) -> Self {
        let joules = power.zip(rate).and_then(|(power, rate)| Efficiency::of(power, rate).ok());
        Self {
            j_per_th: joules.map(Efficiency::joules_per_terahash),
            verified_ths: rate.map(Hashrate::terahashes_per_second),
            power_w: power.map(Watts::get),
            ..self
        }
    }

    /// The best setting there is.
    pub fn found(found: &Found) -> Self {
        let Found { point, rate, power, efficiency, error } = found;
        let (f, v) = (point.frequency, point.voltage);
        let percent = 100.0 * error;
        let text =
            format!("best: {f}, {v}: {efficiency} (± {percent:.1} %), {rate} verified, {power}");
        Self {
            error: Some(*error),
            ..Self::at("found", *point, text).with(Some(*power), Some(*rate))
        }
    }

    /// The best of a machine's profiles, limits or modes.
    pub fn best(found: &ArmFound, command: &Command) -> Self {
        let ArmFound { rate, power, efficiency, .. } = found;
        let text = format!("best: {command}: {efficiency}, {rate} verified, {power}");
        Self::of("found", text).with(Some(*power), Some(*rate))
    }
}

impl From<&News> for Row {
    fn from(news: &News) -> Self {
        match news {
            News::Step(Entry::Applying { point, last_good, .. }) => {
                let (f, v) = (point.frequency, point.voltage);
                let (g, w) = (last_good.frequency, last_good.voltage);
                Self::at("step", *point, format!("tries {f}, {v}; back to {g}, {w} on any doubt"))
            }
            News::Step(Entry::Good { point, measured, .. }) => {
                let text = format!("good: {}, {}", point.frequency, point.voltage);
                let row = Self::at("good", *point, text).with(measured.power, measured.verified);
                match row.j_per_th {
                    Some(joules) => Self {
                        text: format!("{}: {joules:.2} J/TH by verified work", row.text),
                        ..row
                    },
                    None => row,
                }
            }
            News::Step(Entry::Restored { point, why, .. }) => {
                let text = format!("back at {}, {}: {why}", point.frequency, point.voltage);
                Self::at("back", *point, text)
            }
            News::Refused(words) => Self::of("refused", format!("the machine refused: {words}")),
            News::Found(found) => Self::found(found),
        }
    }
}

impl From<&ArmNews> for Row {
    fn from(news: &ArmNews) -> Self {
        match news {
            ArmNews::Applying(setting, good) => {
                Self::of("step", format!("tries: {setting}; back to: {good} on any doubt"))
            }
            ArmNews::Restored(good) => Self::of("back", format!("back at: {good}")),
            ArmNews::Refused(words) => Self::of("refused", format!("the machine refused: {words}")),
        }
    }
}
