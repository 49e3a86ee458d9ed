//! What can bind a plan, and how it is called. It never says how much it costs.

use super::problem::Problem;

/// What holds a plan back, or forward, in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nothing but what energy costs and earns.
    Price,
    /// The connection's import limit.
    Import,
    /// The connection's export limit, or that nothing may be exported.
    Export,
    /// All available machines of a class run at the level.
    Count(usize),
    /// Machines of a class have not run their minimum time.
    MinOn(usize),
    /// Machines of a class have not rested their minimum time.
    MinOff(usize),
    /// A start or stop of a class costs more than it gains.
    Starts(usize),
    /// The ramp of a class.
    Ramp(usize),
    /// The battery's charging power.
    Charge,
    /// The battery's discharging power.
    Discharge,
    /// The battery is empty.
    Empty,
    /// The battery is full.
    Full,
    /// Energy that must be left in the battery at the end.
    BatteryEnd,
    /// The engine's least power.
    EngineLeast,
    /// The engine's highest power.
    EngineMost,
    /// The engine's largest change from step to step.
    EngineChange,
    /// The engine's minimum time on or off.
    EngineTime,
    /// A zone at its lowest comfortable temperature.
    Cold(usize),
    /// A zone at its highest comfortable temperature.
    Hot(usize),
    /// A zone's heater at its full power.
    Heater(usize),
    /// A demand charge.
    Demand(usize),
    /// The coincident-peak charge.
    Coincident,
    /// A contract's highest import.
    AtMost(usize),
    /// A contract's lowest import.
    AtLeast(usize),
    /// A reserve that was sold.
    Sold(usize),
    /// Power that reserves must be able to take away.
    Held(usize),
    /// Heat that a zone keeps back for a reserve's whole duration.
    HeldHeat(usize),
    /// Energy that the battery keeps back for a reserve's whole duration.
    HeldEnergy,
    /// A law of nature or arithmetic, which nothing relaxes.
    Law,
    /// Balance of power, whose worth is the price of energy inside the site.
    Balance,
    /// Balance of heat in a zone.
    Heat(usize),
}

/// Where a row or column belongs: a limit, its first step, and how many steps it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub limit: Limit,
    pub step: usize,
    pub span: usize,
}

impl Limit {
    pub(super) fn at(self, step: usize) -> Tag {
        Tag { limit: self, step, span: 1 }
    }

    pub(super) fn over(self, step: usize, span: usize) -> Tag {
        Tag { limit: self, step, span }
    }

    /// Whether an input could be changed to relax it.
    pub(super) fn is_law(self) -> bool {
        matches!(self, Self::Law | Self::Balance | Self::Heat(_))
    }

    /// A few words, with the names of the problem it belongs to.
    pub fn name(self, p: &Problem) -> String {
        let class = |k: usize| p.classes.get(k).map_or("a class", |c| &c.name);
        let zone = |z: usize| p.zones.get(z).map_or("a zone", |z| &z.name);
        let contract = |i: usize| p.commitments.get(i).map_or("a contract", |c| &c.name);
        let reserve = |i: usize| p.reserves.get(i).map_or("a reserve", |r| &r.name);
        match self {
            Self::Price => "price".into(),
            Self::Import => "import limit".into(),
            Self::Export => "export limit".into(),
            Self::Count(k) => format!("number of {} available", class(k)),
            Self::MinOn(k) => format!("minimum run time of {}", class(k)),
            Self::MinOff(k) => format!("minimum rest of {}", class(k)),
            Self::Starts(k) => format!("cost of a start or stop of {}", class(k)),
            Self::Ramp(k) => format!("ramp of {}", class(k)),
            Self::Charge => "battery's charging power".into(),
            Self::Discharge => "battery's discharging power".into(),
            Self::Empty => "battery empty".into(),
            Self::Full => "battery full".into(),
            Self::BatteryEnd => "energy left in the battery at the end".into(),
            Self::EngineLeast => "engine's least power".into(),
            Self::EngineMost => "engine's highest power".into(),
            Self::EngineChange => "engine's largest step".into(),
            Self::EngineTime => "engine's minimum time on or off".into(),
            Self::Cold(z) => format!("lowest temperature of {}", zone(z)),
            Self::Hot(z) => format!("highest temperature of {}", zone(z)),
            Self::Heater(z) => format!("heater of {}", zone(z)),
            Self::Demand(i) => p.demand.get(i).map_or("demand charge", |d| &d.name).into(),
            Self::Coincident => "coincident-peak charge".into(),
            Self::AtMost(i) => format!("highest import under {}", contract(i)),
            Self::AtLeast(i) => format!("lowest import under {}", contract(i)),
            Self::Sold(i) => format!("{} that was sold", reserve(i)),
            Self::Held(k) => format!("power of {} held for reserve", class(k)),
            Self::HeldHeat(z) => format!("heat of {} held for reserve", zone(z)),
            Self::HeldEnergy => "energy of the battery held for reserve".into(),
            Self::Law | Self::Balance => "balance of power".into(),
            Self::Heat(z) => format!("balance of heat in {}", zone(z)),
        }
    }
}
