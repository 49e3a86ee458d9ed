//! The file of `hearth aggregate`: the broker, who says what is wanted, how homes are told and paid. It
//! connects to nothing.

use crate::config::ConfigError;
use dispatch::aggregate::Setup;
use grid::{
    Quality,
    homes::Homes,
    mqtt::{Address, Broker, Topic, Use},
    openadr,
};
use serde::Deserialize;
use std::{path::Path, path::PathBuf, time::Duration};
use units::{Ratio, Watts};

/// What the file says.
pub struct Told {
    pub homes: Homes,
    /// Where set-points for all homes together come.
    pub set_point: Option<Broker>,
    pub openadr: Vec<openadr::Config>,
    /// Where records go.
    pub folder: PathBuf,
    pub every: Duration,
    /// Sats for each kilowatt-hour that was delivered.
    pub pays: f64,
    pub setup: Setup,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// First part of the homes' topics.
    base: String,
    /// Folder of the records, from where the file is.
    folder: PathBuf,
    #[serde(default = "four")]
    every_s: f64,
    #[serde(default)]
    pays_sats_per_kwh: f64,
    broker: BrokerText,
    set_point: Option<SetPointText>,
    #[serde(default)]
    openadr: Vec<OpenadrText>,
    #[serde(default)]
    homes: HomesText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerText {
    host: String,
    #[serde(default = "mqtt_port")]
    port: u16,
    user: Option<String>,
    #[serde(default)]
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPointText {
    topic: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenadrText {
    url: String,
    token_url: Option<String>,
    client_id: String,
    client_secret: String,
    ven_name: String,
    #[serde(default)]
    programs: Vec<String>,
    #[serde(default = "ten")]
    every_s: f64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct HomesText {
    most: Option<usize>,
    stale_s: Option<f64>,
    valid_s: Option<f64>,
    settle_s: Option<f64>,
    sustain_min: Option<f64>,
    even_min: Option<f64>,
    arrears_min: Option<f64>,
    tolerance: Option<f64>,
    tolerance_w: Option<f64>,
    interval_min: Option<f64>,
    control: Option<f64>,
    least_control: Option<usize>,
    lot_hours: Option<f64>,
    rest_hours: Option<f64>,
    meter_error: Option<f64>,
    confidence: Option<f64>,
}

fn four() -> f64 {
    4.0
}

fn ten() -> f64 {
    10.0
}

fn mqtt_port() -> u16 {
    1883
}

/// Reads the file.
pub fn load(path: &Path) -> Result<Told, ConfigError> {
    let wrong = |sentence: String| ConfigError::about(path, sentence);
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("{error}; docs/energy.md shows what the file says")))?;
    let file: File = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    file.told(path.parent().unwrap_or(Path::new("."))).map_err(wrong)
}

impl File {
    fn told(self, beside: &Path) -> Result<Told, String> {
        let login = self.broker.user.map(|user| (user, self.broker.password));
        let address = Address { host: self.broker.host, port: self.broker.port, login };
        let homes = Homes { name: "homes".into(), address: address.clone(), base: self.base };
        homes.validate().map_err(|bad| bad.0)?;
        let set_point = self.set_point.map(|set_point| Broker {
            name: "set-point".into(),
            address,
            topics: vec![Topic { topic: set_point.topic, take: Use::SetPoint }],
            keep_alive: None,
            quality: Quality::Measured,
        });
        if let Some(set_point) = &set_point {
            set_point.validate().map_err(|bad| bad.0)?;
        }
        let openadr =
            self.openadr.into_iter().map(OpenadrText::config).collect::<Result<_, _>>()?;
        let pays = self.pays_sats_per_kwh;
        if !(0.0..=1e12).contains(&pays) {
            return Err(format!("pays_sats_per_kwh must be from 0 to 1e12, not {pays}"));
        }
        let setup = self.homes.setup()?;
        let every = seconds("every_s", self.every_s, 1.0, 60.0)?;
        if setup.valid < every * 3 || setup.stale < every {
            return Err("valid_s must be at least three steps, stale_s one: raise them".into());
        }
        let folder = beside.join(self.folder);
        Ok(Told { homes, set_point, openadr, folder, every, pays, setup })
    }
}

impl OpenadrText {
    fn config(self) -> Result<openadr::Config, String> {
        Ok(openadr::Config {
            name: self.ven_name.as_str().into(),
            url: self.url,
            token_url: self.token_url,
            client_id: self.client_id,
            client_secret: self.client_secret,
            ven_name: self.ven_name,
            programs: self.programs,
            every: seconds("every_s", self.every_s, 1.0, 3600.0)?,
            // Prices are not acted on here.
            usd_per_unit: 1.0,
            quality: Quality::Measured,
        })
    }
}

impl HomesText {
    fn setup(self) -> Result<Setup, String> {
        let mut setup = Setup::default();
        const DAY: f64 = 86_400.0;
        for (name, told, unit, field) in [
            ("stale_s", self.stale_s, 1.0, &mut setup.stale),
            ("valid_s", self.valid_s, 1.0, &mut setup.valid),
            ("settle_s", self.settle_s, 1.0, &mut setup.settle),
            ("sustain_min", self.sustain_min, 60.0, &mut setup.sustain),
            ("even_min", self.even_min, 60.0, &mut setup.even),
            ("arrears_min", self.arrears_min, 60.0, &mut setup.arrears),
            ("interval_min", self.interval_min, 60.0, &mut setup.interval),
            ("lot_hours", self.lot_hours, 3600.0, &mut setup.lot),
            ("rest_hours", self.rest_hours, 3600.0, &mut setup.rest),
        ] {
            if let Some(told) = told {
                *field = seconds(name, told * unit, 1.0, 31.0 * DAY)?;
            }
        }
        for (name, told, field) in [
            ("tolerance", self.tolerance, &mut setup.tolerance),
            ("control", self.control, &mut setup.control),
            ("meter_error", self.meter_error, &mut setup.meter.0),
            ("confidence", self.confidence, &mut setup.confidence),
        ] {
            if let Some(told) = told {
                *field = Ratio::new(told).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        if let Some(watts) = self.tolerance_w {
            setup.least_tolerance =
                Watts::new(watts).map_err(|error| format!("tolerance_w: {error}"))?;
        }
        setup.most = self.most.unwrap_or(setup.most);
        setup.least_control = self.least_control.unwrap_or(setup.least_control);
        let whole = |time: Duration| time.subsec_nanos() == 0;
        if !whole(setup.interval) || !whole(setup.lot) || setup.valid.as_secs_f64() > DAY {
            return Err(
                "interval_min and lot_hours must be whole seconds, valid_s a day at most".into()
            );
        }
        if setup.rest >= setup.lot {
            return Err("rest_hours must be less than lot_hours".into());
        }
        if setup.lot.as_secs() % setup.interval.as_secs() != 0 {
            return Err(
                "lot_hours must be a multiple of interval_min: nobody changes group within \
                        an interval"
                    .into(),
            );
        }
        Ok(setup)
    }
}

fn seconds(name: &str, seconds: f64, least: f64, most: f64) -> Result<Duration, String> {
    let fits = (least..=most).contains(&seconds);
    fits.then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(|| format!("{name} must come to {least} to {most} s, not {seconds}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "base = \"hearth/homes\"\nfolder = \"out\"\n[broker]\nhost = \"localhost\"\n";

    fn read(more: &str) -> Result<Told, String> {
        let file: File = toml::from_str(&format!("{LEAST}{more}")).map_err(|e| e.to_string())?;
        file.told(Path::new("/somewhere"))
    }

    #[test]
    fn a_short_file_is_enough_and_what_cannot_work_is_refused() {
        let told = read("[homes]\neven_min = 30").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(told.setup.even, Duration::from_secs(1800));
        assert_eq!((told.every.as_secs(), told.folder), (4, "/somewhere/out".into()));
        assert_eq!(told.homes.address.port, 1883);
        for bad in [
            "[homes]\nevn_min = 30",
            "[homes]\nvalid_s = 5",
            "[homes]\ncontrol = 5",
            "[homes]\ninterval_min = 11",
            "[homes]\nlot_hours = 12",
            "[set_point]\ntopic = \"a/#\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
