//! Prices of energy to come: series from CSV, JSON and MQTT, in whatever unit they are written. It
//! never forecasts one.

use crate::{
    BadSetting, Hub, LinkError, Quality,
    http::{self, Get, unix_now},
    link::keep,
    number::{self, Path, number_of},
};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;
use units::{EnergyPrice, UnixTime};

/// Longer series are refused: two months of five minutes.
const MOST_STEPS: usize = 20_000;
const HOUR: Duration = Duration::from_secs(3600);
/// The present price is told again at least this often, so that it does not grow old within its hour
/// and a clock that was set is noticed.
const REPEAT: Duration = Duration::from_secs(60);

/// The price of one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// When it begins.
    pub start: UnixTime,
    /// When it ends.
    pub end: UnixTime,
    /// What a kilowatt-hour costs meanwhile.
    pub price: EnergyPrice,
}

/// Prices in order of time, not overlapping; there may be gaps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices(Vec<Step>);

impl Prices {
    /// From beginnings and prices in any order. A step ends where the next begins, but is no longer
    /// than `step`; without one, no longer than the shortest distance of two beginnings (an hour for
    /// a single one). Of two prices for the same beginning the later in the list holds.
    pub fn new(
        mut points: Vec<(UnixTime, EnergyPrice)>,
        step: Option<Duration>,
    ) -> Result<Self, BadSetting> {
        BadSetting::unless((1..=MOST_STEPS).contains(&points.len()), || {
            format!("the series has {} prices: 1 to {MOST_STEPS} are read", points.len())
        })?;
        points.sort_by_key(|(start, _)| *start);
        let mut unique: Vec<(UnixTime, EnergyPrice)> = Vec::with_capacity(points.len());
        for point in points {
            match unique.last_mut() {
                Some(last) if last.0 == point.0 => *last = point,
                _ => unique.push(point),
            }
        }
        let shortest = unique.windows(2).map(|two| two[1].0.since(two[0].0)).min();
        let step = step.or(shortest).unwrap_or(HOUR);
        let next = unique.iter().skip(1).map(|(start, _)| *start).chain([UnixTime(u64::MAX)]);
        let steps = unique.iter().zip(next).map(|(&(start, price), next)| {
            let end = start.after(step).min(next);
            Step { start, end, price }
        });
        Ok(Self(steps.collect()))
    }

    /// All steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The price at this time; `None` in a gap, before the first and after the last step.
    pub fn at(&self, time: UnixTime) -> Option<EnergyPrice> {
        let after = self.0.partition_point(|step| step.start <= time);
        let step = self.0.get(after.checked_sub(1)?)?;
        (time < step.end).then_some(step.price)
    }

    /// How long what holds at this time goes on: until the next beginning or end of a step; `None`
    /// after the last.
    fn until_change(&self, time: UnixTime) -> Option<Duration> {
        let first = self.0.partition_point(|step| step.end <= time);
        let step = self.0.get(first)?;
        let next = if time < step.start { step.start } else { step.end };
        Some(next.since(time))
    }

    /// When nothing is known any more.
    pub fn end(&self) -> Option<UnixTime> {
        self.0.last().map(|step| step.end)
    }
}

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

/// Where times and numbers stand. Times are seconds or milliseconds since 1970, or ISO 8601; without
/// an offset they are UTC.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// Comma or semicolon separated, with a first line of names.
    Csv {
        /// Name of the column of times.
        time: String,
        /// Name of the column of prices.
        price: String,
    },
    /// A list of objects or lists.
    JsonList {
        /// Where the list stands.
        list: Path,
        /// Where the time stands in an entry.
        time: Path,
        /// Where the price stands in an entry.
        price: Path,
    },
    /// Two lists side by side.
    JsonColumns {
        /// Where the times stand.
        times: Path,
        /// Where the prices stand.
        prices: Path,
    },
}

