//! Prices of energy to come: series from CSV, JSON and MQTT, in whatever unit they are written. It
//! never forecasts one.

use crate::{
    BadSetting, Hub, LinkError, Quality,
    http::{From, unix_now},
    link::keep,
    series::{Layout, Series},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use units::EnergyPrice;

/// The present price is told again at least this often, so that it does not grow old within its hour
/// and a clock that was set is noticed.
const REPEAT: Duration = Duration::from_secs(60);

/// Prices in order of time, not overlapping; there may be gaps.
pub type Prices = Series<EnergyPrice>;

/// The unit that a source writes, and what is made of it: dollars per kWh =
/// number × `usd_per_unit` ÷ (kWh in the unit) + `added`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// What energy the number is for.
    pub per: Per,
    /// Dollars for one unit of its currency: 1 for dollars, 0.01 for cents, 1.08 for euros at that
    /// rate; taxes in percent belong here as well.
    pub usd_per_unit: f64,
    /// Fees that are added per kilowatt-hour.
    pub added: EnergyPrice,
}

/// What energy a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// A megawatt-hour.
    MegawattHour,
    /// A kilowatt-hour.
    KilowattHour,
}

impl Unit {
    /// `EUR/MWh`, `ct/kWh`, `$/kWh`: `usd` is dollars per euro or whatever currency stands there.
    pub fn named(name: &str, usd: f64, added: EnergyPrice) -> Result<Self, BadSetting> {
        let unreadable = || {
            BadSetting(format!(
                "`{name}` is no unit of price: write EUR/MWh, EUR/kWh or ct/kWh, with the currency's \
                 own letters"
            ))
        };
        BadSetting::unless(usd.is_finite() && usd > 0.0, || {
            format!("a currency of {usd} dollars: write how many dollars one unit of it buys")
        })?;
        let (money, energy) = name.split_once('/').ok_or_else(unreadable)?;
        let per = match energy.trim().to_ascii_lowercase().as_str() {
            "mwh" => Per::MegawattHour,
            "kwh" => Per::KilowattHour,
            _ => return Err(unreadable()),
        };
        let part = match money.trim().to_ascii_lowercase().as_str() {
            "ct" | "c" | "cent" | "cents" | "p" | "öre" | "øre" => 0.01,
            "" => return Err(unreadable()),
            _ => 1.0,
        };
        Ok(Self { per, usd_per_unit: usd * part, added })
    }

    fn price(&self, number: f64) -> Result<EnergyPrice, BadSetting> {
        let usd = number * self.usd_per_unit;
        let price = match self.per {
            Per::MegawattHour => EnergyPrice::per_mwh(usd),
            Per::KilowattHour => EnergyPrice::per_kwh(usd),
        };
        let price = price.map_err(|error| BadSetting(format!("{number}: {error}")))?;
        EnergyPrice::per_kwh(price.usd_per_kwh() + self.added.usd_per_kwh())
            .map_err(|error| BadSetting(format!("{number}: {error}")))
    }
}

/// How a text holds its prices.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    /// Where times and numbers stand.
    pub layout: Layout,
    /// The unit of the numbers.
    pub unit: Unit,
    /// The length of a step, where the distance of times does not tell it.
    pub step: Option<Duration>,
}

impl Format {
    /// The series in a text. A price that is missing (`null`, an empty field) is a gap.
    pub fn read(&self, text: &[u8]) -> Result<Prices, BadSetting> {
        let points = self.layout.points(text)?.into_iter();
        let prices: Result<Vec<_>, BadSetting> =
            points.map(|(time, number)| Ok((time, self.unit.price(number)?))).collect();
        Prices::new(prices?, self.step)
    }
}

/// A source of prices.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name on the status page.
    pub name: Arc<str>,
    /// Where from.
    pub from: From,
    /// How it is written.
    pub format: Format,
    /// How often it is read.
    pub every: Duration,
    /// [`Quality::Synthetic`] for made-up prices.
    pub quality: Quality,
}

impl Source {
    /// Refuses a bad address and reading more than once in ten seconds.
    pub fn validate(&self) -> Result<(), BadSetting> {
        self.from.validate()?;
        BadSetting::unless(self.every >= Duration::from_secs(10), || {
            format!("{} is read every {:?}: write 10 s or more", self.name, self.every)
        })
    }

    /// Reads for ever; publishes the series, and the price of the present as soon as it begins. While
    /// the link is down the last series goes on telling it.
    pub async fn run(self, hub: Hub) {
        let source = Arc::new(self);
        let (read, series) = watch::channel(None);
        let reading = keep(hub.clone(), source.name.clone(), || {
            let (hub, source, read) = (hub.clone(), source.clone(), read.clone());
            async move { source.session(&hub, &read).await }
        });
        tokio::join!(reading, source.present(&hub, series));
    }

    async fn session(
        &self,
        hub: &Hub,
        read: &watch::Sender<Option<Prices>>,
    ) -> Result<(), LinkError> {
        let take = |text: &[u8]| {
            let prices = self
                .format
                .read(text)
                .map_err(|BadSetting(sentence)| LinkError(format!("{}: {sentence}", self.name)))?;
            if prices.end().is_none_or(|end| end <= unix_now()) {
                hub.refuse(&self.name, "all its prices lie in the past".into());
            }
            hub.tell_prices(&self.name, self.quality, prices.clone());
            read.send_replace(Some(prices));
            Ok(())
        };
        self.from.each(self.every, take).await
    }

