//! Evidence is accepted as written and rejected when anything in it was changed; a kill at any moment
//! neither loses an acknowledged record nor signs a number twice.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, also outside of their #[test] functions"
)]

use hearth_ledger::evidence::{
    AcceptedWork, Baseline, Body, Broken, Delivered, EvidenceError, Grid, Interval, Label, Log,
    MAX_LINE, Method, Proof, Quality, Resolution, Summary, verify,
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use units::{Efficiency, EmissionFactor, NetWattHours, Ratio, UnixTime, WattHours, Work};

const PATH: &str = "HEARTH_TEST_EVIDENCE";
const START: u64 = 1_800_000_000;
const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn wh(energy: f64) -> WattHours {
    WattHours::new(energy).unwrap()
}

fn net(energy: f64) -> NetWattHours {
    NetWattHours::new(energy).unwrap()
}

fn open(folder: &Path) -> Result<Log, EvidenceError> {
    Log::open(folder, &label("home 1"), &label("main"))
}

fn interval(n: u64) -> Interval {
    Interval {
        start: UnixTime(START + n * 300),
        seconds: FIVE_MINUTES,
        quality: Quality::Metered,
        why: None,
        imported: Some(wh(291.667 + n as f64)),
        exported: None,
        heat_reused: Some(wh(250.0)),
        work: Some(AcceptedWork { shares: 120, hashes: Work::from_hashes(6e16) }),
        grid: Some(Grid {
            factor: EmissionFactor::grams_per_kwh(288.4).unwrap(),
            source: label("made up"),
            method: Method::Location,
            resolution: Resolution::Annual,
        }),
        certificates: vec![label("GO-EXAMPLE-1")],
        baseline: Some(Baseline {
            method: label("metered prior interval"),
            energy: wh(400.0),
            error: wh(2.0),
        }),
        delivered: Some(Delivered {
            energy: net(100.0),
            low: net(96.0),
            high: net(104.0),
            confidence: Ratio::new(0.95).unwrap(),
        }),
        event: Some(label("event 7")),
        proof: Some(Proof {
            hardest: Work::from_hashes(1e15),
            best: Efficiency::new(7.5).unwrap(),
            least: wh(75.5),
            beside: Some(wh(10.0)),
            residual: Some(Ratio::new(0.25).unwrap()),
            confidence: Ratio::new(0.9999).unwrap(),
        }),
        call: Some(Delivered {
            energy: net(100.0),
            low: net(96.0),
            high: net(104.0),
            confidence: Ratio::new(0.95).unwrap(),
        }),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "evidence"));
    files.sort();
    files
}

fn check(file: &Path) -> Result<Summary, Broken> {
    verify(&[file.to_owned()], None, |_| {})
}

/// A folder with this many intervals in one file.
fn written(count: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path()).unwrap();
    for n in 0..count {
        log.append(&interval(n)).unwrap();
    }
    let file = files(folder.path()).remove(0);
    (folder, file)
}

fn changed(file: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> String {
    let bytes = fs::read(file).unwrap();
    let mut lines: Vec<_> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    let beside = file.with_extension("changed");
    fs::write(&beside, lines.concat()).unwrap();
    let said = check(&beside).expect_err("a changed record is rejected").to_string();
    fs::remove_file(beside).unwrap();
    said
}

#[test]
fn what_was_recorded_is_accepted_and_adds_up() {
    let (folder, file) = written(3);
    let mut void = interval(5);
    (void.quality, void.why) = (Quality::Void, Some(label("meter silent")));
    (void.delivered, void.call, void.imported) = (None, None, None);
    let mut log = open(folder.path()).unwrap();
    let receipt = log.append(&void).unwrap();
    let key = log.key();
    let mut seen = Vec::new();
    let sum = verify(std::slice::from_ref(&file), Some(&key), |r| seen.push(r.clone())).unwrap();
    assert_eq!((sum.intervals, sum.void, sum.gaps, sum.last_seq), (4, 1, 1, 4));
    assert_eq!((sum.head, sum.last_seq), (receipt.hash, receipt.seq));
    assert!((sum.imported.get() - 878.001).abs() < 1e-9, "{}", sum.imported.get());
    assert_eq!((sum.delivered.get(), sum.work.hashes()), (300.0, 18e16));
    assert_eq!(sum.proven.get(), 226.5);
    assert!((sum.emitted.get() - 0.878001 * 288.4).abs() < 1e-9);
    assert_eq!(seen.len(), 5);
    assert!(sum.heat_reused == wh(750.0) && sum.from == Some(UnixTime(START)));
}

#[test]
fn a_record_with_any_byte_changed_is_rejected() {
    let (_folder, file) = written(2);
    let good = fs::read(&file).unwrap();
    let beside = file.with_extension("changed");
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            fs::write(&beside, &bad).unwrap();
            assert!(check(&beside).is_err(), "byte {at} may be changed by {flip:#x}");
        }
    }
}

