//! What a plan is made from: prices, forecasts, machines, storage, heat, tariff and contracts as plain
//! values. Never where they came from.
//!
//! A series has one value per step. What is not there is `None` or an empty list, never zero.

use std::{sync::Arc, time::Duration};
use units::{
    Celsius, EnergyPrice, HashPrice, Hashrate, NetWatts, Ratio, UnixTime, Usd, WattHours, Watts,
};

/// A site, its horizon and everything known about it.
#[derive(Debug, Clone, Default)]
pub struct Problem {
    /// When the first step begins.
    pub start: UnixTime,
    /// Length of a step; 5 to 15 minutes is usual, up to an hour is allowed.
    pub step: Duration,
    /// What imported energy costs; its length is the number of steps.
    pub import: Vec<EnergyPrice>,
    /// What exported energy earns; empty where nothing may be exported.
    pub export: Vec<EnergyPrice>,
    /// What hashing earns; empty where no level hashes.
    pub hash_price: Vec<HashPrice>,
    /// Solar or other power that may be curtailed at no cost; empty for none.
    pub pv: Vec<Watts>,
    /// Load that runs whatever the plan says; negative for a plant that must run. Empty for none.
    pub load: Vec<NetWatts>,
    /// Outdoor temperature; empty where no zone loses heat to the outside.
    pub outdoor: Vec<Celsius>,
    /// The most the connection imports.
    pub import_limit: Option<Watts>,
    /// The most the connection exports.
    pub export_limit: Option<Watts>,
    /// Machines by class.
    pub classes: Vec<Class>,
    /// A battery.
    pub battery: Option<Battery>,
    /// An engine.
    pub genset: Option<Genset>,
    /// Rooms, tanks, pools.
    pub zones: Vec<Zone>,
    /// Charges on the highest import.
    pub demand: Vec<DemandCharge>,
    /// The charge on import in the system's peak hour.
    pub coincident: Option<Coincident>,
    /// Limits and floors of import that a contract sets.
    pub commitments: Vec<Commitment>,
    /// Reserve products.
    pub reserves: Vec<Reserve>,
}

/// Machines that are alike.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its name.
    pub name: Arc<str>,
    /// How many there are.
    pub count: u32,
    /// How many may run in each step (plugged in, idle, not in repair); empty for all, always.
    pub available: Vec<u32>,
    /// What a machine can do when it is on; off draws [`Class::off_power`] and earns nothing.
    pub levels: Vec<Level>,
    /// What a machine that is off still draws.
    pub off_power: Watts,
    /// A machine that was started stays on this long.
    pub min_on: Duration,
    /// A machine that was stopped stays off this long.
    pub min_off: Duration,
    /// What a start costs: wear, lost work, energy of the warm-up.
    pub start_cost: Usd,
    /// What a stop costs.
    pub stop_cost: Usd,
    /// The most that the power of the class rises from one step to the next.
    pub ramp_up: Option<Watts>,
    /// The most that the power of the class falls from one step to the next.
    pub ramp_down: Option<Watts>,
    /// Where its heat goes, and which part of its power arrives; `None` where heat is thrown away.
    pub heats: Option<(usize, Ratio)>,
    /// Machines as they are now; those not listed have been off for long enough.
    pub now: Vec<Batch>,
}

/// A way to run a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// What a machine draws.
    pub power: Watts,
    /// What it earns.
    pub earns: Earns,
}

/// What a level earns, before energy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Earns {
    /// Hashes, at the hash price of the step.
    Hash(Hashrate),
    /// A fixed value per hour of one machine, as of compute load.
    PerHour(Usd),
}

/// Machines of a class that have been in the same state for the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many.
    pub count: u32,
    /// The level they run at; `None` while off.
    pub level: Option<usize>,
    /// For how long they have been on, or off.
    pub since: Duration,
}

/// A battery.
#[derive(Debug, Clone, PartialEq)]
pub struct Battery {
    /// Energy in it at the start.
    pub now: WattHours,
    /// Never below this.
    pub least: WattHours,
    /// Never above this.
    pub most: WattHours,
    /// Charging power at its terminals.
    pub charge: Watts,
    /// Discharging power at its terminals.
    pub discharge: Watts,
    /// Part of the charging energy that arrives.
    pub charge_efficiency: Ratio,
    /// Part of the stored energy that leaves as power.
    pub discharge_efficiency: Ratio,
    /// Wear per kWh discharged.
    pub wear: EnergyPrice,
    /// What a kWh left at the end is worth.
    pub end_value: EnergyPrice,
    /// At least this much is left at the end.
    pub end_least: WattHours,
}

/// An engine with a generator.
#[derive(Debug, Clone, PartialEq)]
pub struct Genset {
    /// The least it may produce while it runs.
    pub least: Watts,
    /// The most it can produce.
    pub most: Watts,
    /// The largest change from one step of the plan to the next while it runs; a start may go to
    /// [`Genset::least`] at once.
    pub change: Option<Watts>,
    /// Fuel per kWh produced.
    pub fuel: EnergyPrice,
    /// Fuel and wear per hour that it runs, whatever it produces.
    pub per_hour: Usd,
    /// What a start costs.
    pub start_cost: Usd,
    /// Started, it runs at least this long.
    pub min_on: Duration,
    /// Stopped, it rests at least this long.
    pub min_off: Duration,
    /// What it produces now; `None` while stopped.
    pub power_now: Option<Watts>,
    /// For how long it has run, or stood.
    pub since: Duration,
}

