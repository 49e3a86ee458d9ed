//! Records of evidence signed, verified and appended, each beside its limit: the signature alone, and
//! the disk's own sync.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to report")]

use ed25519_dalek::{Signature, Signer, SigningKey};
use hearth_ledger::evidence::{Interval, Log, Quality, verify};
use std::{
    fs::File,
    hint::black_box,
    io::Write,
    time::{Duration, Instant},
};
use units::{UnixTime, WattHours};

const APPENDED: u64 = 2000;
const SIGNED: u32 = 5000;

fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let (site, meter) = ("site".parse().unwrap(), "meter".parse().unwrap());
    let mut log = Log::open(folder.path(), &site, &meter).unwrap();
    let rate = |count: f64, took: Duration| count / took.as_secs_f64();
    let began = Instant::now();
    for n in 0..APPENDED {
        log.append(&interval(n)).unwrap();
    }
    let appended = rate(APPENDED as f64, began.elapsed());
    let file = folder.path().join("000000000000.evidence");
    let bytes = std::fs::read(&file).unwrap();
    let line = bytes.len() / (APPENDED as usize + 1);

    let mut raw = File::create(folder.path().join("raw")).unwrap();
    let began = Instant::now();
    for _ in 0..APPENDED {
        raw.write_all(&bytes[..line]).unwrap();
        raw.sync_data().unwrap();
    }
    let synced = rate(APPENDED as f64, began.elapsed());

    let began = Instant::now();
    let seen = verify(&[file], None, |record| {
        black_box(record.seq);
    })
    .unwrap();
    let verified = rate(seen.intervals as f64, began.elapsed());

    let key = SigningKey::from_bytes(&[7; 32]);
    let message = &bytes[..line];
    let began = Instant::now();
    for _ in 0..SIGNED {
        black_box(key.sign(black_box(message)));
    }
    let signs = rate(f64::from(SIGNED), began.elapsed());
    let (signature, public): (Signature, _) = (key.sign(message), key.verifying_key());
    let began = Instant::now();
    for _ in 0..SIGNED {
        public.verify_strict(black_box(message), &signature).unwrap();
    }
    let checks = rate(f64::from(SIGNED), began.elapsed());

    println!("a record of {line} bytes, one thread        records/s   limit/s");
    println!(
        "append: sign, check, write, sync      {appended:>12.0} {synced:>9.0}  write and sync alone"
    );
    println!("sign alone                                         {signs:>9.0}  Ed25519");
    println!(
        "verify: read, check chain, signature  {verified:>12.0} {checks:>9.0}  Ed25519 strict alone"
    );
}

fn interval(n: u64) -> Interval {
    Interval {
        start: UnixTime(1_800_000_000 + n * 300),
        seconds: Duration::from_secs(300),
        quality: Quality::Metered,
        why: None,
        imported: WattHours::new(291.0).ok(),
        exported: None,
        heat_reused: None,
        work: None,
        grid: None,
        certificates: Vec::new(),
        baseline: None,
        delivered: None,
        event: None,
        proof: None,
        call: None,
    }
}
