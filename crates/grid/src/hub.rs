//! The one place where all signals meet: sources publish, loops read a frozen copy. It never asks a
//! source for anything and never judges an age.

use crate::{
    BadSetting, Health, Link, Quality, Signal, command::SetPoint, event::Events, price::Prices,
    series::Series,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::watch, time::Instant};
use units::{
    Celsius, EnergyPrice, Hertz, Irradiance, Kilopascals, Moment, NetWatts, Ratio, Reading, Usd,
    Watts,
};

/// At most so many temperatures or contacts, and sources, are kept.
const MOST_NAMES: usize = 1024;

/// A value, when it was read, who said it, and how it came to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Told<T> {
    /// The value and its moment, by the hub's clock ([`Hub::now`]).
    pub reading: Reading<T>,
    /// The name of the source in the configuration.
    pub source: Arc<str>,
    /// How it came to be.
    pub quality: Quality,
}

/// Everything known at one moment. Absent is unknown, and never zero; a value stays until a newer one
/// comes, so its age must be looked at ([`Reading::fresh`]).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signals {
    /// Net power at the connection point; where only phases are told, their sum.
    pub net_power: Option<Told<NetWatts>>,
    /// Net power of each phase.
    pub phases: [Option<Told<NetWatts>>; 3],
    /// What the sun's panels give.
    pub pv: Option<Told<Watts>>,
    /// Battery power; positive charges it.
    pub battery_power: Option<Told<NetWatts>>,
    /// State of charge of the battery.
    pub battery_charge: Option<Told<Ratio>>,
    /// What the generator gives.
    pub generator: Option<Told<Watts>>,
    /// Pressure in the fuel line.
    pub fuel_pressure: Option<Told<Kilopascals>>,
    /// Frequency of the grid.
    pub frequency: Option<Told<Hertz>>,
    /// Temperatures by name.
    pub temperatures: BTreeMap<Arc<str>, Told<Celsius>>,
    /// Power of the sun.
    pub irradiance: Option<Told<Irradiance>>,
    /// Contacts by name.
    pub contacts: BTreeMap<Arc<str>, Told<bool>>,
    /// The price that holds now.
    pub price: Option<Told<EnergyPrice>>,
    /// The prices to come.
    pub prices: Option<Told<Arc<Prices>>>,
    /// Forecasts by what they are of, in its unit.
    pub forecasts: BTreeMap<Signal, Told<Arc<Series<f64>>>>,
    /// Dollars per bitcoin.
    pub bitcoin_price: Option<Told<Usd>>,
    /// Events of each grid operator, by its source.
    pub events: BTreeMap<Arc<str>, Told<Arc<Events>>>,
    /// An aggregator's set-point; it carries its own expiry.
    pub set_point: Option<Told<SetPoint>>,
    /// The last sign of life.
    pub alive: Option<Told<()>>,
}

/// Where sources publish and loops read. Cloning it gives another handle to the same signals.
#[derive(Debug, Clone)]
pub struct Hub {
    started: Instant,
    signals: watch::Sender<Signals>,
    health: watch::Sender<BTreeMap<Arc<str>, Health>>,
}

impl Hub {
    /// Nothing known yet. `started` is moment zero of the loop that reads.
    pub fn new(started: Instant) -> Self {
        Self { started, signals: watch::Sender::default(), health: watch::Sender::default() }
    }

    /// The moment on the loop's clock.
    pub fn now(&self) -> Moment {
        Moment(self.started.elapsed())
    }

    /// Everything known now, as one copy that no source changes.
    pub fn snapshot(&self) -> Signals {
        self.signals.borrow().clone()
    }

    /// To wait for what comes next, as a droop loop does.
    pub fn subscribe(&self) -> watch::Receiver<Signals> {
        self.signals.subscribe()
    }

    /// How each source stands, by its name.
    pub fn health(&self) -> BTreeMap<Arc<str>, Health> {
        self.health.borrow().clone()
    }

