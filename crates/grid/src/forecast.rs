//! Forecasts that others make: what panels will give, how warm it will be outside, what else a site will
//! draw. It forecasts nothing itself.

use crate::{
    BadSetting, Hub, LinkError, Quality, Signal,
    http::{From, unix_now},
    link::keep,
    series::{Layout, Series},
};
use std::{sync::Arc, time::Duration};

/// A source of one forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name on the status page.
    pub name: Arc<str>,
    /// What is forecast, in that signal's unit.
    pub of: Signal,
    /// Where from.
    pub from: From,
    /// Where times and numbers stand.
    pub layout: Layout,
    /// Value = number × `scale` + `offset`.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
    /// The length of a step, where the distance of times does not tell it.
    pub step: Option<Duration>,
    /// How often it is read.
    pub every: Duration,
    /// [`Quality::Synthetic`] for what is made up.
    pub quality: Quality,
}

/// What a forecast can be of: the sun's power, temperatures by name, and net power, which then is what a
/// site draws beside its steered loads and its panels.
fn can_be_forecast(signal: &Signal) -> bool {
    matches!(signal, Signal::Pv | Signal::Irradiance | Signal::Temperature(_) | Signal::NetPower)
}

impl Source {
    /// Refuses a bad address, a signal that nobody forecasts, and reading more than once in ten seconds.
    pub fn validate(&self) -> Result<(), BadSetting> {
        self.from.validate()?;
        BadSetting::unless(can_be_forecast(&self.of), || {
            format!(
                "a forecast of {} is not used: write solar power, irradiance, temperature of NAME or \
                 net power",
                self.of
            )
        })?;
        BadSetting::unless(self.scale.is_finite() && self.offset.is_finite(), || {
            format!("{} has a scale or offset that is no number", self.name)
        })?;
        BadSetting::unless(self.every >= Duration::from_secs(10), || {
            format!("{} is read every {:?}: write 10 s or more", self.name, self.every)
        })
    }

    /// The series in a text.
    pub fn read(&self, text: &[u8]) -> Result<Series<f64>, BadSetting> {
        let points = self.layout.points(text)?.into_iter();
        let scaled = points.map(|(time, number)| (time, number * self.scale + self.offset));
        let points: Vec<_> = scaled.collect();
        if let Some((time, _)) = points.iter().find(|(_, value)| !value.is_finite()) {
            return Err(BadSetting(format!("the value at {} is no number", time.0)));
        }
        Series::new(points, self.step)
    }

    /// Reads for ever and publishes into the hub.
    pub async fn run(self, hub: Hub) {
        let source = Arc::new(self);
        keep(hub.clone(), source.name.clone(), || {
            let (hub, source) = (hub.clone(), source.clone());
            async move { source.session(&hub).await }
        })
        .await;
    }

    async fn session(&self, hub: &Hub) -> Result<(), LinkError> {
        let take = |text: &[u8]| {
            let series = self
                .read(text)
                .map_err(|BadSetting(sentence)| LinkError(format!("{}: {sentence}", self.name)))?;
            if series.end().is_none_or(|end| end <= unix_now()) {
                hub.refuse(&self.name, "all of its forecast lies in the past".into());
            }
            hub.tell_forecast(&self.name, self.quality, self.of.clone(), series);
            Ok(())
        };
        self.from.each(self.every, take).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Path;
    use units::UnixTime;

    fn source(of: Signal, scale: f64) -> Source {
        Source {
            name: "weather".into(),
            of,
            from: From::File("unused".into()),
            layout: Layout::JsonColumns {
                times: Path::new("hourly.time"),
                values: Path::new("hourly.value"),
            },
            scale,
            offset: 0.0,
            step: None,
            every: Duration::from_secs(3600),
            quality: Quality::Synthetic,
        }
    }

    #[test]
    fn an_hourly_forecast_is_read_in_the_unit_of_its_signal() {
        // As Open-Meteo writes, times without an offset in UTC; watts per m² on 20 m² at 20 %.
        let text =
            br#"{"hourly":{"time":["2027-01-15T08:00","2027-01-15T09:00"],"value":[100,null]}}"#;
        let series = source(Signal::Pv, 4.0).read(text).unwrap();
        assert_eq!(series.at(UnixTime(1_800_003_599)), Some(400.0));
        assert_eq!(series.at(UnixTime(1_800_003_600)), None, "null is a gap");
        assert!(
            source(Signal::Pv, 1e308).read(br#"{"hourly":{"time":[1],"value":[1e9]}}"#).is_err()
        );
        assert!(source(Signal::Pv, 1.0).validate().is_ok());
        let sentence = source(Signal::Frequency, 1.0).validate().unwrap_err().0;
        assert!(sentence.contains("frequency is not used"), "{sentence}");
    }
}