#[test]
fn records_missing_reordered_repeated_or_cut_are_rejected_with_the_reason() {
    let (_folder, file) = written(4);
    for (change, words) in [
        ((|l| drop(l.remove(2))) as fn(&mut Vec<Vec<u8>>), "line 3 (record 2): sequence number 2"),
        (|l| l.swap(2, 3), "sequence number 2 is due and 3 is here"),
        (|l| l.insert(3, l[2].clone()), "missing, repeated or out of order"),
        (|l| drop(l.remove(0)), "must begin with the key in force"),
        (|l| l[2].truncate(200), "line 3 (record 2)"),
        (|l| l.last_mut().unwrap().retain(|b| *b != b'\n'), "the record is cut off"),
        (|l| l[1] = [vec![b'a'; 5000], vec![b'\n']].concat(), "longer than 4096 bytes"),
        (Vec::clear, "there is no record"),
    ] {
        let said = changed(&file, change);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_record_signed_by_another_key_is_rejected() {
    let (_folder, file) = written(3);
    let (_other, theirs) = written(3);
    let theirs = fs::read(theirs).unwrap();
    let theirs: Vec<_> = theirs.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let said = changed(&file, |lines| lines[2] = theirs[2].clone());
    assert!(said.contains("is in force"), "{said}");
    // All of it signed again is only found out by whoever knows the key.
    let (folder, again) = written(3);
    let trusted = open(folder.path()).unwrap().key();
    assert!(verify(&[again], Some(&trusted), |_| {}).is_ok());
    let said = verify(&[file], Some(&trusted), |_| {}).unwrap_err().to_string();
    assert!(said.contains("not by the key that you trust"), "{said}");
}

#[test]
fn a_key_is_handed_over_by_the_one_before_and_files_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path()).unwrap().files_of(3000);
    let first = log.key();
    for n in 0..12 {
        if n == 5 {
            log.rotate_key().unwrap();
        }
        log.append(&interval(n)).unwrap();
    }
    let last = log.key();
    assert_ne!(first, last);
    drop(log);
    let files = files(folder.path());
    assert!(files.len() > 2);
    let sum = verify(&files, Some(&first), |_| {}).unwrap();
    assert_eq!((sum.first_key, sum.last_key, sum.intervals), (first, last, 12));
    // Each file can be checked alone; a file left out is seen.
    assert!(check(&files[1]).unwrap().first_seq > 0);
    let said = verify(&[files[0].clone(), files[2].clone()], None, |_| {}).unwrap_err();
    assert!(said.to_string().contains("a record is missing"), "{said}");
    // Nothing is recorded twice, not even after a restart in a new file.
    let mut log = open(folder.path()).unwrap();
    assert!(matches!(log.append(&interval(11)), Err(EvidenceError::Recorded { .. })));
    log.append(&interval(12)).unwrap();
}