    /// Takes a number in the unit that [`Signal`] names. A number that the quantity cannot have is
    /// refused and counted, and the last good value stays to grow old.
    pub fn tell(&self, source: &Arc<str>, quality: Quality, signal: &Signal, value: f64) {
        self.tell_all(source, quality, &[(signal.clone(), value)]);
    }

    /// The same for all that one reading gave: loops see all of it or nothing.
    pub fn tell_all(&self, source: &Arc<str>, quality: Quality, values: &[(Signal, f64)]) {
        let now = self.now();
        let mut refused = None;
        self.signals.send_if_modified(|signals| {
            let mut changed = false;
            for (signal, value) in values {
                match signals.set(signal, *value, source, quality, now) {
                    Ok(()) => changed = true,
                    Err(BadSetting(sentence)) => refused = Some(sentence),
                }
            }
            changed
        });
        match refused {
            None => self.up(source),
            Some(sentence) => self.refuse(source, sentence.into()),
        }
    }

    /// Takes a series of prices.
    pub fn tell_prices(&self, source: &Arc<str>, quality: Quality, prices: Prices) {
        let told = self.told(source, quality, Arc::new(prices));
        self.publish(source, |signals| signals.prices = Some(told));
    }

    /// Takes a forecast of this signal; a later one of whatever source replaces it.
    pub fn tell_forecast(
        &self,
        source: &Arc<str>,
        quality: Quality,
        of: Signal,
        series: Series<f64>,
    ) {
        let told = self.told(source, quality, Arc::new(series));
        self.publish(source, |signals| {
            if signals.forecasts.len() < MOST_NAMES || signals.forecasts.contains_key(&of) {
                signals.forecasts.insert(of, told);
            }
        });
    }

    /// Takes the price that a series has for now; in a gap nothing stays of this source's last one.
    /// It says nothing of the link, which may be down meanwhile.
    pub(crate) fn tell_present(
        &self,
        source: &Arc<str>,
        quality: Quality,
        price: Option<EnergyPrice>,
    ) {
        let told = price.map(|price| self.told(source, quality, price));
        self.signals.send_if_modified(|signals| {
            let ours = signals.price.as_ref().is_some_and(|told| told.source == *source);
            let changes = told.is_some() || ours;
            if changes {
                signals.price = told;
            }
            changes
        });
    }

    /// Takes an operator's events, all of them; those of others stay.
    pub fn tell_events(&self, source: &Arc<str>, quality: Quality, events: Events) {
        let told = self.told(source, quality, Arc::new(events));
        self.publish(source, |signals| {
            signals.events.insert(source.clone(), told);
        });
    }

    /// The owner takes part in an operator's event, or does not.
    pub fn answer_event(&self, source: &Arc<str>, event: &str, takes_part: bool) {
        self.signals.send_if_modified(|signals| {
            let Some(told) = signals.events.get_mut(source) else { return false };
            let events = Arc::make_mut(&mut told.reading.value);
            let mut answered = events.0.iter_mut().filter(|one| *one.id == *event).peekable();
            let changes = answered.peek().is_some();
            answered.for_each(|one| one.opted_out = !takes_part);
            changes
        });
    }

    /// Takes an aggregator's set-point.
    pub fn tell_set_point(&self, source: &Arc<str>, set_point: SetPoint) {
        let told = self.told(source, Quality::Measured, set_point);
        self.publish(source, |signals| signals.set_point = Some(told));
    }

    /// Takes a sign of life.
    pub fn tell_alive(&self, source: &Arc<str>) {
        let told = self.told(source, Quality::Measured, ());
        self.publish(source, |signals| signals.alive = Some(told));
    }

    /// Counts a message that could not be used; the link itself stays as it is.
    pub fn refuse(&self, source: &Arc<str>, sentence: Arc<str>) {
        tracing::debug!(%source, "refused: {sentence}");
        self.note(source, |health, _| {
            health.refused += 1;
            health.last_refused = Some(sentence);
        });
    }

    pub(crate) fn health_of(&self, source: &Arc<str>) -> Health {
        self.health.borrow().get(source).cloned().unwrap_or_default()
    }