impl Format {
    /// The series in a text. A price that is missing (`null`, an empty field) is a gap.
    pub fn read(&self, text: &[u8]) -> Result<Prices, BadSetting> {
        let points = match &self.layout {
            Layout::Csv { time, price } => self.csv(text, time, price)?,
            Layout::JsonList { list, time, price } => {
                let json = number::json(text)?;
                let entries = at(&json, list)?;
                let mut points = Vec::with_capacity(entries.len());
                for entry in entries {
                    let found = (time.find(entry), price.find(entry));
                    let (Some(time), Some(price)) = found else {
                        return Err(BadSetting("an entry of the list has no time or price".into()));
                    };
                    points.extend(self.point(time, price)?);
                }
                points
            }
            Layout::JsonColumns { times, prices } => {
                let json = number::json(text)?;
                let (times, prices) = (at(&json, times)?, at(&json, prices)?);
                BadSetting::unless(times.len() == prices.len(), || {
                    format!("there are {} times for {} prices", times.len(), prices.len())
                })?;
                let both = times.iter().zip(prices);
                let points: Result<Vec<_>, _> =
                    both.map(|(time, price)| self.point(time, price)).collect();
                points?.into_iter().flatten().collect()
            }
        };
        Prices::new(points, self.step)
    }

    fn point(
        &self,
        time: &Value,
        price: &Value,
    ) -> Result<Option<(UnixTime, EnergyPrice)>, BadSetting> {
        if price.is_null() {
            return Ok(None);
        }
        let time = match time {
            Value::String(text) => time_of(text)?,
            other => seconds(number_of(other)?)?,
        };
        Ok(Some((time, self.unit.price(number_of(price)?)?)))
    }

    fn csv(
        &self,
        text: &[u8],
        time: &str,
        price: &str,
    ) -> Result<Vec<(UnixTime, EnergyPrice)>, BadSetting> {
        BadSetting::unless(text.len() <= number::LONGEST, || {
            format!("the file has {} bytes: at most {} are read", text.len(), number::LONGEST)
        })?;
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let delimiter = if first.contains(&b';') { b';' } else { b',' };
        let unreadable = |error: csv::Error| BadSetting(format!("no CSV: {error}"));
        let mut lines =
            csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text);
        let names = lines.headers().map_err(unreadable)?.clone();
        let column = |wanted: &str| {
            names.iter().position(|name| name.trim_start_matches('\u{feff}') == wanted).ok_or_else(
                || BadSetting(format!("the first line has no column `{wanted}`: {names:?}")),
            )
        };
        let (time, price) = (column(time)?, column(price)?);
        let mut points = Vec::new();
        for line in lines.records() {
            let line = line.map_err(unreadable)?;
            let (Some(time), Some(price)) = (line.get(time), line.get(price)) else { continue };
            if price.is_empty() {
                continue;
            }
            // A semicolon between fields leaves the comma to be the decimal mark.
            let price = if delimiter == b';' { price.replace(',', ".") } else { price.into() };
            let price: f64 =
                price.parse().map_err(|_| BadSetting(format!("`{price}` is no price")))?;
            points.push((time_of(time)?, self.unit.price(price)?));
        }
        Ok(points)
    }
}

fn at<'a>(json: &'a Value, path: &Path) -> Result<&'a Vec<Value>, BadSetting> {
    path.find(json)
        .and_then(Value::as_array)
        .ok_or_else(|| BadSetting(format!("there is no list at `{}`", path.as_str())))
}

/// Seconds since 1970, or milliseconds where the number is that large.
fn seconds(number: f64) -> Result<UnixTime, BadSetting> {
    let seconds = if number >= 1e11 { number / 1000.0 } else { number };
    BadSetting::unless((0.0..1e11).contains(&seconds), || format!("{number} is no time"))?;
    Ok(UnixTime(seconds as u64))
}

