//! The record of one machine: who it is, what it can do, what it must not, what it last said.

use crate::{
    capability::Capabilities,
    curve::Curve,
    identity::{DeviceId, Identity},
    limits::Limits,
    outcome::Outcome,
    readings::{Known, Moment, Reading},
    settings::Settings,
    tuner::Loudness,
    work::WorkScale,
};
use std::{net::IpAddr, sync::Arc};
use units::Watts;

/// Where a machine's control answers. The ports are the firmware's own unless an emulator or a port
/// forwarding says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Address in the network.
    pub ip: IpAddr,
    /// Web interface.
    pub http: u16,
    /// The cgminer API.
    pub cgminer: u16,
}

impl Endpoint {
    /// The ports that firmware uses: 80 and 4028.
    pub fn usual(ip: IpAddr) -> Self {
        Self { ip, http: 80, cgminer: 4028 }
    }
}

/// By what a machine is steered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Control {
    /// By its own interface.
    Firmware,
    /// By the outlet or contactor that feeds it.
    Switch,
    /// Only by giving it no work; shown as such, because it may idle at any power.
    StratumOnly,
}

/// How a machine is doing with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Presence {
    /// Answers.
    Online,
    /// Misses answers, not yet long enough to be given up.
    Late,
    /// Has not answered for long.
    #[default]
    Offline,
}

/// Everything known of one machine.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its name for ever.
    pub id: DeviceId,
    /// What it says it is.
    pub identity: Identity,
    /// Which machine of the catalogue it is; its key there.
    pub model: Option<Arc<str>>,
    /// Where its control answers; `None` for one that has none.
    pub endpoint: Option<Endpoint>,
    /// By what it is steered.
    pub control: Control,
    /// What it can be told.
    pub capabilities: Capabilities,
    /// What must hold at every moment.
    pub limits: Limits,
    /// Name of the circuit that feeds it; `None` while nobody has said.
    pub circuit: Option<Arc<str>>,
    /// What each power earns in hashrate, as the catalogue or the operator says.
    pub curve: Option<Curve>,
    /// What its power was measured to earn, by work that was verified; see [`crate::learned`].
    pub learned: Option<Curve>,
    /// How loud it is, where anybody has said.
    pub loudness: Option<Loudness>,
    /// Full Stratum names that it mines under, as seen at our server.
    pub workers: Vec<Arc<str>>,
    /// Emulated hashes behind a real one; one for every real machine.
    pub scale: WorkScale,
    /// Power that the operator says it draws.
    pub declared_power: Option<Watts>,
    /// Power by a meter of its own.
    pub metered_power: Option<Reading<Watts>>,
    /// How it is doing with us.
    pub presence: Presence,
    /// What it last said of itself.
    pub known: Known,
    /// What it was last seen set to.
    pub settings: Option<Reading<Settings>>,
    /// When it was last switched off or down, so that others take their turn.
    pub last_curtailed: Option<Moment>,
    /// What became of the last command.
    pub last_outcome: Option<Outcome>,
}

impl Device {
    /// What its power earns: as it was measured, else as its leaflet or the operator says.
    pub fn earns(&self) -> Option<&Curve> {
        self.learned.as_ref().or(self.curve.as_ref())
    }

    /// A machine just found, of which nothing but this is known.
    pub fn found(id: DeviceId, identity: Identity, control: Control, limits: Limits) -> Self {
        Self {
            id,
            identity,
            model: None,
            endpoint: None,
            control,
            capabilities: Capabilities::default(),
            limits,
            circuit: None,
            curve: None,
            learned: None,
            loudness: None,
            workers: Vec::new(),
            scale: WorkScale::ONE,
            declared_power: None,
            metered_power: None,
            presence: Presence::Offline,
            known: Known::default(),
            settings: None,
            last_curtailed: None,
            last_outcome: None,
        }
    }
}