    pub(crate) fn up(&self, source: &Arc<str>) {
        self.note(source, |health, now| {
            if health.link != Link::Up {
                (health.link, health.since) = (Link::Up, now);
            }
            health.last_good = Some(now);
        });
    }

    /// A link failed; said once in the log, however often it is tried.
    pub(crate) fn down(&self, source: &Arc<str>, sentence: Arc<str>) {
        self.note(source, |health, now| {
            if !matches!(health.link, Link::Down(_)) {
                tracing::warn!(%source, "{sentence}");
                health.since = now;
            }
            health.failures += 1;
            health.link = Link::Down(sentence);
        });
    }

    fn told<T>(&self, source: &Arc<str>, quality: Quality, value: T) -> Told<T> {
        Told { reading: Reading::new(value, self.now()), source: source.clone(), quality }
    }

    fn publish(&self, source: &Arc<str>, change: impl FnOnce(&mut Signals)) {
        self.signals.send_modify(change);
        self.up(source);
    }

    fn note(&self, source: &Arc<str>, change: impl FnOnce(&mut Health, Moment)) {
        let now = self.now();
        self.health.send_modify(|all| {
            if all.len() < MOST_NAMES || all.contains_key(source) {
                change(all.entry(source.clone()).or_default(), now);
            }
        });
    }
}

impl Signals {
    fn set(
        &mut self,
        signal: &Signal,
        value: f64,
        source: &Arc<str>,
        quality: Quality,
        now: Moment,
    ) -> Result<(), BadSetting> {
        let says = Says { source, quality, now };
        let refuse = |error: units::UnitError| BadSetting(format!("{signal} of {value}: {error}"));
        match signal {
            Signal::NetPower => {
                self.net_power = Some(says.this(NetWatts::new(value).map_err(refuse)?));
            }
            Signal::PhasePower(phase) => {
                let slot = self
                    .phases
                    .get_mut(*phase)
                    .ok_or_else(|| BadSetting("there are only phases 1, 2 and 3".into()))?;
                *slot = Some(says.this(NetWatts::new(value).map_err(refuse)?));
                self.sum_phases(now);
            }
            Signal::Pv => {
                // An inverter draws a little at night; panels never do.
                self.pv = Some(says.this(Watts::new(value.max(0.0)).map_err(refuse)?));
            }
            Signal::BatteryPower => {
                self.battery_power = Some(says.this(NetWatts::new(value).map_err(refuse)?));
            }
            Signal::BatteryCharge => {
                self.battery_charge = Some(says.this(Ratio::percent(value).map_err(refuse)?));
            }
            Signal::Generator => {
                self.generator = Some(says.this(Watts::new(value.max(0.0)).map_err(refuse)?));
            }
            Signal::FuelPressure => {
                self.fuel_pressure = Some(says.this(Kilopascals::new(value).map_err(refuse)?));
            }
            Signal::Frequency => {
                self.frequency = Some(says.this(Hertz::new(value).map_err(refuse)?));
            }
            Signal::Temperature(name) => {
                let told = says.this(Celsius::new(value).map_err(refuse)?);
                keep_named(&mut self.temperatures, name, told)?;
            }
            Signal::Irradiance => {
                let told = says.this(Irradiance::new(value.max(0.0)).map_err(refuse)?);
                self.irradiance = Some(told);
            }
            Signal::Contact(name) => {
                BadSetting::unless(value.is_finite(), || format!("{signal} is not a number"))?;
                keep_named(&mut self.contacts, name, says.this(value != 0.0))?;
            }
            Signal::Price => {
                self.price = Some(says.this(EnergyPrice::per_kwh(value).map_err(refuse)?));
            }
            Signal::BitcoinPrice => {
                self.bitcoin_price = Some(says.this(Usd::price(value).map_err(refuse)?));
            }
            Signal::Alive => {
                if value != 0.0 {
                    self.alive = Some(says.this(()));
                }
            }
            Signal::Prices | Signal::Forecasts | Signal::Events | Signal::SetPoint => {
                return Err(BadSetting(format!("{signal} is more than one number")));
            }
        }
        Ok(())
    }