/// A room, a tank or a pool: one temperature, one heat capacity, one loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its name.
    pub name: Arc<str>,
    /// Heat that warms it by one kelvin.
    pub capacity: WattHours,
    /// Heat lost for each kelvin of difference to its surroundings.
    pub loss: Watts,
    /// Temperature of its surroundings; `None` is the outdoor temperature.
    pub around: Option<Celsius>,
    /// Sun and people, less hot water drawn; empty for none.
    pub gains: Vec<NetWatts>,
    /// Its temperature at the start.
    pub now: Celsius,
    /// Comfortable from this at the end of each step.
    pub low: Vec<Celsius>,
    /// Comfortable up to this at the end of each step.
    pub high: Vec<Celsius>,
    /// What an hour costs for each kelvin below comfort.
    pub cold: Usd,
    /// What an hour costs for each kelvin above comfort.
    pub hot: Usd,
    /// A heater beside the machines: its power, and heat per unit of electricity (1 for a rod, above
    /// for a heat pump).
    pub heater: Option<(Watts, f64)>,
    /// Heat of the machines can be led away instead.
    pub vented: bool,
}

/// A charge on the highest mean import of any interval.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandCharge {
    /// Its name.
    pub name: Arc<str>,
    /// Per kilowatt of the highest import.
    pub per_kw: Usd,
    /// Length of the tariff's interval, a multiple of the step, aligned to the clock.
    pub interval: Duration,
    /// The highest import of the billing period so far: paid for already.
    pub so_far: Watts,
    /// Steps it applies to; empty for all.
    pub applies: Vec<bool>,
}

/// The charge on import in the hour of the system's peak, which is known only afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Coincident {
    /// Per kilowatt of the mean import in that interval.
    pub per_kw: Usd,
    /// Length of the interval.
    pub interval: Duration,
    /// The chance that a step lies in it.
    pub chance: Vec<Ratio>,
}

/// A contract on imported power.
#[derive(Debug, Clone, PartialEq)]
pub struct Commitment {
    /// Its name.
    pub name: Arc<str>,
    /// Import at most this, where given.
    pub at_most: Vec<Option<Watts>>,
    /// Import at least this, where given.
    pub at_least: Vec<Option<Watts>>,
    /// Penalty per kWh beyond; `None` where it may not be broken.
    pub penalty: Option<EnergyPrice>,
}

/// Power that can be taken off the grid when called, for a whole duration.
#[derive(Debug, Clone, PartialEq)]
pub struct Reserve {
    /// Its name.
    pub name: Arc<str>,
    /// A call lasts this long.
    pub duration: Duration,
    /// What an hour of standing by earns, per kilowatt.
    pub price: Vec<EnergyPrice>,
    /// Sold already.
    pub sold: Vec<Watts>,
    /// The most that may be offered, sold included.
    pub most: Watts,
    /// Penalty per kilowatt and hour sold but not held; `None` where it may not be broken.
    pub penalty: Option<EnergyPrice>,
    /// Classes that answer in time.
    pub classes: Vec<usize>,
    /// Whether the battery answers too.
    pub battery: bool,
}

impl Problem {
    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.import.len()
    }

    /// Length of a step in hours.
    pub(super) fn hours(&self) -> f64 {
        self.step.as_secs_f64() / 3600.0
    }

    /// Steps that cover this time.
    pub(super) fn steps_in(&self, time: Duration) -> usize {
        (time.as_secs_f64() / self.step.as_secs_f64() - 1e-9).ceil().max(0.0) as usize
    }

    /// The most that any machine earns with a kilowatt-hour in this step.
    pub(super) fn worth(&self, step: usize) -> f64 {
        let levels = self.classes.iter().flat_map(|class| &class.levels);
        let each = levels.map(|level| self.earned(level, step) / level.power.kilowatts());
        each.filter(|usd| usd.is_finite()).fold(0.0, f64::max)
    }

    /// What a machine at this level earns in an hour of this step.
    pub(super) fn earned(&self, level: &Level, step: usize) -> f64 {
        match level.earns {
            Earns::PerHour(usd) => usd.get(),
            Earns::Hash(rate) => self
                .hash_price
                .get(step)
                .map_or(0.0, |price| price.earns(rate, Duration::from_secs(3600)).get()),
        }
    }
}

impl Class {
    /// Machines that are on now.
    pub(super) fn on_now(&self) -> u32 {
        self.now.iter().filter(|b| b.level.is_some()).map(|b| b.count).sum()
    }

    /// How many may run in this step.
    pub(super) fn available(&self, step: usize) -> u32 {
        self.available.get(step).copied().unwrap_or(self.count).min(self.count)
    }

    /// What the class draws now, in kilowatts.
    pub(super) fn kw_now(&self) -> f64 {
        let off = f64::from(self.count - self.on_now().min(self.count));
        let on = self.now.iter().filter_map(|b| {
            Some(f64::from(b.count) * self.levels.get(b.level?)?.power.kilowatts())
        });
        on.sum::<f64>() + off * self.off_power.kilowatts()
    }
}
