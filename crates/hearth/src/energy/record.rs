//! Metered energy by intervals, signed and kept: sums what the meter told, second by second, and hands
//! each whole interval to a thread that writes. A gap makes an interval void, never guessed.

use crate::config::Evidence;
use dispatch::baseline::{Delivered, MeterError, prior::metered_prior_interval};
use ledger::evidence::{
    AcceptedWork, Baseline, Delivered as Given, Grid, Interval, Label, Log, Method, Quality,
    Resolution,
};
use std::{
    collections::VecDeque,
    error::Error,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle};
use units::{EmissionFactor, NetWatts, Ratio, UnixTime, WattHours, Work};

/// Intervals that may wait for the disk.
const WAITING: usize = 64;
/// A reading may stand for so long; a longer gap voids the interval.
const GAP: Duration = Duration::from_secs(15);
/// Metered intervals before a call that its baseline is made of.
const PRIOR: usize = 12;

/// The thread that writes, and what it wrote.
pub struct Recorder {
    sender: Sender,
    writer: JoinHandle<()>,
}

/// The door to it.
#[derive(Clone)]
pub struct Sender {
    queue: mpsc::Sender<Interval>,
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
        let (queue, mut waiting) = mpsc::channel::<Interval>(WAITING);
        let sender = Sender {
            queue,
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

/// The interval under way.
pub struct Meterage {
    told: Evidence,
    sender: Option<Sender>,
    begin: Option<UnixTime>,
    /// Wh in and out, by a meter without gaps.
    energy: (f64, f64),
    last: Option<(f64, NetWatts)>,
    gap: bool,
    work: (u64, f64),
    work_before: Option<(u64, Work)>,
    /// Wh of heat; `None` where there is none to be used, or its machines were not measured.
    heat: Option<f64>,
    has_heat: bool,
    /// Metered intervals without a call, latest last.
    prior: VecDeque<Option<WattHours>>,
    event: Option<Arc<str>>,
    /// Something in this interval was made up.
    made_up: bool,
}

/// What is known at a second.
pub struct Second<'a> {
    pub utc: UnixTime,
    /// Seconds on the loop's clock.
    pub at: f64,
    /// Fresh net power.
    pub net: Option<NetWatts>,
    /// Accepted shares and verified work of all miners since the start.
    pub work: Option<(u64, Work)>,
    /// Power of machines whose heat is used, as measured, W.
    pub heating: Option<f64>,
    /// The meter's figures are made up.
    pub made_up: bool,
    /// The call that runs.
    pub event: Option<&'a Arc<str>>,
}

/// What a finished interval said.
pub struct Done {
    pub start: UnixTime,
    pub length: Duration,
    pub event: Option<Arc<str>>,
    pub imported: Option<WattHours>,
}

impl Meterage {
    /// Without a sender nothing is recorded.
    pub fn new(told: Evidence, sender: Option<Sender>, has_heat: bool) -> Self {
        Self {
            told,
            sender,
            begin: None,
            energy: (0.0, 0.0),
            last: None,
            gap: false,
            work: (0, 0.0),
            work_before: None,
            heat: has_heat.then_some(0.0),
            has_heat,
            prior: VecDeque::new(),
            event: None,
            made_up: false,
        }
    }

    /// Takes a second; gives the interval that it ended.
    pub fn take(&mut self, second: &Second<'_>) -> Option<Done> {
        let begin = second.utc.floor_to(self.told.interval);
        let done = match self.begin {
            Some(before) if before != begin => self.finish(before),
            // The first interval began before we did.
            None => {
                self.gap = second.utc != begin;
                None
            }
            _ => None,
        };
        self.begin = Some(begin);
        self.made_up |= second.made_up;
        if let Some((at, net)) = self.last {
            let seconds = second.at - at;
            if seconds > GAP.as_secs_f64() {
                self.gap = true;
            } else if second.net.is_some() {
                let wh = net.get() * seconds / 3600.0;
                if wh >= 0.0 {
                    self.energy.0 += wh
                } else {
                    self.energy.1 -= wh
                }
                self.heat = self
                    .heat
                    .zip(second.heating)
                    .map(|(heat, watts)| heat + watts * seconds / 3600.0);
            }
        }
        if let Some(net) = second.net {
            self.last = Some((second.at, net));
        } else if self.last.is_none() {
            self.gap = true;
        }
        if let Some((shares, work)) = second.work {
            if let Some((shares_before, work_before)) = self.work_before {
                self.work.0 += shares.saturating_sub(shares_before);
                self.work.1 += (work.hashes() - work_before.hashes()).max(0.0);
            }
            self.work_before = Some((shares, work));
        }
        if let Some(event) = second.event {
            self.event = Some(event.clone());
        }
        done
    }

