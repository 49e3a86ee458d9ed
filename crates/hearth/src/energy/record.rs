//! The signed record as this program keeps it: a thread that writes whole intervals, and what the record
//! says of the time before the start. It measures nothing.

use super::baseline::Baselines;
use crate::config::Evidence;
use ledger::evidence::{Body, Interval, Label, Log, files_in, verify};
use std::{
    error::Error,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle};
use units::UnixTime;

/// Intervals that may wait for the disk.
const WAITING: usize = 64;

/// The thread that writes, and what it wrote.
pub struct Recorder {
    sender: Sender,
    writer: JoinHandle<()>,
}

/// The door to it.
#[derive(Clone)]
pub struct Sender {
    queue: mpsc::Sender<Interval>,
    /// Intervals of the time before the start that still count, oldest first; taken once.
    before: Arc<Mutex<Vec<Interval>>>,
    pub path: Arc<str>,
    pub key: Arc<str>,
    pub records: Arc<AtomicU64>,
    pub last: Arc<AtomicU64>,
    pub trouble: Arc<Mutex<Option<String>>>,
}

impl Recorder {
    /// Opens the record in this folder; refuses one that is broken or in use.
    pub fn start(
        folder: &Path,
        site: &str,
        told: &Evidence,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        std::fs::create_dir_all(folder)?;
        let (site, meter): (Label, Label) = (site.parse()?, told.meter.parse()?);
        let mut log = Log::open(folder, &site, &meter)?;
        let since = log.until().0.saturating_sub(Baselines::reach(told).as_secs());
        let before = recall(folder, UnixTime(since))?;
        let (queue, mut waiting) = mpsc::channel::<Interval>(WAITING);
        let sender = Sender {
            queue,
            before: Arc::new(Mutex::new(before)),
            path: folder.display().to_string().into(),
            key: log.key().to_string().into(),
            records: Arc::default(),
            last: Arc::default(),
            trouble: Arc::default(),
        };
        let told = sender.clone();
        let folder = folder.to_path_buf();
        let writer = tokio::task::spawn_blocking(move || {
            while let Some(interval) = waiting.blocking_recv() {
                let written = log.append(&interval);
                let trouble = written
                    .as_ref()
                    .err()
                    .map(|error| format!("the record of energy cannot be written: {error}"));
                match written {
                    Ok(receipt) => {
                        told.records.store(receipt.seq + 1, Ordering::Relaxed);
                        told.last.store(interval.start.0, Ordering::Relaxed);
                    }
                    Err(error) => {
                        tracing::error!(%error, "an interval is missing from the record of energy");
                        if let Ok(again) = Log::open(&folder, &site, &meter) {
                            log = again;
                        }
                    }
                }
                *super::hold(&told.trouble) = trouble;
            }
        });
        Ok(Self { sender, writer })
    }

    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Ends when everything handed over is on disk.
    pub async fn stop(self) {
        drop(self.sender);
        if tokio::time::timeout(Duration::from_secs(10), self.writer).await.is_err() {
            tracing::warn!("the record of energy was still being written");
        }
    }
}

impl Sender {
    /// Hands an interval over; one that finds no room is lost, and that is said.
    pub fn keep(&self, interval: Interval) {
        if self.queue.try_send(interval).is_err() {
            tracing::error!("an interval of energy is lost: the disk does not keep up");
            *super::hold(&self.trouble) =
                Some("intervals of energy are lost: the disk does not keep up".into());
        }
    }

    /// What the record said at the start of the time that still counts. There is nothing the second time.
    pub fn recall(&self) -> Vec<Interval> {
        std::mem::take(&mut super::hold(&self.before))
    }
}

/// The intervals of a record from this time on. Files are checked one by one, the newest first, and no
/// further back than needed. What comes before a file that was changed is not believed, and that is said.
fn recall(folder: &Path, since: UnixTime) -> std::io::Result<Vec<Interval>> {
    let mut all: Vec<Vec<Interval>> = Vec::new();
    for file in files_in(folder)?.into_iter().rev() {
        let mut seen = Vec::new();
        let mut begins = None;
        let checked = verify(&[file], None, |record| {
            if let Body::Interval(interval) = &record.body {
                begins.get_or_insert(interval.start);
                if interval.start >= since {
                    seen.push((**interval).clone());
                }
            }
        });
        if let Err(broken) = checked {
            tracing::warn!("baselines go without the record of energy before this: {broken}");
            break;
        }
        all.push(seen);
        if begins.is_some_and(|begins| begins <= since) {
            break;
        }
    }
    Ok(all.into_iter().rev().flatten().collect())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use ledger::evidence::Quality;

    /// A door behind which nobody writes: what comes through it.
    pub fn door() -> (Sender, mpsc::Receiver<Interval>) {
        let (queue, written) = mpsc::channel(WAITING);
        let sender = Sender {
            queue,
            before: Arc::default(),
            path: "".into(),
            key: "".into(),
            records: Arc::default(),
            last: Arc::default(),
            trouble: Arc::default(),
        };
        (sender, written)
    }

    fn void(at: u64) -> Interval {
        let why = "made for a test".parse().unwrap();
        Interval::void(UnixTime(at * 300), Duration::from_secs(300), why)
    }

    #[test]
    fn what_counts_of_a_record_is_read_back_from_as_many_files_as_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let (site, meter) = ("home".parse().unwrap(), "main".parse().unwrap());
        let mut log = Log::open(folder.path(), &site, &meter).unwrap().files_of(3000);
        for at in 1..=40 {
            log.append(&void(at)).unwrap();
        }
        drop(log);
        let files = files_in(folder.path()).unwrap();
        assert!(files.len() > 3, "{}", files.len());
        for (since, count) in [(0, 40), (300 * 20 + 1, 20), (300 * 40, 1), (300 * 41, 0)] {
            let seen = recall(folder.path(), UnixTime(since)).unwrap();
            assert_eq!(seen.len(), count, "since {since}");
            assert!(seen.is_sorted_by_key(|interval| interval.start));
        }
        std::fs::write(&files[1], "not a record").unwrap();
        let believed = recall(folder.path(), UnixTime(0)).unwrap();
        assert!(believed.len() < 40 && believed.last().unwrap().start == UnixTime(300 * 40));
        let last = recall(folder.path(), UnixTime(300 * 38)).unwrap();
        assert_eq!(last.len(), 3, "what is too old to count is not looked at");
    }

    #[test]
    fn an_interval_that_finds_no_room_is_said_to_be_lost() {
        let (sender, mut written) = door();
        for at in 0..=WAITING {
            assert!(super::super::hold(&sender.trouble).is_none());
            sender.keep(void(at as u64));
        }
        assert!(super::super::hold(&sender.trouble).is_some());
        assert_eq!(written.try_recv().unwrap().quality, Quality::Void);
    }
}
