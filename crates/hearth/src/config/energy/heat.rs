//! `[[energy.heat]]`: rooms, tanks and pools, and the machines whose heat goes there.

use super::{
    label,
    lines::{quantity, texts},
    switch,
    window::{self, Window},
};
use crate::config::{
    DAY, HOUR, MINUTE,
    section::{Fault, Section},
    value,
};
use dispatch::{
    heat::{
        Body as Model, Comfort, Control, Front, HeatingCurve, Hygiene, Leeway, Medium, Pi, Pool,
        Predictive, Safety, Thermostat, Times,
    },
    site::{Body, Yields},
};
use grid::switch::Switch;
use std::{sync::Arc, time::Duration};
use units::{Celsius, HeatCapacity, HeatLoss, UnixTime, Usd, UtcOffset, Watts};

/// Wh.
const BATH: f64 = 3605.0;

/// A heated body as configured.
#[derive(Debug, Clone)]
pub struct Zone {
    pub kind: Kind,
    pub body: Body,
    /// Machines whose heat goes there, by their ids.
    pub machines: Vec<Arc<str>>,
    /// How warm and how cold the plan lets it become, kelvin.
    pub band_k: f64,
    /// What it loses heat to.
    pub outdoor: Arc<str>,
    /// Heat that it takes up, and what it loses in all for a kelvin.
    pub capacity: HeatCapacity,
    pub loss: HeatLoss,
    /// What a kelvin-hour of discomfort costs.
    pub cold: Usd,
    /// When it is used; at other times it may be colder by `closed_k`.
    pub open: Option<Window>,
    pub closed_k: f64,
    /// Heat that comes in always, less what is drawn, W; and the windows that the sun comes through, m².
    pub gain_w: f64,
    pub aperture_m2: f64,
    /// What heats when the machines cannot.
    pub backup: Option<Backup>,
}

/// A heater beside the machines, with a thermostat of its own.
#[derive(Debug, Clone)]
pub struct Backup {
    pub power: Watts,
    /// Heat for each watt: 1 for a rod, more for a heat pump.
    pub cop: f64,
    /// `None` where it is only shown that it is needed.
    pub switch: Option<Switch>,
}

impl Zone {
    /// Whether it is used at this time.
    fn is_open(&self, at: UnixTime, offset: UtcOffset) -> bool {
        self.open.as_ref().is_none_or(|open| open.holds(at, offset))
    }

    /// What it is heated to at this time, where it is used at `set`.
    fn set_at(&self, set: Celsius, at: UnixTime, offset: UtcOffset) -> Celsius {
        match self.is_open(at, offset) {
            true => set,
            false => Celsius::new(set.get() - self.closed_k).unwrap_or(set),
        }
    }

    /// What its control is told: one that plans ahead knows its hours by itself.
    pub fn control_at(&self, set: Celsius, at: UnixTime, offset: UtcOffset) -> Celsius {
        match self.body.control {
            Control::Predictive(..) => set,
            Control::Pi(_) | Control::Thermostat(_) => self.set_at(set, at, offset),
        }
    }

    /// How cold and how warm it may be at this time.
    pub fn comfort(&self, set: Celsius, at: UnixTime, offset: UtcOffset) -> (Celsius, Celsius) {
        let bound = |kelvin: f64| Celsius::new(set.get() + kelvin).unwrap_or(set);
        let low = match (&self.open, self.is_open(at, offset)) {
            (None, _) => -self.band_k,
            // What has hours is warm in them, and not nearly.
            (Some(_), true) => 0.0,
            (Some(_), false) => -self.closed_k,
        };
        (bound(low), bound(self.band_k))
    }
}

/// What is heated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Room,
    Hydronic,
    Tank,
    Pool,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Hydronic => "hydronic",
            Self::Tank => "tank",
            Self::Pool => "pool",
        }
    }

    /// Watt-hours per kelvin, watts per kelvin, set-point: a heated room of a house (energy.md: R 5 K/kW,
    /// C 8 kWh/K), a heating circuit, 300 litres of hot water, 30 m³ of pool.
    fn usual(self) -> (f64, f64, f64) {
        match self {
            Self::Room => (8000.0, 200.0, 21.0),
            Self::Hydronic => (250.0, 200.0, 20.0),
            Self::Tank => (350.0, 2.5, 55.0),
            Self::Pool => (35_000.0, 400.0, 27.0),
        }
    }
}

