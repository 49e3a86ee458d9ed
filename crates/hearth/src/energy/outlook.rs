//! What is expected at a time to come: what a source forecast, else what is usual then, else what is
//! measured now. It decides nothing.

use super::{
    inputs::{own, price_at},
    plan::Memory,
};
use crate::config::{Energy, Zone};
use grid::{Signal, Signals, Told};
use std::sync::Arc;
use units::{Celsius, EnergyPrice, Moment, NetWatts, UnixTime, Watts};

/// Names in the memory.
const OTHERS: &str = "others";
const SOLAR: &str = "solar power";

/// A moment, and all that is known at it.
#[derive(Clone, Copy)]
pub struct Outlook<'a> {
    pub told: &'a Energy,
    pub signals: &'a Signals,
    pub memory: &'a Memory,
    pub now: Moment,
    pub utc: UnixTime,
}

fn outdoor(name: &str) -> String {
    format!("temperature of {name}")
}

impl Outlook<'_> {
    /// What energy costs.
    pub fn price(&self, at: UnixTime) -> Option<EnergyPrice> {
        price_at(self.told, self.signals, self.now, self.utc, at)
    }

    fn forecast(&self, of: &Signal, at: UnixTime) -> Option<f64> {
        self.signals.forecasts.get(of)?.reading.value.at(at)
    }

    fn fresh<T: Copy>(&self, told: Option<&Told<T>>, of: &Signal, times: u32) -> Option<T> {
        told.and_then(|told| told.reading.fresh(self.now, of.age_limit() * times).copied())
    }

    fn measured_pv(&self) -> Option<Watts> {
        self.fresh(self.signals.pv.as_ref(), &Signal::Pv, 1)
    }

    /// What panels give; `None` where no panels are known of.
    pub fn pv(&self, at: UnixTime) -> Option<Watts> {
        let measured = || self.measured_pv().map(Watts::get);
        let usual = || self.memory.usual(SOLAR, at);
        let watts = self.forecast(&Signal::Pv, at).or_else(usual).or_else(measured)?;
        Watts::new(watts.max(0.0)).ok()
    }

    /// What the site draws beside steered loads that draw this, its panels, battery and generator now;
    /// `None` while one of these that was heard is silent.
    pub fn others_now(&self, drawn: Watts) -> Option<NetWatts> {
        let net = self.fresh(self.signals.net_power.as_ref(), &Signal::NetPower, 1)?;
        let own = own(self.signals, self.now)?;
        Some(net - drawn.into() + own.sun.into() + own.engine.into() - own.battery)
    }

    /// The same for a time to come; `now` is what it is at present.
    pub fn others(&self, at: UnixTime, now: Option<NetWatts>) -> Option<NetWatts> {
        let usual = || self.memory.usual(OTHERS, at);
        let watts = self.forecast(&Signal::NetPower, at).or_else(usual);
        watts.or(now.map(NetWatts::get)).and_then(|watts| NetWatts::new(watts).ok())
    }

    /// How warm it is around a heated body. Without a forecast the day goes as usual from what it is now.
    pub fn around(&self, name: &Arc<str>, at: UnixTime) -> Option<Celsius> {
        let signal = Signal::Temperature(name.clone());
        let now = self.fresh(self.signals.temperatures.get(name), &signal, 6);
        let usual = |at| self.memory.usual(&outdoor(name), at);
        let as_usual = || {
            let moves = usual(at).zip(usual(self.utc)).map_or(0.0, |(then, now)| then - now);
            Some(now?.get() + moves)
        };
        let told = || self.forecast(&signal, at);
        let degrees = match at <= self.utc {
            true => now.map(Celsius::get).or_else(told),
            false => told().or_else(as_usual),
        };
        degrees.and_then(|degrees| Celsius::new(degrees).ok())
    }

    /// Heat that comes into a body besides, less what is drawn from it: sun through its windows and what its
    /// owner says of it.
    pub fn gain(&self, zone: &Zone, at: UnixTime) -> NetWatts {
        let signal = Signal::Irradiance;
        let measured = || {
            let told = self.signals.irradiance.as_ref();
            self.fresh(told, &signal, 1).map(|sun| sun.get()).filter(|_| at <= self.utc)
        };
        let sun = self.forecast(&signal, at).or_else(measured).unwrap_or(0.0).max(0.0);
        NetWatts::new(zone.gain_w + zone.aperture_m2 * sun).unwrap_or_default()
    }
}

