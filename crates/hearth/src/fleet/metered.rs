//! Meters of circuits and machines, read as the configuration says, and the last figure of each. What
//! follows from a figure is decided where it is used.

use super::declared::Declarations;
use crate::config;
use fleet::{DriverError, control::Clock, drivers::meter::PowerMeter, readings::Reading};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::JoinSet;
use units::Watts;

/// What all meters last showed.
#[derive(Default)]
pub struct Metered {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    circuits: HashMap<Arc<str>, Reading<Watts>>,
    /// By the number of the machine's declaration.
    devices: HashMap<usize, Reading<Watts>>,
}

/// What a meter measures.
#[derive(Debug, Clone)]
enum Of {
    Circuit(Arc<str>),
    Device(usize),
}

impl Metered {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn circuits(&self) -> HashMap<Arc<str>, Reading<Watts>> {
        self.held().circuits.clone()
    }

    pub fn device(&self, declared: usize) -> Option<Reading<Watts>> {
        self.held().devices.get(&declared).copied()
    }

    /// Reads all meters until dropped.
    pub async fn read(
        self: Arc<Self>,
        circuits: Vec<config::Fed>,
        declared: Arc<Declarations>,
        every: Duration,
        clock: Clock,
    ) {
        let of_circuits = circuits
            .into_iter()
            .filter_map(|fed| Some((Of::Circuit(fed.circuit.name), fed.meter?)));
        let devices = declared.all().iter().enumerate();
        let of_devices =
            devices.filter_map(|(index, said)| Some((Of::Device(index), said.meter.clone()?)));
        let mut all = JoinSet::new();
        for (of, meter) in of_circuits.chain(of_devices) {
            all.spawn(self.clone().watch(of, meter, every, clock));
        }
        while all.join_next().await.is_some() {}
        // Without meters there is nothing to do; to end would be to be started anew.
        std::future::pending().await
    }

    async fn watch(self: Arc<Self>, of: Of, meter: PowerMeter, every: Duration, clock: Clock) {
        let mut well = true;
        let take = |told: Result<Watts, DriverError>| match told {
            Ok(watts) => {
                if !well {
                    tracing::info!(?of, "the meter answers again");
                }
                well = true;
                let (reading, mut held) = (Reading::new(watts, clock.now()), self.held());
                match &of {
                    Of::Circuit(name) => drop(held.circuits.insert(name.clone(), reading)),
                    Of::Device(index) => drop(held.devices.insert(*index, reading)),
                }
            }
            // What it showed last grows old.
            Err(error) => {
                if well {
                    tracing::warn!(?of, %error, "the meter is not read; check it under [fleet]");
                }
                well = false;
            }
        };
        meter.watch(every, take).await;
    }
}
