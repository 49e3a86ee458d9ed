//! `hearth evidence`: checks signed records of energy, shows them, and prints the key that signs them.

use crate::{FAILED, Outcome};
use clap::{Args, Subcommand};
use ledger::evidence::{
    Body, Delivered, Interval, Label, Log, PublicKey, Quality, Record, Summary, Vouched,
    verify as check, vouches,
};
use serde_json::{Value, json};
use std::{
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};
use units::UnixTime;

/// What to do with evidence.
#[derive(Subcommand)]
pub enum Evidence {
    /// Check that records are as they were signed: nothing changed, missing, added or out of order.
    Verify(Verify),
    /// Print the intervals of records, checked as they are printed.
    Show(Show),
    /// Print the public key that signs a folder's records; makes folder and key at first use.
    Key(Key),
}

#[derive(Args)]
pub struct Verify {
    /// Files of one record in their order, or its folder.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The public key that must have signed the first record, as you got it from the site.
    #[arg(long, value_name = "PUB")]
    key: Option<PublicKey>,
    /// The folder of an aggregate's rows, which its records vouch for: every byte of them is checked.
    #[arg(long, value_name = "FOLDER")]
    rows: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Show {
    /// Files of one record in their order, or its folder.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print each record as its JSON object, one a line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Key {
    /// The folder of the records.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Whose records these are.
    #[arg(long, default_value = "site")]
    site: Label,
    /// The meter they are of.
    #[arg(long, default_value = "main")]
    meter: Label,
    /// Hand over to a new key; the old one signs that.
    #[arg(long)]
    rotate: bool,
}

/// Runs the command.
pub fn run(evidence: Evidence) -> Outcome {
    match evidence {
        Evidence::Verify(args) => verify(args),
        Evidence::Show(args) => show(args),
        Evidence::Key(args) => key(args),
    }
}

fn verify(args: Verify) -> Outcome {
    let mut rows = args.rows.as_deref().map(Vouched::of);
    let mut vouching = 0_u64;
    let checked = check(&files_of(&args.files)?, args.key.as_ref(), |record| {
        if let Body::Interval(interval) = &record.body {
            vouching += u64::from(interval.event.as_ref().is_some_and(vouches));
        }
        if let Some(Ok(rows)) = &mut rows {
            rows.see(record);
        }
    });
    let checked = match (checked, rows.map(|rows| rows?.finish())) {
        (Ok(sum), None) => Ok((sum, None)),
        (Ok(sum), Some(Ok(rows))) => Ok((sum, Some(rows))),
        (Ok(_), Some(Err(bad))) => Err((None, None, bad.to_string())),
        (Err(broken), _) => Err((Some(broken.file.clone()), broken.at, broken.to_string())),
    };
    let (text, code) = match checked {
        Ok((sum, rows)) if args.json => {
            let mut json = json_of(&sum);
            json["rows_of"] = json!(vouching);
            json["rows_checked"] = json!(rows);
            (json.to_string(), ExitCode::SUCCESS)
        }
        Ok((sum, rows)) => {
            let mut text = text_of(&sum, args.key.is_some());
            match rows {
                Some(rows) => text += &format!("\nRows of {rows} intervals are as signed."),
                None if vouching > 0 => {
                    text += &format!(
                        "\nRows of {vouching} intervals were not checked: name their folder with --rows."
                    );
                }
                None => {}
            }
            (text, ExitCode::SUCCESS)
        }
        Err((file, at, why)) => {
            let json = json!({
                "accepted": false,
                "file": file,
                "line": at.map(|at| at.line),
                "record": at.and_then(|at| at.seq),
                "why": why,
            });
            let text = if args.json { json.to_string() } else { format!("rejected: {why}") };
            (text, ExitCode::from(FAILED))
        }
    };
    // A reader that closes early, such as `head`, has what it wants.
    let _ = writeln!(stdout(), "{text}");
    Ok(code)
}

fn show(args: Show) -> Outcome {
    let mut out = stdout().lock();
    if !args.json {
        let _ = writeln!(
            out,
            "{:>8}  {:>10} {:>6}  {:<9} {:>12} {:>12} {:>12} {:>10} {:>12} {:>8}  event",
            "record",
            "start",
            "s",
            "quality",
            "in Wh",
            "heat Wh",
            "given up Wh",
            "shares",
            "proven Wh",
            "still %"
        );
    }
    let mut calls = Calls::default();
    check(&files_of(&args.files)?, None, |record| {
        let line = if args.json { serde_json::to_string(record).ok() } else { row(record) };
        if let Some(line) = line {
            let _ = writeln!(out, "{line}");
        }
        if let Body::Interval(interval) = &record.body {
            calls.see(interval);
        }
    })?;
    if !args.json {
        for (event, until, given) in &calls.all {
            let _ = writeln!(
                out,
                "Call {event}, until {}: given up {}, {} to {} with {}.",
                until.0, given.energy, given.low, given.high, given.confidence
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What each call was given in all: what its last record says.
#[derive(Default)]
struct Calls {
    all: Vec<(Label, UnixTime, Delivered)>,
    /// Those before it are over.
    over: usize,
}

impl Calls {
    fn see(&mut self, interval: &Interval) {
        match (&interval.event, interval.call) {
            (Some(event), Some(given)) => {
                let now = (event.clone(), interval.end(), given);
                let under_way = self.all.iter_mut().skip(self.over);
                match under_way.into_iter().find(|(known, ..)| known == event) {
                    Some(slot) => *slot = now,
                    None => self.all.push(now),
                }
            }
            (None, _) if interval.quality == Quality::Metered => self.over = self.all.len(),
            _ => {}
        }
    }
}

fn key(args: Key) -> Outcome {
    let mut log = Log::open(&args.folder, &args.site, &args.meter)?;
    if args.rotate {
        log.rotate_key()?;
    }
    let _ = writeln!(stdout(), "{}", log.key());
    Ok(ExitCode::SUCCESS)
}

/// The files themselves, and those in folders by their names, which are in order.
fn files_of(given: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for path in given {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let said = |e| format!("{} cannot be read: {e}; check its permissions", path.display());
        let mut files = ledger::evidence::files_in(path).map_err(said)?;
        if files.is_empty() {
            return Err(format!("{} holds no .evidence file; name another", path.display()));
        }
        all.append(&mut files);
    }
    Ok(all)
}

fn row(record: &Record) -> Option<String> {
    let Body::Interval(interval) = &record.body else {
        return None;
    };
    let Interval { start, seconds, quality, imported, heat_reused, delivered, proof, .. } =
        &**interval;
    let quality = match quality {
        Quality::Metered => "metered",
        Quality::Estimated => "estimated",
        Quality::Void => "void",
    };
    let or_dash = |n: Option<f64>| n.map_or("–".into(), |n| format!("{n:.3}"));
    Some(format!(
        "{:>8}  {:>10} {:>6}  {quality:<9} {:>12} {:>12} {:>12} {:>10} {:>12} {:>8}  {}{}",
        record.seq,
        start.0,
        seconds.as_secs(),
        or_dash(imported.map(|e| e.get())),
        or_dash(heat_reused.map(|e| e.get())),
        or_dash(delivered.map(|d| d.energy.get())),
        interval.work.map_or("–".into(), |w| w.shares.to_string()),
        or_dash(proof.map(|proof| proof.least.get())),
        or_dash(proof.and_then(|proof| proof.residual).map(|part| part.as_percent())),
        interval.event.as_ref().map_or("", Label::as_str),
        interval.why.as_ref().map_or(String::new(), |why| format!(" ({why})")),
    ))
}

fn text_of(sum: &Summary, key_given: bool) -> String {
    let trust = if key_given {
        "the key that you gave"
    } else {
        "a key that you must compare with what the site told you, or give as --key"
    };
    let earlier = match sum.first_seq {
        0 => String::new(),
        n => format!("\nRecords 0 to {} are in earlier files.", n - 1),
    };
    let time = match (sum.from, sum.until) {
        (Some(from), Some(until)) => format!("{} to {} (Unix time)", from.0, until.0),
        _ => "no time yet".into(),
    };
    format!(
        "accepted: records {} to {} of site {}, meter {}{earlier}\n\
         Signed first by {}, {trust}.\n\
         {} intervals from {time}: {} estimated, {} void, {} gaps in time.\n\
         Drawn {}, fed out {}, heat used {}, given up {}, emitted {} ({} without a factor).\n\
         Accepted work took at least {}.\n\
         Last record's hash {}: keep it; it shows later whether records were cut off at the end.",
        sum.first_seq,
        sum.last_seq,
        sum.site,
        sum.meter,
        sum.first_key,
        sum.intervals,
        sum.estimated,
        sum.void,
        sum.gaps,
        sum.imported,
        sum.exported,
        sum.heat_reused,
        sum.delivered,
        sum.emitted,
        sum.without_factor,
        sum.proven,
        sum.head,
    )
}

fn json_of(sum: &Summary) -> Value {
    json!({
        "accepted": true,
        "site": sum.site,
        "meter": sum.meter,
        "first_key": sum.first_key,
        "last_key": sum.last_key,
        "first_record": sum.first_seq,
        "last_record": sum.last_seq,
        "head": sum.head,
        "intervals": sum.intervals,
        "estimated": sum.estimated,
        "void": sum.void,
        "gaps": sum.gaps,
        "from": sum.from.map(|t| t.0),
        "until": sum.until.map(|t| t.0),
        "in_wh": sum.imported.get(),
        "out_wh": sum.exported.get(),
        "heat_wh": sum.heat_reused.get(),
        "delivered_wh": sum.delivered.get(),
        "hashes": sum.work.hashes(),
        "proven_wh": sum.proven.get(),
        "emitted_g": sum.emitted.get(),
        "without_factor_wh": sum.without_factor.get(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use units::{NetWattHours, Ratio};

    #[test]
    fn a_call_was_given_what_its_last_record_says_and_may_be_called_again() {
        let mut calls = Calls::default();
        let given = |wh: f64| {
            let energy = NetWattHours::new(wh).unwrap();
            Delivered { energy, low: energy, high: energy, confidence: Ratio::ALL }
        };
        let mut at = 0;
        let mut see = |event: Option<&str>, wh: Option<f64>| {
            at += 300;
            let why = "none".parse().unwrap();
            calls.see(&Interval {
                quality: if event.is_some() { Quality::Void } else { Quality::Metered },
                event: event.map(|event| event.parse().unwrap()),
                call: wh.map(given),
                ..Interval::void(UnixTime(at), Duration::from_secs(300), why)
            });
        };
        see(Some("a"), Some(10.0));
        see(Some("b"), Some(7.0));
        see(Some("a"), None);
        see(Some("a"), Some(20.0));
        see(None, None);
        see(Some("a"), Some(5.0));
        let all: Vec<(&str, u64, f64)> = calls
            .all
            .iter()
            .map(|(event, until, given)| (event.as_str(), until.0, given.energy.get()))
            .collect();
        assert_eq!(all, [("a", 1500, 20.0), ("b", 900, 7.0), ("a", 2100, 5.0)]);
    }
}
