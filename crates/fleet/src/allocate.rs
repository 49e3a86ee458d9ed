//! Which machine gets how many watts: equal marginal hashrate per watt, under every circuit's budget.
//! Pure.
//!
//! Every curve is covered by the straight pieces of its concave hull, the leap from sleep to the floor
//! included. Taken steepest first, as far as each circuit on the way up has room, these are the best
//! there is while machines may run below their floor: the [`bound`]. Then machines that would are
//! exchanged with others until nothing gains.

mod solve;
#[cfg(test)]
mod tests;

use crate::{circuit::Circuits, curve::Curve, identity::DeviceId};
use solve::Solver;
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
    let mut solver = Solver::new(claims, circuits, available)?;
    solver.fill_all();
    solver.exchange();
    solver.leave_be(claims);
    let mut allocation = Allocation::default();
    let (mut rate, mut power) = (0.0, 0.0);
    for (claim, run) in claims.iter().zip(solver.shares()) {
        rate += run.map_or(0.0, |run| rate_of(claim, run));
        power += run.unwrap_or(claim.idle.get());
        let share = run.map_or(Share::Off, |run| Share::Run(watts(run)));
        allocation.shares.insert(claim.id.clone(), share);
    }
    allocation.rate = Hashrate::from_hashes_per_second(rate);
    allocation.power = watts(power);
    Ok(allocation)
}

/// More hashrate than this nobody can give: the optimum if machines could run at every power between
/// sleep and full.
pub fn bound(
    claims: &[Claim],
    circuits: &Circuits,
    available: Option<Watts>,
) -> Result<Hashrate, TooLittle> {
    Solver::new(claims, circuits, available)
        .map(|solver| Hashrate::from_hashes_per_second(solver.bound()))
}

fn rate_of(claim: &Claim, run: f64) -> f64 {
    claim.curve.rate_at(watts(run)).hashes_per_second()
}

/// From a sum or difference of finite watts.
fn watts(watts: f64) -> Watts {
    Watts::new(watts.max(0.0)).unwrap_or(Watts::ZERO)
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
