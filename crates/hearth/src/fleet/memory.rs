//! What was learned of machines, kept in a file of the data folder while hearth is off. Learns nothing.

use crate::kept;
use fleet::{DeviceId, control::Fleet, learned::Proved};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Its name in the data folder.
const FILE: &str = "learned.json";

/// The file, as it stands on disk.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// Seconds since 1970.
    saved_at: u64,
    machines: BTreeMap<DeviceId, Vec<Proved>>,
}

/// Where it is kept.
#[derive(Debug, Clone)]
pub struct Memory {
    path: PathBuf,
}

impl Memory {
    pub fn new(folder: PathBuf) -> Self {
        Self { path: folder.join(FILE) }
    }

    /// Gives the fleet what was kept. A file that cannot be read is told and set aside: nothing depends on
    /// it but how soon the machines are known again.
    pub fn recall(&self, fleet: &Fleet) {
        let kept = kept::read(&self.path, "what was learned of the machines");
        if let Some(Kept { saved_at, machines }) = kept {
            let ago = Duration::from_secs(unix().saturating_sub(saved_at));
            let now = fleet.clock.now();
            fleet.registry().recall(&machines, ago, now);
        }
    }

    /// Writes what is known now. A crash on the way leaves what was there before.
    pub fn keep(&self, fleet: &Fleet) -> io::Result<()> {
        let machines = fleet.registry().keep(fleet.clock.now());
        kept::write(&self.path, &Kept { saved_at: unix(), machines })
    }
}

fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{
        circuit::Circuits,
        control::{Clock, Setup},
    };
    use std::fs;
    use std::sync::Arc;

    fn fleet() -> Arc<Fleet> {
        Fleet::new(Setup {
            clock: Clock::start(1.0),
            sockets: 1,
            starts_per_second: 1,
            circuits: Circuits::default(),
            open: Arc::new(|_| None),
        })
    }

    #[test]
    fn what_one_run_kept_the_next_one_knows_and_keeps_again() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path().into());
        let first = fleet();
        memory.recall(&first);
        let id: DeviceId = "mac:02:8f:77:ec:e7:e0".parse().unwrap();
        let proved = Proved { watts: 15.0, ths: 1.0, shares: 4000.0 };
        let all = BTreeMap::from([(id.clone(), vec![proved])]);
        first.registry().recall(&all, Duration::ZERO, first.clock.now());
        memory.keep(&first).unwrap();
        let second = fleet();
        memory.recall(&second);
        let known = second.registry().keep(second.clock.now());
        assert!((known[&id][0].ths - 1.0).abs() < 1e-9 && known[&id][0].shares > 3999.0);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_set_aside_and_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for text in ["", "{\"saved_at\":1,\"machi", "\u{0}\u{0}", "{\"machines\":{\"x\":[]}}"] {
            fs::write(&path, text).unwrap();
            let (memory, fleet) = (Memory::new(folder.path().into()), fleet());
            memory.recall(&fleet);
            assert!(!path.exists() && folder.path().join("learned.unreadable").exists());
            assert!(fleet.registry().keep(fleet.clock.now()).is_empty());
            memory.keep(&fleet).unwrap();
            memory.recall(&fleet);
            assert!(path.exists());
        }
    }
}
