//! One command to many: staged by circuit and in time, in parallel with bounded sockets.

use super::fleet::Fleet;
use crate::{
    command::Command,
    identity::DeviceId,
    outcome::{Actuation, Count},
};
use futures_util::{Stream, StreamExt, stream::FuturesUnordered};
use std::sync::Arc;

/// Gives every order and tells what became of each as soon as it is known. Orders are started all
/// together: which goes first is decided by the circuits' room, and how many at once by the fleet's
/// sockets. Dropping the stream gives up what has not been sent and stops looking after the rest.
pub fn run(
    fleet: &Arc<Fleet>,
    orders: Vec<(DeviceId, Command)>,
) -> impl Stream<Item = (DeviceId, Actuation)> + use<> {
    orders
        .into_iter()
        .map(|(id, command)| {
            let fleet = fleet.clone();
            async move {
                let actuation = fleet.command(&id, command).await;
                (id, actuation)
            }
        })
        .collect::<FuturesUnordered<_>>()
}

/// Gives every order and sums up.
pub async fn count(fleet: &Arc<Fleet>, orders: Vec<(DeviceId, Command)>) -> Count {
    let mut count = Count::default();
    let mut all = std::pin::pin!(run(fleet, orders));
    while let Some((_, actuation)) = all.next().await {
        count.add(&actuation.outcome);
    }
    count
}

#[cfg(test)]
#[path = "bulk_tests.rs"]
mod tests;
