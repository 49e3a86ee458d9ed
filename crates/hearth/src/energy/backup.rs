//! Backup heaters: switched on where a heated body calls for one, and off again. Each has a thermostat of its
//! own, so that one which stays on heats no further than that. It never decides who calls.

use crate::config::Energy;
use dispatch::site::ZoneState;
use futures_util::FutureExt;
use grid::switch::{Outcome, Switch};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

/// A heater that was told is told again so often: it may have been switched by somebody else, or have been off
/// the network.
const AGAIN: Duration = Duration::from_secs(300);
/// One that did not take it is told again sooner.
const SOON: Duration = Duration::from_secs(30);

/// One body's heater.
struct Backup {
    zone: Arc<str>,
    switch: Switch,
    /// What it was told last, and when that was.
    told: Option<(bool, Instant)>,
    /// The telling that is under way, and whether it was taken.
    telling: Option<JoinHandle<bool>>,
    again: Duration,
}

/// All of a site's.
pub struct Backups(Vec<Backup>);

impl Backups {
    /// Those that are switched by this program.
    pub fn new(told: &Energy) -> Self {
        let of = |zone: &crate::config::Zone| {
            Some(Backup {
                zone: zone.body.name.clone(),
                switch: zone.backup.as_ref()?.switch.clone()?,
                told: None,
                telling: None,
                again: AGAIN,
            })
        };
        Self(told.zones.iter().filter_map(of).collect())
    }

    /// Tells each what its body calls for; waits for none.
    pub fn call(&mut self, zones: &[ZoneState], steer: bool) {
        if !steer {
            return;
        }
        for backup in &mut self.0 {
            if let Some(zone) = zones.iter().find(|zone| zone.name == backup.zone) {
                backup.tell(zone.backup);
            }
        }
    }
}

impl Backup {
    fn tell(&mut self, run: bool) {
        if let Some(telling) = &self.telling {
            if !telling.is_finished() {
                // What it is to be told next waits until this is known.
                return;
            }
            let taken = self.telling.take().and_then(|telling| telling.now_or_never());
            let taken = taken.and_then(Result::ok).unwrap_or(false);
            self.again = if taken { AGAIN } else { SOON };
        }
        let same = |(was, at): (bool, Instant)| was == run && at.elapsed() < self.again;
        if self.told.is_some_and(same) {
            return;
        }
        let first = self.told.is_none_or(|(was, _)| was != run);
        self.told = Some((run, Instant::now()));
        let (switch, zone) = (self.switch.clone(), self.zone.clone());
        self.telling = Some(tokio::spawn(async move {
            match switch.set(run).await {
                Outcome::Verified | Outcome::Accepted => {
                    if first {
                        tracing::info!(%zone, run, "backup heater told");
                    }
                    true
                }
                Outcome::Refused(why) | Outcome::Unknown(why) => {
                    tracing::warn!(%zone, run, "backup heater: {why}");
                    false
                }
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use dispatch::heat::Offer;
    use std::path::Path;
    use units::{Celsius, Watts};

    fn zone(backup: bool) -> ZoneState {
        ZoneState {
            name: "room".into(),
            is: None,
            set_point: Celsius::ZERO,
            asks: Watts::ZERO,
            alone: Watts::ZERO,
            offer: Offer::none(Watts::ZERO),
            backup,
            cut: false,
            trouble: None,
        }
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what} never came");
    }

    #[tokio::test]
    async fn a_body_that_calls_for_its_backup_heater_gets_it_switched_on_and_off_again() {
        let folder = tempfile::tempdir().unwrap();
        let heats = folder.path().join("heats");
        let file = heats.display();
        let text = format!(
            "[energy]\nenabled = true\n[[energy.heat]]\nname = \"room\"\ntemperature = \"room\"\n\
             machines = [\"m\"]\n[energy.heat.backup]\npower = \"2 kW\"\n\
             start = [\"touch\", \"{file}\"]\nstop = [\"rm\", \"-f\", \"{file}\"]\n\
             running = [\"test\", \"-e\", \"{file}\"]\n"
        );
        let told = Config::parse(&text, Path::new(".")).unwrap().energy;
        let mut backups = Backups::new(&told);
        backups.call(&[zone(true)], false);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!heats.exists(), "nothing is steered");
        backups.call(&[zone(true)], true);
        until("heat", || heats.exists()).await;
        // Told while the last telling may still be under way: it comes with one of the next seconds.
        for _ in 0..100 {
            backups.call(&[zone(false)], true);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!heats.exists(), "it is off again");
    }
}