    async fn present(&self, hub: &Hub, mut series: watch::Receiver<Option<Prices>>) {
        loop {
            let now = unix_now();
            let (price, wait) = match &*series.borrow_and_update() {
                Some(prices) => (prices.at(now), prices.until_change(now)),
                None => (None, None),
            };
            hub.tell_present(&self.name, self.quality, price);
            let wait = wait.unwrap_or(REPEAT).min(REPEAT);
            // A new series is looked at as soon as it is there.
            if let Ok(Err(_)) = tokio::time::timeout(wait, series.changed()).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{number::Path, series::Step};
    use units::UnixTime;

    const HOUR: Duration = Duration::from_secs(3600);

    fn format(layout: Layout, unit: &str, usd: f64) -> Format {
        let unit = Unit::named(unit, usd, EnergyPrice::ZERO).unwrap();
        Format { layout, unit, step: None }
    }

    fn mwh(prices: &Prices) -> Vec<(u64, u64, i64)> {
        let whole = |step: &Step<EnergyPrice>| (step.value.usd_per_mwh() * 1e3).round() as i64;
        prices.steps().iter().map(|step| (step.start.0, step.end.0, whole(step))).collect()
    }

    #[test]
    fn a_german_spreadsheet_and_a_plain_one_are_the_same_series() {
        let layout = || Layout::Csv { time: "start".into(), value: "price".into() };
        let german = b"\xef\xbb\xbfstart;price\n2027-01-15 08:00;82,50\n2027-01-15 08:15;-3,1\n";
        let plain = b"price,start\n8.25,1800000000\n-0.31,2027-01-15T09:15:00+01:00\n,1800001800\n";
        let german = format(layout(), "EUR/MWh", 1.08).read(german).unwrap();
        let plain = format(layout(), "ct/kWh", 1.08).read(plain).unwrap();
        let expected =
            [(1_800_000_000, 1_800_000_900, 89_100), (1_800_000_900, 1_800_001_800, -3348)];
        assert_eq!(mwh(&german), expected);
        assert_eq!(mwh(&plain), expected);
        assert_eq!(plain.at(UnixTime(1_800_001_799)).unwrap().usd_per_mwh().round(), -3.0);
        assert!(plain.at(UnixTime(1_800_001_800)).is_none() && plain.at(UnixTime(1)).is_none());
    }

    #[test]
    fn json_lists_and_columns_are_read_at_their_paths() {
        let list = Layout::JsonList {
            list: Path::new("data"),
            time: Path::new("start_timestamp"),
            value: Path::new("marketprice"),
        };
        let text = br#"{"data":[{"start_timestamp":1800000000000,"marketprice":50},
            {"start_timestamp":1800003600000,"marketprice":"60.5"}]}"#;
        let prices = format(list, "EUR/MWh", 1.0).read(text).unwrap();
        assert_eq!(mwh(&prices)[1], (1_800_003_600, 1_800_007_200, 60_500));
        let columns =
            Layout::JsonColumns { times: Path::new("unix_seconds"), values: Path::new("price") };
        let text = br#"{"unix_seconds":[1800000000,1800000900,1800001800],"price":[1,null,3]}"#;
        let prices = format(columns.clone(), "EUR/MWh", 1.0).read(text).unwrap();
        assert_eq!(mwh(&prices).len(), 2);
        for bad in [&b"{}"[..], b"{\"unix_seconds\":[1],\"price\":[]}", b"[", b"\xff"] {
            assert!(format(columns.clone(), "EUR/MWh", 1.0).read(bad).is_err());
        }
        assert!(Unit::named("EUR", 1.0, EnergyPrice::ZERO).is_err());
        assert!(Unit::named("EUR/MWh", f64::NAN, EnergyPrice::ZERO).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_present_price_is_told_anew_without_its_link_and_is_unknown_in_a_gap() {
        let hub = Hub::new(tokio::time::Instant::now());
        let format = format(Layout::Csv { time: "t".into(), value: "p".into() }, "$/kWh", 1.0);
        let from = From::File("unused".into());
        let (name, every, quality) = ("prices".into(), HOUR, Quality::Synthetic);
        let source = Source { name, from, format, every, quality };
        let one = |start: UnixTime| {
            let price = EnergyPrice::per_kwh(0.25).unwrap();
            Some(Prices::new(vec![(start, price)], Some(24 * HOUR)).unwrap())
        };
        let (read, series) = watch::channel(one(unix_now()));
        let telling = hub.clone();
        tokio::spawn(async move { source.present(&telling, series).await });
        tokio::time::sleep(HOUR).await;
        let told = hub.snapshot().price.unwrap();
        assert_eq!((told.reading.value.usd_per_kwh(), told.quality), (0.25, Quality::Synthetic));
        assert!(told.reading.age(hub.now()) <= REPEAT);
        assert!(hub.health().is_empty(), "a repeated price is no sign of its link");
        read.send_replace(one(unix_now().after(HOUR)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(hub.snapshot().price.is_none());
    }
}
