//! Meterage on made-up loads whose truth is known, from configuration text to what `verify` accepts.

use super::{
    super::record::{Recorder, tests::door},
    *,
};
use crate::config::Config;
use ledger::evidence::{Body, Method, Resolution, files_in, verify};
use std::{path::Path, sync::atomic::Ordering};
use tokio::sync::mpsc;

fn meterage(has_heat: bool) -> (Meterage, mpsc::Receiver<Interval>) {
    let (sender, written) = door();
    let told = Evidence { interval: Duration::from_secs(60), ..Evidence::unrecorded() };
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
            beside: Some(0.0),
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
            beside: Some(0.0),
            made_up: second == 30,
            event: Some((&call, None)),
        });
        told = told.or(done);
    }
    let interval = written.try_recv().unwrap();
    assert_eq!((interval.quality, interval.imported), (Quality::Void, None));
    assert!(interval.why.unwrap().to_string().contains("made up"));
    assert_eq!((interval.heat_reused, interval.baseline, interval.delivered), (None, None, None));
    // The operator, who asked, is told what was read.
    assert!(told.unwrap().imported.is_some());
}

#[test]
fn a_minute_at_3600_watts_is_60_watt_hours_and_its_heat_is_what_was_measured() {
    let (mut meterage, mut written) = meterage(true);
    run(&mut meterage, 0..=60, Some(1800.0));
    let interval = written.try_recv().unwrap();
    assert_eq!((interval.quality, interval.start), (Quality::Metered, UnixTime(6000)));
    let near = |wh: Option<WattHours>, expected: f64| (wh.unwrap().get() - expected).abs() < 1e-6;
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

/// A site that is started, stopped and started again on one record. It reads its meter every ten seconds.
struct Site {
    folder: tempfile::TempDir,
    told: Evidence,
    running: Option<(Recorder, Meterage)>,
    /// Records that must be on disk.
    due: u64,
    /// Work since the start, in shares of one difficulty.
    shares: f64,
}

const STEP: u64 = 10;
/// One share a second at 200 TH/s.
const SHARE: f64 = 200e12;

impl Site {
    fn new(config: &str) -> Self {
        Self::at(0, config)
    }

    /// By a clock so many hours ahead of UTC.
    fn at(hours: i32, config: &str) -> Self {
        let text = format!(
            "[energy]\nutc_offset_h = {hours}\n[energy.evidence]\nenabled = true\n{config}"
        );
        let config = Config::parse(&text, Path::new(".")).unwrap_or_else(|e| panic!("{e:?}"));
        let told = config.energy.evidence.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { folder, told, running: None, due: 0, shares: 0.0 }
    }

    fn start(&mut self) {
        let recorder = Recorder::start(self.folder.path(), "home", &self.told).unwrap();
        let meterage = Meterage::new(self.told.clone(), Some(recorder.sender()), false);
        self.shares = 0.0;
        self.running = Some((recorder, meterage));
    }

    async fn stop(&mut self) {
        let (recorder, meterage) = self.running.take().unwrap();
        drop(meterage);
        recorder.stop().await;
    }

    fn said(&self) -> &Said {
        self.running.as_ref().unwrap().1.said()
    }

    /// From one time up to another, with the power and the hashrate, TH/s, of each moment.
    async fn run(
        &mut self,
        (from, until): (u64, u64),
        power: impl Fn(u64) -> (Option<f64>, f64),
        call: Option<(&Arc<str>, u64)>,
    ) {
        for at in (from..until).step_by(STEP as usize) {
            let (watts, terahashes) = power(at);
            let whole = self.shares.floor();
            // What is done until the next moment.
            self.shares += terahashes * 1e12 * STEP as f64 / SHARE;
            let (recorder, meterage) = self.running.as_mut().unwrap();
            let done = meterage.take(&Second {
                utc: UnixTime(at),
                at: at as f64,
                net: watts.and_then(|watts| NetWatts::new(watts).ok()),
                work: Some(Counted {
                    shares: whole as u64,
                    work: Work::from_hashes(whole * SHARE),
                    hardest: Difficulty::new(SHARE / Difficulty::HASHES_PER_UNIT).ok(),
                }),
                heating: None,
                beside: Some(0.0),
                made_up: false,
                event: call.map(|(id, ends)| (id, Some(UnixTime(ends)))),
            });
            if let Some(done) = done {
                // Faster than real time, the disk would not keep up.
                while recorder.sender().last.load(Ordering::Relaxed) < done.start.0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                self.due += 1;
            }
        }
    }

    /// The first moment of the next interval ends the one under way.
    async fn end(&mut self, at: u64) {
        self.run((at, at + STEP), idle, None).await;
    }

    /// What `hearth evidence verify` accepts.
    fn records(&self) -> Vec<Interval> {
        let mut all = Vec::new();
        let sum = verify(&files_in(self.folder.path()).unwrap(), None, |record| {
            if let Body::Interval(interval) = &record.body {
                all.push((**interval).clone());
            }
        });
        assert_eq!(sum.unwrap().intervals, self.due);
        all
    }
}

/// Between -1 and 1, another one each time and the same in each run.
fn noise(of: u64) -> f64 {
    let mixed = of.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / 2f64.powi(52) - 1.0
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
/// Monday, 2 November 2026, 0:00 UTC.
const MONDAY: u64 = 20_759 * 86_400;

/// 3.5 kW that differ by up to 2 % from one interval of five minutes to the next.
fn steady(at: u64) -> f64 {
    3500.0 * (1.0 + 0.02 * noise(at / 300))
}

fn hashing(at: u64) -> (Option<f64>, f64) {
    (Some(steady(at)), 200.0)
}

fn idle(_: u64) -> (Option<f64>, f64) {
    (Some(100.0), 0.0)
}

/// What was given up in truth in intervals of five minutes: all but the idle power.
fn truth(from: u64, until: u64) -> f64 {
    (from..until).step_by(300).map(|at| (steady(at) - 100.0) / 12.0).sum()
}

fn holds(given: Option<Given>, truth: f64) -> bool {
    given.is_some_and(|given| given.low.get() <= truth && truth <= given.high.get())
}

#[tokio::test]
async fn a_call_after_steady_hours_is_given_what_was_not_drawn() {
    let mut site = Site::new("");
    site.start();
    let call: Arc<str> = "call".into();
    let (begins, ends) = (MONDAY + 2 * HOUR, MONDAY + 2 * HOUR + 30 * MINUTE);
    site.run((MONDAY, begins), hashing, None).await;
    site.run((begins, ends), idle, Some((&call, ends))).await;
    site.run((ends, ends + HOUR), hashing, None).await;
    let said = site.said().clone();
    site.stop().await;
    let records = site.records();
    let called: Vec<&Interval> = records.iter().filter(|one| one.event.is_some()).collect();
    assert_eq!(called.len(), 6);
    for one in &called {
        assert_eq!(one.baseline.as_ref().unwrap().method.as_str(), "metered prior interval");
        assert!(holds(one.delivered, truth(one.start.0, one.start.0 + 300)), "{one:?}");
        assert!(holds(one.call, truth(begins, one.start.0 + 300)), "{one:?}");
        // Of 300 shares an interval none came: at most 3 % still hash.
        let residual = one.proof.unwrap().residual.unwrap().as_percent();
        assert!((residual - 3.07).abs() < 0.1, "{residual}");
    }
    let all = called[5].call.unwrap();
    let width = (all.high.get() - all.low.get()) / all.energy.get();
    assert!(width < 0.05, "{width}");
    // 200 TH/s at 7.5 J/TH are 125 Wh in five minutes, of which 300 shares prove four fifths.
    let proven = records[3].proof.unwrap();
    assert!((95.0..105.0).contains(&proven.least.get()) && proven.residual.is_none(), "{proven:?}");
    let (id, given) = said.call.unwrap();
    assert!(*id == *call && (given.energy.get() - all.energy.get()).abs() < 1e-3);
    assert_eq!(said.warnings, [""; 0]);
}

#[tokio::test]
async fn a_restart_in_a_call_loses_only_the_interval_that_it_fell_into() {
    let call: Arc<str> = "call".into();
    let (begins, ends) = (MONDAY + 2 * HOUR, MONDAY + 2 * HOUR + 30 * MINUTE);
    let mut answers = Vec::new();
    for restarts in [false, true] {
        let mut site = Site::new("");
        site.start();
        site.run((MONDAY, begins), hashing, None).await;
        site.run((begins, begins + 630), idle, Some((&call, ends))).await;
        if restarts {
            site.stop().await;
            site.start();
        }
        site.run((begins + 630, ends), idle, Some((&call, ends))).await;
        site.end(ends).await;
        site.stop().await;
        answers.push(site.records());
    }
    let (whole, broken) = (&answers[0], &answers[1]);
    let lost = begins + 600;
    for (one, other) in whole.iter().zip(broken) {
        match one.start.0 {
            at if at < lost => assert_eq!(one, other),
            at if at == lost => {
                let void = (other.quality, other.delivered, other.call);
                assert_eq!(void, (Quality::Void, None, None));
            }
            _ => {
                // What is read back was rounded to thousandths of a watt-hour.
                let near = |one: f64, other: f64| (one - other).abs() < 0.01;
                let (one, other) = (one.delivered.unwrap(), other.delivered.unwrap());
                assert!(near(one.low.get(), other.low.get()), "{one:?} {other:?}");
                assert!(near(one.energy.get(), other.energy.get()), "{one:?} {other:?}");
            }
        }
        if other.start.0 > lost {
            let given = truth(begins, other.start.0 + 300) - truth(lost, lost + 300);
            assert!(holds(other.call, given), "{other:?}");
        }
    }
    assert_eq!((whole.len(), broken.len()), (30, 30));
}

#[test]
fn an_interval_of_a_call_is_one_whatever_the_call_is_named() {
    let (mut meterage, mut written) = meterage(false);
    let long: Arc<str> = "x".repeat(128).into();
    for second in 0..=60 {
        meterage.take(&Second {
            utc: UnixTime(6000 + second),
            at: second as f64,
            net: NetWatts::new(3600.0).ok(),
            work: None,
            heating: None,
            beside: Some(0.0),
            made_up: false,
            event: Some((&long, None)),
        });
    }
    assert_eq!(written.try_recv().unwrap().event.unwrap().as_str(), UNNAMED);
}

#[tokio::test]
async fn a_gap_in_a_call_is_void_and_one_before_it_leaves_what_follows() {
    let mut site = Site::new("");
    site.start();
    let call: Arc<str> = "call".into();
    let (begins, ends) = (MONDAY + HOUR, MONDAY + HOUR + 30 * MINUTE);
    let gaps = [MONDAY + 1800, begins + 600];
    let silent = |at: u64, (watts, rate): (Option<f64>, f64)| {
        let silent = gaps.iter().any(|gap| (*gap..gap + 60).contains(&at));
        (watts.filter(|_| !silent), rate)
    };
    site.run((MONDAY, begins), |at| silent(at, hashing(at)), None).await;
    site.run((begins, ends), |at| silent(at, idle(at)), Some((&call, ends))).await;
    site.end(ends).await;
    site.stop().await;
    let records = site.records();
    let void: Vec<u64> =
        records.iter().filter(|one| one.quality == Quality::Void).map(|one| one.start.0).collect();
    assert_eq!(void, gaps);
    for one in records.iter().filter(|one| one.event.is_some()) {
        let metered = one.quality == Quality::Metered;
        assert_eq!((one.delivered.is_some(), one.call.is_some()), (metered, metered));
        // Five intervals are left since the gap.
        assert!(one.baseline.is_some());
    }
}

#[tokio::test]
async fn a_call_that_comes_too_soon_has_no_baseline_and_the_record_says_why() {
    let call: Arc<str> = "call".into();
    for (config, words) in [
        ("", "at least two complete readings"),
        ("baseline = \"nyiso 5 of 10\"\n", "only 0 days like this one are complete, 10 are needed"),
    ] {
        let mut site = Site::new(config);
        site.start();
        let (begins, ends) = (MONDAY + 300, MONDAY + 900);
        site.run((MONDAY, begins), hashing, None).await;
        site.run((begins, ends), idle, Some((&call, ends))).await;
        site.end(ends).await;
        assert!(site.said().warnings[0].contains(words), "{:?}", site.said().warnings);
        site.stop().await;
        let last = site.records().pop().unwrap();
        assert_eq!((last.quality, last.baseline, last.delivered), (Quality::Metered, None, None));
        assert!(last.why.unwrap().as_str().contains(words));
    }
}

/// A house by a clock six hours behind, of a daily shape. Its days differ by up to 8 %, its half hours by
/// 3 %.
fn shaped(at: u64) -> f64 {
    let local = at - 6 * HOUR;
    let hour = (local % 86_400) as f64 / 3600.0;
    let level = 1.0 + 0.08 * noise(local / 86_400 + 1000);
    let shape = 4000.0 + 1500.0 * ((hour - 20.0) / 24.0 * std::f64::consts::TAU).cos();
    shape * level * (1.0 + 0.03 * noise(at / 1800))
}

/// What was given up of it in half hours in which it drew 30 % of that.
fn given_up(from: u64, until: u64) -> f64 {
    (from..until).step_by(1800).map(|at| 0.7 * shaped(at + 900) / 2.0).sum()
}

/// Three weeks of working days and days off, by a clock six hours behind, with a call each of two days.
#[tokio::test]
async fn a_call_is_given_what_like_days_would_have_drawn_and_a_restart_forgets_no_day() {
    for (name, cap) in [
        ("caiso 10 of 10", ""),
        ("nyiso 5 of 10", "adjustment_percent = 40\n"),
        ("ercot middle 8 of 10", ""),
    ] {
        let keys = format!(
            "interval = \"30m\"\nbaseline = \"{name}\"\n\
             holidays = [\"2026-11-11\"]\n{cap}"
        );
        let mut site = Site::at(-6, &keys);
        let midnight = MONDAY + 6 * HOUR;
        let day = |n: u64| midnight + n * 86_400;
        let house = |at: u64| {
            // Days off and the holiday draw twice as much: nothing may come of them.
            let n = (at - midnight) / 86_400;
            let off = n % 7 >= 5 || n == 9;
            (Some(shaped(at) * if off { 2.0 } else { 1.0 }), 0.0)
        };
        let curtailed = |at: u64| (Some(shaped(at) * 0.3), 0.0);
        let mut now = midnight;
        let (first, second): (Arc<str>, Arc<str>) = ("first".into(), "second".into());
        site.start();
        for (call, n) in [(&first, 8), (&second, 16)] {
            let (begins, ends) = (day(n) + 17 * HOUR, day(n) + 19 * HOUR);
            site.run((now, begins), house, None).await;
            site.run((begins, ends), curtailed, Some((call, ends))).await;
            site.end(ends).await;
            now = ends + STEP;
            // What is in the record is all that is left.
            site.stop().await;
            site.start();
        }
        site.stop().await;
        let records = site.records();
        let (begins, ends) = (day(16) + 17 * HOUR, day(16) + 19 * HOUR);
        let called: Vec<&Interval> =
            records.iter().filter(|one| one.start.0 >= begins && one.event.is_some()).collect();
        assert_eq!(called.len(), 4, "{name}");
        for one in &called {
            assert_eq!(one.baseline.as_ref().unwrap().method.as_str(), name);
            assert!(
                holds(one.delivered, given_up(one.start.0, one.start.0 + 1800)),
                "{name} {one:?}"
            );
            assert!(holds(one.call, given_up(begins, one.start.0 + 1800)), "{name} {one:?}");
        }
        let all = called[3].call.unwrap();
        let off = all.energy.get() / given_up(begins, ends) - 1.0;
        let width = (all.high.get() - all.low.get()) / all.energy.get();
        println!("{name}: off by {:.1} %, interval {:.1} % wide", 100.0 * off, 100.0 * width);
        assert!(off.abs() < 0.15, "{name}: {off}");
        // A week's working days were too few for the first call.
        let early = records.iter().find(|one| one.event.is_some()).unwrap();
        assert_eq!(early.baseline.is_some(), name == "caiso 10 of 10", "{name}");
    }
}

#[tokio::test]
async fn a_meter_that_does_not_see_the_machines_makes_the_interval_void_and_says_so() {
    let mut site = Site::new("");
    site.start();
    let unseen = |_: u64| (Some(400.0), 200.0);
    site.run((MONDAY, MONDAY + 600), unseen, None).await;
    site.end(MONDAY + 600).await;
    assert!(site.said().warnings[0].contains("more energy than was metered"));
    site.stop().await;
    for one in site.records() {
        assert_eq!(one.quality, Quality::Void);
        assert!(one.why.unwrap().as_str().contains("does not see all machines"));
        // What was read is shown beside what contradicts it.
        assert!(one.imported.unwrap() < one.proof.unwrap().least);
    }
}

/// What a minute's shares prove, 0.9 kW, is less than is metered; what those of twelve prove, 1.3 kW, is more.
#[tokio::test]
async fn a_baseline_below_what_work_before_the_call_takes_is_none() {
    let mut site = Site::new("interval = \"1m\"\n");
    site.start();
    let call: Arc<str> = "call".into();
    let low = |_: u64| (Some(1140.0), 200.0);
    let (begins, ends) = (MONDAY + 720, MONDAY + 840);
    site.run((MONDAY, begins), low, None).await;
    site.run((begins, ends), idle, Some((&call, ends))).await;
    site.end(ends).await;
    site.stop().await;
    let records = site.records();
    assert!(records.iter().all(|one| one.quality == Quality::Metered));
    let last = records.last().unwrap();
    assert_eq!((last.baseline.as_ref(), last.delivered), (None, None));
    assert!(last.why.as_ref().unwrap().as_str().contains("more energy than was metered then"));
}

#[tokio::test]
async fn what_the_configuration_says_of_emissions_and_certificates_is_signed() {
    let mut site = Site::new(
        "grams_co2_per_kwh = 12.5\nfactor_source = \"made up residual mix\"\n\
         factor_method = \"market\"\nfactor_resolution = \"monthly\"\n\
         certificates = [\"GO-1\", \"GO-2\"]\n",
    );
    site.start();
    site.run((MONDAY, MONDAY + 300), hashing, None).await;
    site.end(MONDAY + 300).await;
    site.stop().await;
    let one = site.records().remove(0);
    let grid = one.grid.unwrap();
    assert_eq!((grid.method, grid.resolution), (Method::Market, Resolution::Monthly));
    assert_eq!((grid.factor.get(), grid.source.as_str()), (12.5, "made up residual mix"));
    let names: Vec<&str> = one.certificates.iter().map(Label::as_str).collect();
    assert_eq!(names, ["GO-1", "GO-2"]);
    let sum = verify(&files_in(site.folder.path()).unwrap(), None, |_| {}).unwrap();
    assert!((sum.emitted.get() - one.imported.unwrap().kilowatt_hours() * 12.5).abs() < 1e-6);
}