#[test]
fn a_last_record_cut_at_any_byte_is_mended_without_a_second_one_of_its_number() {
    let (folder, file) = written(2);
    let good = fs::read(&file).unwrap();
    let last = good[..good.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    for cut in last..=good.len() {
        fs::write(&file, &good[..cut]).unwrap();
        let mut log = open(folder.path()).unwrap();
        // Only without its line break is it whole: then it stays.
        let kept = cut + 1 >= good.len();
        assert_eq!(log.until(), interval(u64::from(kept)).end(), "{cut}");
        let seq = log.append(&interval(9)).unwrap().seq;
        assert_eq!(seq, if kept { 3 } else { 2 });
        assert_eq!(check(&file).unwrap().last_seq, seq);
    }
}

#[test]
fn a_first_record_cut_at_any_byte_is_made_again_by_the_same_key() {
    let (folder, file) = written(0);
    let good = fs::read(&file).unwrap();
    let key = open(folder.path()).unwrap().key();
    for cut in 0..good.len() - 1 {
        fs::write(&file, &good[..cut]).unwrap();
        // As the crash leaves it: the key comes into use after the first record is on the disk.
        fs::rename(folder.path().join("key"), folder.path().join("key.new")).unwrap();
        let log = open(folder.path()).unwrap();
        assert_eq!((log.key(), fs::read(&file).unwrap()), (key, good.clone()), "{cut}");
    }
}

#[test]
fn the_key_is_for_its_owner_only_and_is_never_replaced_silently() {
    let (folder, file) = written(1);
    let key = folder.path().join("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(folder.path().join("key")).unwrap().len(), 65);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(open(folder.path()), Err(EvidenceError::OpenKey { .. })));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let aside = folder.path().join("aside");
    fs::rename(&file, &aside).unwrap();
    assert!(matches!(open(folder.path()), Err(EvidenceError::KeyLost { .. })));
    fs::rename(&aside, &file).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(matches!(open(folder.path()), Err(EvidenceError::KeyLost { .. })));
}

#[test]
fn a_second_writer_another_meter_and_a_damaged_file_are_refused() {
    let (folder, file) = written(2);
    let log = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(EvidenceError::Locked { .. })));
    drop(log);
    let other = Log::open(folder.path(), &label("home 1"), &label("heat pump"));
    assert!(matches!(other, Err(EvidenceError::Other { .. })));
    let mut bytes = fs::read(&file).unwrap();
    bytes[300] ^= 1;
    fs::write(&file, bytes).unwrap();
    let said = open(folder.path()).err().expect("a damaged file").to_string();
    assert!(said.contains("line 1"), "{said}");
}

#[test]
fn an_interval_that_contradicts_itself_is_not_recorded() {
    let (folder, _file) = written(0);
    let mut log = open(folder.path()).unwrap();
    for (change, words) in [
        ((|i| i.seconds = Duration::ZERO) as fn(&mut Interval), "whole seconds"),
        (|i| i.imported = None, "without a metered energy"),
        (|i| i.quality = Quality::Estimated, "does not say why"),
        (
            |i| (i.quality, i.why) = (Quality::Void, Some("gap".parse().unwrap())),
            "void and still claims",
        ),
        (
            |i| {
                if let Some(d) = &mut i.delivered {
                    d.low = NetWattHours::new(200.0).unwrap();
                }
            },
            "outside of its own",
        ),
        (|i| i.imported = Some(WattHours::new(1e13).unwrap()), "1 TWh"),
        (|i| i.imported = Some(WattHours::new(65.0).unwrap()), "more energy than was metered"),
        (|i| i.exported = i.imported, "more energy than was metered"),
        (
            |i| {
                if let Some(proof) = &mut i.proof {
                    proof.hardest = Work::ZERO;
                }
            },
            "hardest share",
        ),
        (
            |i| {
                if let Some(proof) = &mut i.proof {
                    proof.best = Efficiency::new(1e7).unwrap();
                }
            },
            "J/TH",
        ),
        (
            |i| {
                if let Some(d) = &mut i.call {
                    d.high = NetWattHours::new(-200.0).unwrap();
                }
            },
            "outside of its own",
        ),
    ] {
        let mut bad = interval(0);
        change(&mut bad);
        let said = log.append(&bad).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
    log.append(&interval(0)).unwrap();
    assert!("a \"b\"".parse::<Label>().is_err() && "ü".parse::<Label>().is_err());
    assert!("x".repeat(121).parse::<Label>().is_err() && "".parse::<Label>().is_err());
}

#[test]
fn work_that_contradicts_the_meter_is_kept_where_it_is_void_or_the_site_has_power_of_its_own() {
    let (folder, file) = written(0);
    let mut log = open(folder.path()).unwrap();
    let mut contradicted = interval(0);
    contradicted.imported = Some(wh(10.0));
    assert!(log.append(&contradicted).is_err());
    (contradicted.quality, contradicted.why) = (Quality::Void, Some(label("contradicted")));
    (contradicted.delivered, contradicted.call) = (None, None);
    log.append(&contradicted).unwrap();
    let mut sunny = interval(1);
    sunny.imported = Some(wh(0.0));
    sunny.proof.as_mut().unwrap().beside = Some(wh(80.0));
    log.append(&sunny).unwrap();
    let mut unknown = interval(2);
    unknown.imported = Some(wh(0.0));
    unknown.proof.as_mut().unwrap().beside = None;
    log.append(&unknown).unwrap();
    assert_eq!(check(&file).unwrap().intervals, 3);
}

#[test]
fn a_record_from_before_proofs_were_kept_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("000000000000.evidence");
    fs::write(&file, include_bytes!("../../../fuzz/seeds/evidence")).unwrap();
    let mut proofs = Vec::new();
    let sum = verify(&[file], None, |record| {
        if let Body::Interval(interval) = &record.body {
            proofs.push((interval.proof, interval.call));
        }
    });
    assert_eq!((sum.unwrap().intervals, proofs), (1, vec![(None, None)]));
}