    fn finish(&mut self, start: UnixTime) -> Option<Done> {
        let (gap, made_up) = (std::mem::take(&mut self.gap), std::mem::take(&mut self.made_up));
        let void = match (gap, made_up) {
            (_, true) => Some("the meter's figures are made up"),
            (true, false) => Some("the meter was not read without a gap"),
            (false, false) => None,
        };
        let (imported, exported) = std::mem::take(&mut self.energy);
        let (shares, hashes) = std::mem::take(&mut self.work);
        let heat = std::mem::replace(&mut self.heat, self.has_heat.then_some(0.0));
        let event = self.event.take();
        let wh = |wh: f64| WattHours::new(wh.max(0.0)).ok().filter(|_| !gap);
        let (imported, exported) = (wh(imported), wh(exported));
        let (baseline, delivered) = match &event {
            Some(_) => self.delivered(imported),
            None => (None, None),
        };
        if event.is_none() {
            self.prior.push_back(imported.filter(|_| !made_up));
            if self.prior.len() > PRIOR {
                self.prior.pop_front();
            }
        }
        let label = |text: &str| text.parse::<Label>().ok();
        let grid = self.told.factor.as_ref().and_then(|(grams, source)| {
            Some(Grid {
                factor: EmissionFactor::grams_per_kwh(*grams).ok()?,
                source: label(source)?,
                method: Method::Location,
                resolution: Resolution::Annual,
            })
        });
        let interval = Interval {
            start,
            seconds: self.told.interval,
            quality: if void.is_some() { Quality::Void } else { Quality::Metered },
            why: void.and_then(label),
            imported: imported.filter(|_| !made_up),
            exported: exported.filter(|_| !made_up),
            heat_reused: heat.and_then(wh).filter(|_| !made_up),
            work: self
                .work_before
                .map(|_| AcceptedWork { shares, hashes: Work::from_hashes(hashes) }),
            grid,
            certificates: self.told.certificates.iter().filter_map(|text| label(text)).collect(),
            baseline: baseline.filter(|_| !made_up),
            delivered: delivered.filter(|_| void.is_none()),
            event: event.as_deref().and_then(label),
        };
        if let Some(sender) = &self.sender
            && sender.queue.try_send(interval).is_err()
        {
            tracing::error!("an interval of energy is lost: the disk does not keep up");
            *super::hold(&sender.trouble) =
                Some("intervals of energy are lost: the disk does not keep up".into());
        }
        Some(Done { start, length: self.told.interval, event, imported })
    }

    /// By what was metered before the call.
    fn delivered(&self, metered: Option<WattHours>) -> (Option<Baseline>, Option<Given>) {
        let prior: Vec<Option<WattHours>> = self.prior.iter().copied().collect();
        let Ok(estimate) = metered_prior_interval(&prior, 1) else { return (None, None) };
        let baseline = "metered prior interval".parse().ok().map(|method| Baseline {
            method,
            energy: estimate.energy,
            error: estimate.error,
        });
        let accuracy = MeterError(Ratio::percent(1.0).unwrap_or_default());
        let confidence = Ratio::percent(95.0).unwrap_or_default();
        let given = Delivered::new(&estimate, metered, accuracy, confidence).ok();
        let given = given.map(|given| Given {
            energy: given.energy,
            low: given.low,
            high: given.high,
            confidence,
        });
        (baseline, given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meterage(has_heat: bool) -> (Meterage, mpsc::Receiver<Interval>) {
        let (queue, written) = mpsc::channel(WAITING);
        let sender = Sender {
            queue,
            path: "".into(),
            key: "".into(),
            records: Arc::default(),
            last: Arc::default(),
            trouble: Arc::default(),
        };
        let told = Evidence {
            meter: "main".into(),
            interval: Duration::from_secs(60),
            factor: None,
            certificates: Vec::new(),
        };
        (Meterage::new(told, Some(sender), has_heat), written)
    }

    /// Seconds from the beginning of an interval on, at 3.6 kW in.
    fn run(meterage: &mut Meterage, seconds: std::ops::RangeInclusive<u64>, heating: Option<f64>) {
        for second in seconds {
            meterage.take(&Second {
                utc: UnixTime(6000 + second),
                at: second as f64,
                net: NetWatts::new(3600.0).ok(),
                work: None,
                heating,
                made_up: false,
                event: None,
            });
        }
    }

    #[test]
    fn what_a_made_up_meter_says_is_void_and_never_metered() {
        let (mut meterage, mut written) = meterage(true);
        let call = Arc::from("call");
        let mut told = None;
        for second in 0..=60 {
            let done = meterage.take(&Second {
                utc: UnixTime(6000 + second),
                at: second as f64,
                net: NetWatts::new(3600.0).ok(),
                work: None,
                heating: Some(1800.0),
                made_up: second == 30,
                event: Some(&call),
            });
            told = told.or(done);
        }
        let interval = written.try_recv().unwrap();
        assert_eq!((interval.quality, interval.imported), (Quality::Void, None));
        assert!(interval.why.unwrap().to_string().contains("made up"));
        assert_eq!(
            (interval.heat_reused, interval.baseline, interval.delivered),
            (None, None, None)
        );
        // The operator, who asked, is told what was read.
        assert!(told.unwrap().imported.is_some());
    }

    #[test]
    fn a_minute_at_3600_watts_is_60_watt_hours_and_its_heat_is_what_was_measured() {
        let (mut meterage, mut written) = meterage(true);
        run(&mut meterage, 0..=60, Some(1800.0));
        let interval = written.try_recv().unwrap();
        assert_eq!((interval.quality, interval.start), (Quality::Metered, UnixTime(6000)));
        let near =
            |wh: Option<WattHours>, expected: f64| (wh.unwrap().get() - expected).abs() < 1.1;
        assert!(near(interval.imported, 60.0), "{interval:?}");
        assert!(near(interval.heat_reused, 30.0), "{interval:?}");
    }

    #[test]
    fn heat_of_machines_that_nobody_measures_is_unknown_and_not_what_was_asked() {
        let (mut meterage, mut written) = meterage(true);
        run(&mut meterage, 0..=60, None);
        let interval = written.try_recv().unwrap();
        assert!(interval.imported.is_some() && interval.heat_reused.is_none());
    }

    #[test]
    fn a_meter_that_was_silent_makes_the_interval_void() {
        let (mut meterage, mut written) = meterage(false);
        run(&mut meterage, 0..=20, None);
        run(&mut meterage, 50..=60, None);
        let interval = written.try_recv().unwrap();
        assert_eq!((interval.quality, interval.imported), (Quality::Void, None));
        assert!(interval.why.is_some());
    }
}