/// Notes what is usual at this time of day.
pub fn learn(
    memory: &mut Memory,
    told: &Energy,
    signals: &Signals,
    drawn: Watts,
    now: (Moment, UnixTime),
) {
    let (now, utc) = now;
    let empty = Memory::default();
    let outlook = Outlook { told, signals, memory: &empty, now, utc };
    if let Some(others) = outlook.others_now(drawn) {
        memory.see(OTHERS, utc, others.get());
    }
    if let Some(pv) = outlook.measured_pv() {
        memory.see(SOLAR, utc, pv.get());
    }
    for zone in &told.zones {
        if let Some(around) = outlook.around(&zone.outdoor, utc) {
            memory.see(&outdoor(&zone.outdoor), utc, around.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grid::{Hub, Quality, series::Series};
    use std::time::Duration;

    const START: UnixTime = UnixTime(1_800_000_000);

    fn hub(values: &[(Signal, f64)]) -> Hub {
        let hub = Hub::new(tokio::time::Instant::now());
        hub.tell_all(&"meter".into(), Quality::Synthetic, values);
        hub
    }

    #[test]
    fn what_a_site_draws_besides_is_net_power_without_machines_panels_battery_and_generator() {
        let hub = hub(&[
            (Signal::NetPower, 1000.0),
            (Signal::Pv, 3000.0),
            (Signal::BatteryPower, 500.0),
            (Signal::Generator, 200.0),
        ]);
        let (told, memory) = (Energy::default(), Memory::default());
        let signals = hub.snapshot();
        let outlook =
            Outlook { told: &told, signals: &signals, memory: &memory, now: hub.now(), utc: START };
        // 1000 in from the grid, 3000 from the sun, 200 from the generator; 500 go into the battery.
        let others = outlook.others_now(Watts::new(2500.0).unwrap()).unwrap();
        assert_eq!(others.get(), 1000.0 + 3000.0 + 200.0 - 500.0 - 2500.0);
        // Panels that nobody reads would make all else look smaller by what they give.
        let later = Moment(hub.now().0 + Duration::from_secs(8));
        assert_eq!(Outlook { now: later, ..outlook }.others_now(Watts::ZERO), None);
    }

    #[test]
    fn a_forecast_counts_before_what_is_usual_and_that_before_the_present() {
        let hub = hub(&[(Signal::Pv, 900.0), (Signal::Temperature("outdoor".into()), 4.0)]);
        let later = |hours: u64| START.after(Duration::from_secs(3600 * hours));
        let mut memory = Memory::default();
        for quarter in 0..97 {
            let at = START.after(Duration::from_secs(900 * quarter));
            memory.see(SOLAR, at, 10.0 * quarter as f64);
            memory.see(&outdoor("outdoor"), at, quarter as f64 / 4.0);
        }
        let told = Energy::default();
        let around = Arc::from("outdoor");
        let look = |signals: &Signals, memory: &Memory, hours| {
            let (now, utc) = (hub.now(), START);
            let outlook = Outlook { told: &told, signals, memory, now, utc };
            let pv = outlook.pv(later(hours)).unwrap().get();
            (pv, outlook.around(&around, later(hours)).unwrap().get())
        };
        let known = hub.snapshot();
        assert_eq!(look(&known, &Memory::default(), 5), (900.0, 4.0));
        assert_eq!(look(&known, &memory, 5), (200.0, 4.0 + 5.0));
        let series = Series::new(vec![(later(5), 77.0)], None).unwrap();
        hub.tell_forecast(&"a".into(), Quality::Synthetic, Signal::Pv, series.clone());
        let of = Signal::Temperature("outdoor".into());
        hub.tell_forecast(&"b".into(), Quality::Synthetic, of, series);
        let known = hub.snapshot();
        assert_eq!(look(&known, &memory, 5), (77.0, 77.0));
        assert_eq!(look(&known, &memory, 6), (240.0, 4.0 + 6.0), "past its end");
        assert_eq!(look(&known, &memory, 0).1, 4.0, "now is what is measured");
    }

    #[test]
    fn the_sun_through_the_windows_is_a_gain() {
        let hub = hub(&[(Signal::Irradiance, 500.0)]);
        let text = "[energy]\nenabled = true\n[[energy.heat]]\nname = \"room\"\n\
                    temperature = \"room\"\nmachines = [\"m\"]\nsolar_aperture_m2 = 4\ngain_w = -50\n";
        let told = crate::config::Config::parse(text, std::path::Path::new(".")).unwrap().energy;
        let (signals, memory) = (hub.snapshot(), Memory::default());
        let outlook =
            Outlook { told: &told, signals: &signals, memory: &memory, now: hub.now(), utc: START };
        assert_eq!(outlook.gain(&told.zones[0], START).get(), 1950.0);
        let later = START.after(Duration::from_secs(900));
        assert_eq!(outlook.gain(&told.zones[0], later).get(), -50.0, "no sun is counted on");
    }
}