#[test]
fn the_longest_interval_fits_into_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let long = || label(&"x".repeat(120));
    let mut log = Log::open(folder.path(), &long(), &long()).unwrap();
    let most = |claim: &mut Delivered| {
        (claim.low, claim.energy, claim.high) = (net(-1e12), net(-1e12), net(1e12));
    };
    let mut longest = interval(0);
    longest.start = UnixTime(1 << 40);
    (longest.quality, longest.why) = (Quality::Estimated, Some(long()));
    longest.imported = Some(wh(1e12));
    longest.exported = Some(wh(1e12));
    longest.heat_reused = Some(wh(1e12));
    longest.work = Some(AcceptedWork { shares: u64::MAX, hashes: Work::from_hashes(3e38) });
    longest.grid.as_mut().unwrap().source = long();
    longest.grid.as_mut().unwrap().factor = EmissionFactor::grams_per_kwh(1e9).unwrap();
    longest.certificates = vec![long(); 16];
    longest.baseline = Some(Baseline { method: long(), energy: wh(1e12), error: wh(1e12) });
    longest.delivered.iter_mut().chain(&mut longest.call).for_each(most);
    longest.event = Some(long());
    longest.proof = Some(Proof {
        hardest: Work::from_hashes(3e38),
        best: Efficiency::new(1e6).unwrap(),
        least: wh(1e12),
        beside: Some(wh(1e12)),
        residual: Some(Ratio::ALL),
        confidence: Ratio::ALL,
    });
    log.append(&longest).unwrap();
    let line = fs::read(files(folder.path()).remove(0)).unwrap();
    let line = line.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap();
    println!("{line} bytes of {MAX_LINE}");
    assert!(line <= MAX_LINE);
}

/// The program to be killed: says what it has been promised to be on the disk.
#[test]
#[ignore = "the child process of the test below"]
fn writes_evidence_until_it_is_killed() {
    let Ok(path) = std::env::var(PATH) else {
        return;
    };
    let mut log = open(Path::new(&path)).unwrap().files_of(20_000);
    let from = (log.until().0.saturating_sub(START)) / 300;
    let mut out = std::io::stdout();
    for n in from.. {
        if n % 40 == 7 {
            log.rotate_key().unwrap();
        }
        let receipt = log.append(&interval(n)).unwrap();
        writeln!(out, "\nsaved {n} {} {}", receipt.seq, receipt.hash).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_loses_no_promised_record_and_forks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut promised = Vec::new();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "writes_evidence_until_it_is_killed", "--nocapture"])
            .env(PATH, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Dies some while after its last word that is waited for.
        for line in
            lines.by_ref().map_while(Result::ok).filter(|l| l.starts_with("saved")).take(20 + round)
        {
            let mut words = line.split(' ').skip(1);
            let mut word = || words.next().unwrap().to_owned();
            promised.push((word().parse::<u64>().unwrap(), word().parse::<u64>().unwrap(), word()));
        }
        std::thread::sleep(Duration::from_micros(317 * round as u64));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    drop(open(folder.path()).unwrap());
    let mut found = std::collections::HashMap::new();
    let mut number = 0;
    let sum = verify(&files(folder.path()), None, |record| {
        assert_eq!(record.seq, number, "each number once");
        found.insert(record.seq + 1, record.prev.to_string());
        number += 1;
    })
    .unwrap();
    for (n, seq, hash) in &promised {
        assert!(interval(*n).start < sum.until.unwrap());
        // A record's hash is what the next one has as its previous.
        let kept = found.get(&(seq + 2)).cloned().unwrap_or_else(|| sum.head.to_string());
        assert_eq!(kept, *hash, "record {seq} is the one that was promised");
    }
    assert!(promised.len() > 240 && sum.gaps == 0);
}
