//! Power of a site: what it does now and why, what it hears, what it plans, what it can show.

use serde::{Deserialize, Serialize};

/// What the energy loop last decided, and on what.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Energy {
    /// Name of the site.
    pub site: String,
    /// What binds the site's power now, one sentence.
    pub why: String,
    /// Name of the mode that binds: `price`, `heat`, `demand_response`, `safety`, …
    pub mode: String,
    /// What steerable loads are to draw together, W.
    pub target_w: Option<f64>,
    /// What the chosen set-points draw together if all obey, W.
    pub set_w: Option<f64>,
    /// What the steerable loads draw by their best sources, W.
    pub drawn_w: Option<f64>,
    /// Power at the connection point by the meter, W; negative flows out of the site.
    pub net_w: Option<f64>,
    /// What is asked for and cannot be had now, W.
    pub shortfall_w: Option<f64>,
    /// What electricity costs now, $/kWh.
    pub price_usd_per_kwh: Option<f64>,
    /// What hashing earns now on the best machine here, $/kWh.
    pub hash_usd_per_kwh: Option<f64>,
    /// Every signal that was configured.
    pub signals: Vec<Signal>,
    /// Steerable loads.
    pub loads: Vec<Load>,
    /// Rooms, tanks and pools that are heated.
    pub heat: Vec<Zone>,
    /// What an aggregator may tell this site; null without one, or without a meter.
    pub offer: Option<Offer>,
    /// Calls of a grid operator or aggregator, running and to come.
    pub events: Vec<Event>,
    /// The day plan; null before the first and where none is wanted.
    pub plan: Option<Plan>,
    /// The signed record; null where none is kept.
    pub evidence: Option<Evidence>,
    /// What somebody should look at, one sentence each.
    pub warnings: Vec<String>,
}

/// One signal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Signal {
    /// Its name: `net power`, `price`, `room`.
    pub name: String,
    /// Its value in `unit`; null if it was never heard.
    pub value: Option<f64>,
    /// Unit of the value.
    pub unit: String,
    /// Seconds since it was read; null if it never was.
    pub age_s: Option<f64>,
    /// `fresh`, `stale` or `lost`.
    pub quality: String,
    /// What the site does without it, one sentence.
    pub on_loss: String,
}

/// One steerable load.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Load {
    /// Its name: that of a machine in `fleet`, or as configured.
    pub id: String,
    /// `miner`, `compute` or `heater`.
    pub class: String,
    /// What it is set to draw, W.
    pub set_w: f64,
    /// What it draws, W.
    pub drawn_w: Option<f64>,
    /// What it could draw at most, W.
    pub full_w: f64,
    /// Whether it obeys, as measured: `yes`, `no` or `unknown`.
    pub obeys: String,
}

/// Something that is heated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// `room`, `hydronic`, `tank` or `pool`.
    pub kind: String,
    /// Its temperature, °C.
    pub temperature_c: Option<f64>,
    /// What it is to have, °C.
    pub set_c: f64,
    /// Heat that it asks of the miners, W.
    pub asks_w: Option<f64>,
    /// Its backup heater is needed.
    pub backup: bool,
}

/// Net powers at the connection point that the site can be told.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Offer {
    /// Left alone, W.
    pub own_w: f64,
    /// The least, W.
    pub lowest_w: f64,
    /// For so long, s; null without end.
    pub lowest_s: Option<u64>,
    /// The most, W.
    pub highest_w: f64,
    /// For so long, s; null without end.
    pub highest_s: Option<u64>,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Event {
    /// As the caller names it.
    pub id: String,
    /// Seconds since 1970.
    pub starts_at: u64,
    /// Seconds since 1970; null until it is recalled.
    pub ends_at: Option<u64>,
    /// The most that the site may draw meanwhile, W; null if it asks for something else.
    pub limit_w: Option<f64>,
    /// `coming`, `running`, `over` or `refused`.
    pub state: String,
}

/// The day plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Seconds since 1970.
    pub made_at: u64,
    /// How long it took to make, ms.
    pub took_ms: f64,
    /// What the planned time costs, $; negative earns.
    pub cost_usd: f64,
    /// No plan can cost less than this, $.
    pub bound_usd: Option<f64>,
    /// In order of time, from the one under way on.
    pub steps: Vec<PlanStep>,
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PlanStep {
    /// Seconds since 1970.
    pub starts_at: u64,
    /// Seconds.
    pub lasts_s: u64,
    /// What electricity is expected to cost, $/kWh.
    pub price_usd_per_kwh: Option<f64>,
    /// What loads that heat nothing are to draw, W.
    pub power_w: f64,
    /// What loads that heat something are expected to draw, W.
    pub heat_w: f64,
    /// What backup heaters are expected to draw, W.
    pub backup_w: f64,
    /// Net power at the connection point, W; negative flows out of the site.
    pub net_w: f64,
    /// Power into the battery, W; negative out of it, null without one.
    pub battery_w: Option<f64>,
    /// What is in the battery at the end of the step, Wh; null without one.
    pub battery_wh: Option<f64>,
    /// What the engine gives, W; null while it is to stand, and without one.
    pub engine_w: Option<f64>,
    /// What stands by to be taken off, W.
    pub reserve_w: f64,
    /// What binds, and what it costs.
    pub why: String,
}

/// The signed record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The file.
    pub path: String,
    /// Records in it.
    pub records: u64,
    /// Begin of the last recorded interval, seconds since 1970.
    pub last_at: Option<u64>,
    /// The public key that they are signed with, hexadecimal.
    pub key: String,
    /// The least energy that accepted work of the last interval proves, Wh; null where nothing is proven.
    pub proven_wh: Option<f64>,
    /// The most that still hashed in it, as part of what did before the call, %; null without a call.
    pub residual_percent: Option<f64>,
    /// What the latest call was given so far; null before one with a baseline.
    pub call: Option<Given>,
}

/// What a call was given: baseline less metered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Given {
    /// The operator's identifier.
    pub event: String,
    /// Best estimate, Wh; negative where more was drawn.
    pub delivered_wh: f64,
    /// Lower end of its interval of confidence, Wh.
    pub least_wh: f64,
    /// Upper end, Wh.
    pub most_wh: f64,
    /// How often such an interval holds the truth, %.
    pub confidence_percent: f64,
}

impl Plan {
    /// The step under way: those that are over are not shown.
    pub fn now(&self) -> Option<&PlanStep> {
        self.steps.first()
    }
}