pub(super) fn read(energy: &mut Section<'_, '_>) -> Vec<Zone> {
    let given = energy.has("heat");
    let mut zones: Vec<Zone> = Vec::new();
    for mut section in energy.sections("heat") {
        let zone = read_zone(&mut section, given);
        let Some(zone) = zone else { continue };
        if zones.iter().any(|other| other.body.name == zone.body.name) {
            section.fault("name", "is there twice: give each heated body its own");
        }
        zones.push(zone);
    }
    zones
}

fn read_zone(section: &mut Section<'_, '_>, given: bool) -> Option<Zone> {
    let warmth = || quantity::<Celsius>("a temperature in quotes, such as \"21 C\"");
    let name = section.optional("name", label);
    let kind = section.or("kind", Kind::Room, |value| match value.as_str() {
        Some("room") => Ok(Kind::Room),
        Some("hydronic") => Ok(Kind::Hydronic),
        Some("tank") => Ok(Kind::Tank),
        Some("pool") => Ok(Kind::Pool),
        _ => Err(Fault::MustBe("\"room\", \"hydronic\", \"tank\" or \"pool\"".into())),
    });
    let (usual_capacity, usual_loss, set) = kind.usual();
    let celsius = |degrees| Celsius::new(degrees).unwrap_or(Celsius::ZERO);
    let temperature = section.optional("temperature", value::text);
    let outlet = section.optional("outlet", value::text);
    let outdoor = section.or("outdoor", "outdoor".into(), value::text);
    let set_point = section.or("set", celsius(set), warmth());
    let litres = section.optional("litres", value::number(1.0, 1e8));
    let surface_m2 = section.optional("surface_m2", value::number(0.1, 1e5));
    let open = section.has("hours").then(|| window::read(section));
    if open.is_none() {
        window::read(section);
    }
    // A pool's water and surface say how it holds its heat; what is measured counts before.
    let pool = litres.zip(surface_m2).and_then(|(litres, surface_m2)| {
        let open_hours = open.as_ref().map_or(24.0, Window::hours_a_day);
        Pool { litres, surface_m2, open_hours }.body().ok()
    });
    let (usual_capacity, usual_loss) =
        pool.map_or((usual_capacity, usual_loss), |pool| (pool.capacity.get(), pool.loss.get()));
    let capacity = section.or("capacity_wh_per_k", usual_capacity, value::number(1.0, 1e9));
    let loss = section.or("loss_w_per_k", usual_loss, value::number(0.01, 1e7));
    // As published for a small house: the room is 0.5 K/kW above the mean of it, which loses at 5 K/kW.
    let usual_front = if kind == Kind::Room { 10.0 * loss } else { 0.0 };
    let front = section.or("front_w_per_k", usual_front, value::number(0.0, 1e8));
    let closed_k = section.or("closed_k", 2.0, value::number(0.0, 30.0));
    let gain_w = section.or("gain_w", 0.0, value::number(-1e6, 1e6));
    let aperture_m2 = section.or("solar_aperture_m2", 0.0, value::number(0.0, 1e4));
    let backup = read_backup(section.section("backup"));
    let band_k = section.or("band_k", 0.5, value::number(0.05, 20.0));
    let flexible_k = section.or("flexible_k", band_k, value::number(0.0, 20.0));
    let times = Times {
        min_on: section.or("min_on", 30 * MINUTE, value::duration(Duration::ZERO, DAY)),
        min_off: section.or("min_off", 15 * MINUTE, value::duration(Duration::ZERO, DAY)),
        starts_per_day: section.or("starts_per_day", 6, value::count(1usize, 1000)),
    };
    let control = section.or("control", "pi".into(), |value| match value.as_str() {
        Some(text @ ("thermostat" | "pi" | "predictive")) => Ok(text.to_owned()),
        _ => Err(Fault::MustBe("\"thermostat\", \"pi\" or \"predictive\"".into())),
    });
    let gain = section.or("watts_per_k", 10.0 * loss, value::number(1.0, 1e8));
    let reset = section.or("reset", 3 * HOUR, value::duration(MINUTE, 7 * DAY));
    let cold = section.or("cold_usd_per_kh", 1.0, value::number(0.0, 1000.0));
    let fluid = section.or("fluid", matches!(kind, Kind::Hydronic | Kind::Tank), value::flag);
    let hygiene_every = section.or("hygiene_every", 7 * DAY, value::duration(DAY, 30 * DAY));
    let design_outdoor = section.or("design_outdoor", celsius(-10.0), warmth());
    let design_supply = section.or("design_supply", celsius(55.0), warmth());
    let machines = section.or("machines", Vec::new(), texts);
    if !given {
        return None;
    }
    let (Some(name), Some(temperature)) = (name, temperature) else {
        if section.clean() {
            section.fault("name", "and temperature are needed for each heated body");
        }
        return None;
    };
    if machines.is_empty() {
        section
            .fault("machines", "is needed: whose heat goes there, as hearth scan shows their ids");
        return None;
    }
    let medium = if fluid { Medium::Fluid } else { Medium::Air };
    let (capacity, loss) = (HeatCapacity::new(capacity).ok()?, HeatLoss::new(loss).ok()?);
    let model = Model::mixed(capacity, loss);
    let front = HeatLoss::new(front).ok().map(|surface| Front { surface, lag: 45 * MINUTE });
    let model = front.map_or(model, |front| model.with_front(front));
    let usd = |dollars: f64| Usd::new(dollars).unwrap_or_default();
    let pi = Pi::new(gain, reset);
    let control = match &*control {
        "thermostat" => Control::Thermostat(Thermostat::new(band_k)),
        "predictive" => {
            let comfort = Comfort { below: usd(cold), above: usd(cold) };
            let predictive = Predictive::new(model, 15 * MINUTE, comfort, usd(0.02), times);
            Control::Predictive(Box::new(predictive), pi)
        }
        _ => Control::Pi(pi),
    };
    let outdoor: Arc<str> = outdoor.into();
    let curve = (kind == Kind::Hydronic).then(|| {
        let curve = HeatingCurve {
            design_outdoor,
            design_supply,
            exponent: 1.3,
            fluid: (celsius(medium.limits().0), celsius(medium.limits().1)),
        };
        (curve, outdoor.clone())
    });
    // As long as no day was seen: a bath (profile L of Regulation (EU) 812/2013) may be drawn from a tank
    // at any moment, and of anything else half of the band may go by itself.
    let doubt_k = match kind {
        Kind::Tank => BATH / capacity.get(),
        Kind::Room | Kind::Hydronic | Kind::Pool => flexible_k / 2.0,
    };
    let leeway =
        Yields { leeway: Leeway { band_k: flexible_k, doubt_k }, model, ambient: outdoor.clone() };
    let hygiene = (kind == Kind::Tank).then(|| (Hygiene::new(hygiene_every), model.capacity));
    Some(Zone {
        kind,
        body: Body {
            name: name.into(),
            temperature: temperature.into(),
            outlet: outlet.map(Into::into),
            set_point,
            curve,
            hygiene,
            control,
            times,
            safety: Safety::new(medium),
            leeway: (flexible_k > 0.0).then_some(leeway),
        },
        machines: machines.into_iter().map(Into::into).collect(),
        band_k,
        outdoor,
        capacity,
        loss,
        cold: usd(cold),
        open,
        closed_k,
        gain_w,
        aperture_m2,
        backup,
    })
}

fn read_backup(mut section: Section<'_, '_>) -> Option<Backup> {
    let power = section.optional("power", super::power());
    let cop = section.or("cop", 1.0, value::number(0.1, 10.0));
    let switch = switch::read(&mut section);
    let told =
        ["unit", "start", "stop", "start_url", "stop_url"].iter().any(|key| section.has(key));
    if told && switch.is_none() && section.clean() {
        section.fault("unit", switch::NEEDED);
    }
    if power.is_none() && told && section.clean() {
        section.fault("power", "is needed: what the heater draws, such as \"6 kW\"");
    }
    power.map(|power| Backup { power, cop, switch })
}