    /// Whether net power, or a phase that it is the sum of, is made up.
    pub fn made_up(&self) -> bool {
        let is = |told: &Told<NetWatts>| told.quality == Quality::Synthetic;
        let phases = || self.phases.iter().flatten().any(is);
        let sum = |told: &Told<NetWatts>| told.quality == Quality::Derived && phases();
        self.net_power.as_ref().is_some_and(|told| is(told) || sum(told))
    }

    /// Where nobody measures the total, or no longer, it is the sum of the phases, as old as the
    /// oldest.
    fn sum_phases(&mut self, now: Moment) {
        let limit = Signal::NetPower.age_limit();
        let measured = self
            .net_power
            .as_ref()
            .is_some_and(|told| told.quality != Quality::Derived && told.reading.age(now) <= limit);
        let [Some(a), Some(b), Some(c)] = &self.phases else { return };
        if measured {
            return;
        }
        let at = a.reading.at.min(b.reading.at).min(c.reading.at);
        let value = a.reading.value + b.reading.value + c.reading.value;
        let source = a.source.clone();
        self.net_power =
            Some(Told { reading: Reading::new(value, at), source, quality: Quality::Derived });
    }
}

struct Says<'a> {
    source: &'a Arc<str>,
    quality: Quality,
    now: Moment,
}

impl Says<'_> {
    fn this<T>(&self, value: T) -> Told<T> {
        let (source, quality) = (self.source.clone(), self.quality);
        Told { reading: Reading::new(value, self.now), source, quality }
    }
}

fn keep_named<T>(
    all: &mut BTreeMap<Arc<str>, Told<T>>,
    name: &Arc<str>,
    told: Told<T>,
) -> Result<(), BadSetting> {
    BadSetting::unless(all.len() < MOST_NAMES || all.contains_key(name), || {
        format!("{name}: there are more than {MOST_NAMES} names already")
    })?;
    all.insert(name.clone(), told);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_frozen_and_a_bad_number_leaves_the_last_good_one_to_age() {
        let hub = Hub::new(Instant::now());
        let meter: Arc<str> = "meter".into();
        hub.tell(&meter, Quality::Measured, &Signal::NetPower, 1500.0);
        let frozen = hub.snapshot();
        tokio::time::advance(std::time::Duration::from_secs(17)).await;
        hub.tell(&meter, Quality::Measured, &Signal::NetPower, f64::NAN);
        let later = hub.snapshot();
        assert_eq!(frozen, later);
        let reading = later.net_power.unwrap().reading;
        assert_eq!(reading.age(hub.now()).as_secs(), 17);
        assert!(reading.fresh(hub.now(), Signal::NetPower.age_limit()).is_none());
        let health = &hub.health()[&meter];
        assert_eq!((health.refused, &health.link), (1, &Link::Up));
        assert!(later.pv.is_none() && later.temperatures.is_empty());
    }

    #[tokio::test]
    async fn three_phases_make_a_total_that_says_it_is_derived() {
        let hub = Hub::new(Instant::now());
        let meter: Arc<str> = "meter".into();
        for (phase, watts) in [(0, 100.0), (1, -250.0)] {
            hub.tell(&meter, Quality::Measured, &Signal::PhasePower(phase), watts);
        }
        assert!(hub.snapshot().net_power.is_none());
        hub.tell(&meter, Quality::Measured, &Signal::PhasePower(2), 50.0);
        let total = hub.snapshot().net_power.unwrap();
        assert_eq!((total.reading.value.get(), total.quality), (-100.0, Quality::Derived));
        hub.tell(&meter, Quality::Measured, &Signal::PhasePower(3), 50.0);
        assert_eq!(hub.health()[&meter].refused, 1);
        assert!(!hub.snapshot().made_up());
        hub.tell(&meter, Quality::Synthetic, &Signal::PhasePower(1), 50.0);
        assert!(hub.snapshot().made_up(), "nor is a total better than its phases");
    }
}