fn time_of(text: &str) -> Result<UnixTime, BadSetting> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let naive = || {
        ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
            .map(|time| time.and_utc().timestamp())
    };
    let offset = || {
        DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%:z"))
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z"))
            .ok()
            .map(|time| time.timestamp())
    };
    offset()
        .or_else(naive)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(UnixTime)
        .ok_or_else(|| {
            BadSetting(format!("`{text}` is no time: 2026-01-31T10:00:00Z or seconds since 1970"))
        })
}

/// Where a series comes from; brokers are in [`crate::mqtt`].
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// A file, read anew each time.
    File(PathBuf),
    /// An address.
    Http(Get),
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
        if let From::Http(get) = &self.from {
            get.validate()?;
        }
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
        let client = http::client()?;
        loop {
            let text = match &self.from {
                From::File(path) => read_file(path).await?,
                From::Http(get) => get.body(&client).await?,
            };
            let prices = self
                .format
                .read(&text)
                .map_err(|BadSetting(sentence)| LinkError(format!("{}: {sentence}", self.name)))?;
            if prices.end().is_none_or(|end| end <= unix_now()) {
                hub.refuse(&self.name, "all its prices lie in the past".into());
            }
            hub.tell_prices(&self.name, self.quality, prices.clone());
            read.send_replace(Some(prices));
            tokio::time::sleep(self.every).await;
        }
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

async fn read_file(path: &std::path::Path) -> Result<Vec<u8>, LinkError> {
    let lost =
        |error: std::io::Error| LinkError(format!("{} is not read: {error}", path.display()));
    let size = tokio::fs::metadata(path).await.map_err(lost)?.len();
    if size > number::LONGEST as u64 {
        let most = number::LONGEST;
        return Err(LinkError(format!("{} is longer than {most} bytes", path.display())));
    }
    tokio::fs::read(path).await.map_err(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn format(layout: Layout, unit: &str, usd: f64) -> Format {
        let unit = Unit::named(unit, usd, EnergyPrice::ZERO).unwrap();
        Format { layout, unit, step: None }
    }

    fn mwh(prices: &Prices) -> Vec<(u64, u64, i64)> {
        let whole = |step: &Step| (step.price.usd_per_mwh() * 1e3).round() as i64;
        prices.steps().iter().map(|step| (step.start.0, step.end.0, whole(step))).collect()
    }

    #[test]
    fn a_german_spreadsheet_and_a_plain_one_are_the_same_series() {
        let layout = || Layout::Csv { time: "start".into(), price: "price".into() };
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
            price: Path::new("marketprice"),
        };
        let text = br#"{"data":[{"start_timestamp":1800000000000,"marketprice":50},
            {"start_timestamp":1800003600000,"marketprice":"60.5"}]}"#;
        let prices = format(list, "EUR/MWh", 1.0).read(text).unwrap();
        assert_eq!(mwh(&prices)[1], (1_800_003_600, 1_800_007_200, 60_500));
        let columns =
            Layout::JsonColumns { times: Path::new("unix_seconds"), prices: Path::new("price") };
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
        let format = format(Layout::Csv { time: "t".into(), price: "p".into() }, "$/kWh", 1.0);
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

    proptest! {
        #[test]
        fn steps_are_in_order_and_never_overlap(
            points in proptest::collection::vec((0u64..100_000, -1.0..1.0f64), 1..100),
        ) {
            let points = points
                .into_iter()
                .map(|(at, usd)| (UnixTime(at), EnergyPrice::per_kwh(usd).unwrap()));
            let prices = Prices::new(points.collect(), None).unwrap();
            for step in prices.steps() {
                prop_assert!(step.start < step.end);
                prop_assert_eq!(prices.at(step.start), Some(step.price));
                let before = UnixTime(step.end.0 - 1);
                prop_assert_eq!(prices.until_change(before), Some(Duration::from_secs(1)));
            }
            prop_assert!(prices.steps().windows(2).all(|two| two[0].end <= two[1].start));
        }
    }
}
