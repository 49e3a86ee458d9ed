//! `hearth doctor`: looks at everything that mining needs and says what to do where it is lacking.
//! It changes nothing: what it writes to try the disk it removes again.

mod fleet;
mod machine;
mod ports;

use crate::{
    Outcome,
    config::{Config, ConfigError},
};
use chain::{NodeFacts, Trouble};
use serde::Serialize;
use std::{
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::task::JoinSet;

/// Clocks this far apart are worth a word, seconds; `chain` refuses ten minutes.
const CLOCK_WARNING: i64 = 60;
/// 2026-01-01, seconds since 1970: this program did not exist earlier.
const EARLIEST: u64 = 1_767_225_600;

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    state: State,
    /// One sentence, with a remedy unless all is well.
    says: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Mining works, but something will hurt sooner or later.
    Warn,
    /// Mining does not work like this.
    Fail,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Ok, says: says.into() }
    }

    fn warn(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Warn, says: says.into() }
    }

    fn fail(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Fail, says: says.into() }
    }
}

#[derive(Serialize)]
struct Report {
    /// Whether nothing stands in the way of mining.
    ok: bool,
    checks: Vec<Finding>,
}

/// Checks all there is and prints a line for each, or one JSON object. The exit code is 1 if
/// anything failed.
pub async fn run(path: &Path, json: bool) -> Outcome {
    let checks = examine(path).await;
    let ok = checks.iter().all(|finding| finding.state != State::Fail);
    let report = Report { ok, checks };
    match json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print!("{}", text(&report)),
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(ConfigError::Invalid(path, problems)) => {
            let single = |problem| ConfigError::Invalid(path.clone(), vec![problem]);
            findings.extend(
                problems
                    .into_iter()
                    .map(|problem| Finding::fail("configuration", single(problem).to_string())),
            );
            findings.push(Finding::warn(
                "the rest",
                "could not be checked: correct the configuration, then ask again",
            ));
            return findings;
        }
        Err(error) => return vec![Finding::fail("configuration", error.to_string())],
    };
    findings.push(Finding::ok("configuration", format!("{} is in order", path.display())));
    findings.push(address(&config));
    findings.push(system_time(SystemTime::now()));
    findings.extend(nodes(&config).await);
    findings.extend(ports::check(&config));
    findings.extend(fleet::check(&config).await);
    findings.extend(machine::disk(&config.data_dir));
    findings.push(machine::open_files(&config.stratum.limits));
    findings
}

fn address(config: &Config) -> Finding {
    let network = config.network();
    let says = match &config.stratum.fallback_address {
        Some(address) => {
            format!("{address} is paid for miners whose user name is no address ({network})")
        }
        None => format!(
            "no fallback_address: only miners whose user name is an address of {network} are served"
        ),
    };
    Finding::ok("address", says)
}

fn system_time(now: SystemTime) -> Finding {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match seconds < EARLIEST {
        true => Finding::fail(
            "clock",
            "this machine's clock is in the past, before 2026: set it right, best by NTP",
        ),
        false => Finding::ok("clock", "this machine's clock has a likely time"),
    }
}

/// One finding for each node, in their order, and one for its clock where that can be seen.
async fn nodes(config: &Config) -> Vec<Finding> {
    let network = config.network();
    let mut tasks = JoinSet::new();
    for (index, node) in config.chain.nodes.iter().cloned().enumerate() {
        tasks.spawn(async move {
            let result = chain::check(&node, network).await;
            (index, node.url, result)
        });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|(index, ..)| *index);
    let working = results.iter().filter(|(.., result)| result.is_ok()).count();
    results.into_iter().flat_map(|(_, url, result)| node(&url, result, working > 0)).collect()
}

fn node(url: &str, result: Result<NodeFacts, Trouble>, another_works: bool) -> Vec<Finding> {
    let facts = match result {
        Ok(facts) => facts,
        Err(trouble @ Trouble::ClockOff { .. }) if !another_works => {
            return vec![Finding::fail("clock", trouble.to_string())];
        }
        Err(trouble @ (Trouble::Syncing { .. } | Trouble::WarmingUp { .. })) => {
            return vec![Finding::warn("node", trouble.to_string())];
        }
        Err(trouble) if another_works => {
            let says = format!("{trouble}; another node has the work meanwhile");
            return vec![Finding::warn("node", says)];
        }
        Err(trouble) => return vec![Finding::fail("node", trouble.to_string())],
    };
    let version = facts.version.as_deref().unwrap_or("Bitcoin Core");
    let mut says = format!("{url} gives work: {version}, block {}", facts.height);
    if let Some(peers) = facts.peers {
        says += &format!(", connected to {peers} other nodes");
    }
    let mut findings = vec![Finding::ok("node", says)];
    match facts.clock_offset {
        Some(offset) if offset.abs() > CLOCK_WARNING => findings.push(Finding::warn(
            "clock",
            format!(
                "the clock of the node at {url} and this machine's are {} s apart: set both right, \
                 best by NTP",
                offset.abs()
            ),
        )),
        Some(offset) => findings.push(Finding::ok(
            "clock",
            format!("the node at {url} agrees within {} s", offset.abs().max(1)),
        )),
        None => {}
    }
    findings
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for Finding { check, state, says } in &report.checks {
        let state = match state {
            State::Ok => "ok  ",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        text += &format!("{state}  {check:<14} {says}\n");
    }
    let count = |wanted| report.checks.iter().filter(|finding| finding.state == wanted).count();
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let warnings = plural(count(State::Warn), "warning");
    text += &match (count(State::Fail), count(State::Warn)) {
        (0, 0) => "All is well: `hearth serve` can mine.\n".to_string(),
        (0, _) => format!("{warnings}; `hearth serve` can mine.\n"),
        (faults, 0) => format!("{}: hearth cannot mine like this.\n", plural(faults, "fault")),
        (faults, _) => {
            format!("{}, {warnings}: hearth cannot mine like this.\n", plural(faults, "fault"))
        }
    };
    text
}

#[cfg(test)]
mod tests;
