//! Prometheus text format 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
//!
//! Base units throughout: hashes per second, seconds, satoshis. What is unknown has no sample.

mod energy;
mod fleet;

use api::{Hashrate, Status, Worker};
use std::fmt::Write;

/// Workers with samples of their own: the fastest. Each has about ten series, and a monitoring
/// system suffers from too many; `hearth_workers_omitted` says how many are left out.
pub const MAX_WORKERS: usize = 1000;

pub(crate) fn render(status: &Status) -> String {
    let mut out = Exposition { text: String::with_capacity(16 * 1024), name: "" };
    program(&mut out, status);
    work(&mut out, status);
    connections(&mut out, status);
    shares(&mut out, status);
    workers(&mut out, status);
    record(&mut out, status);
    if let Some(machines) = &status.fleet {
        fleet::fleet(&mut out, machines);
    }
    if let Some(power) = &status.energy {
        energy::energy(&mut out, power);
    }
    out.text
}

fn program(out: &mut Exposition, status: &Status) {
    out.family("hearth_info", "gauge", "Version and network, as labels.");
    out.sample(&[("version", &status.version), ("network", &status.network)], Some(1.0));
    out.one(
        "hearth_start_time_seconds",
        "gauge",
        "When the program was started, seconds since 1970.",
        Some(status.started_at as f64),
    );
    let nodes = &status.nodes;
    out.family("hearth_node_up", "gauge", "Whether the Bitcoin node is in order.");
    for node in nodes {
        out.sample(&[("node", &node.url)], Some(f64::from(node.state == "up")));
    }
    out.family("hearth_node_active", "gauge", "Whether miners work on this node's template.");
    for node in nodes {
        out.sample(&[("node", &node.url)], Some(f64::from(node.active)));
    }
    out.family("hearth_node_trouble", "gauge", "1 for a node in trouble, by its kind.");
    for node in nodes.iter().filter(|node| node.state != "up") {
        out.sample(&[("node", &node.url), ("trouble", &node.state)], Some(1.0));
    }
    out.family("hearth_node_height", "gauge", "Height of the node's best block.");
    for node in nodes {
        out.sample(&[("node", &node.url)], node.height.map(f64::from));
    }
    out.family(
        "hearth_node_clock_offset_seconds",
        "gauge",
        "How far the node's clock is ahead of ours.",
    );
    for node in nodes {
        out.sample(&[("node", &node.url)], node.clock_offset_s);
    }
}

fn work(out: &mut Exposition, status: &Status) {
    let work = status.work.as_ref();
    out.one(
        "hearth_work_available",
        "gauge",
        "Whether there is work for miners; 0 while they wait.",
        Some(f64::from(work.is_some())),
    );
    for (name, help, value) in [
        (
            "hearth_work_height",
            "Height of the block to be found.",
            work.map(|work| f64::from(work.height)),
        ),
        (
            "hearth_work_transactions",
            "Transactions in the template.",
            work.map(|work| work.transactions as f64),
        ),
        (
            "hearth_work_coinbase_value_satoshis",
            "Subsidy and fees of the template.",
            work.map(|work| work.coinbase_value_sats as f64),
        ),
        ("hearth_work_age_seconds", "Age of the template.", work.map(|work| work.age_s as f64)),
        (
            "hearth_network_difficulty",
            "Difficulty of the network's target.",
            work.map(|work| work.network_difficulty),
        ),
    ] {
        out.one(name, "gauge", help, value);
    }
    let latency = &status.tip_to_job_ms;
    let seconds = |ms: Option<f64>| ms.map(|ms| ms / 1000.0);
    out.family(
        "hearth_tip_to_job_seconds",
        "summary",
        "From the news of a new block to the last miner's job sent.",
    );
    out.sample(&[("quantile", "0.5")], seconds(latency.p50));
    out.sample(&[("quantile", "0.99")], seconds(latency.p99));
    out.suffixed("_sum", seconds(Some(latency.sum)));
    out.suffixed("_count", Some(latency.count as f64));
}

fn connections(out: &mut Exposition, status: &Status) {
    let connections = &status.connections;
    for (name, help, value) in [
        ("hearth_connections", "Open connections of miners.", connections.open),
        ("hearth_connections_peak", "The most that were open at once.", connections.peak),
        (
            "hearth_connections_authorized",
            "Open connections with an authorized worker.",
            connections.authorized,
        ),
    ] {
        out.one(name, "gauge", help, Some(value as f64));
    }
    out.family(
        "hearth_connections_refused_total",
        "counter",
        "Connections turned away or cut off, by reason.",
    );
    for (reason, count) in &connections.refused {
        out.sample(&[("reason", reason)], Some(*count as f64));
    }
}

fn shares(out: &mut Exposition, status: &Status) {
    out.family(
        "hearth_hashrate_hashes_per_second",
        "gauge",
        "Hashrate proven by accepted shares, averaged over a window.",
    );
    for (window, rate) in windows(&status.hashrate) {
        out.sample(&[("window", window)], rate);
    }
    out.one(
        "hearth_shares_accepted_total",
        "counter",
        "Accepted shares.",
        Some(status.shares.accepted as f64),
    );
    out.one(
        "hearth_work_hashes_total",
        "counter",
        "Expected hashes behind the accepted shares.",
        Some(status.shares.work_hashes),
    );
    out.family("hearth_shares_rejected_total", "counter", "Rejected shares, by reason.");
    for (reason, count) in &status.shares.rejected {
        out.sample(&[("reason", reason)], Some(*count as f64));
    }
    out.family("hearth_best_share_difficulty", "gauge", "Difficulty of the best share.");
    out.sample(&[("since", "ever")], status.best_share.ever);
    out.sample(&[("since", "block")], status.best_share.since_block);
    out.one(
        "hearth_blocks_found_total",
        "counter",
        "Blocks found here, in any state.",
        status.blocks_found.map(|blocks| blocks as f64),
    );
}

fn workers(out: &mut Exposition, status: &Status) {
    let online = status.workers.iter().filter(|worker| worker.connections > 0).count();
    out.one("hearth_workers", "gauge", "Workers with a connection.", Some(online as f64));
    let fastest = fastest(&status.workers, MAX_WORKERS);
    out.one(
        "hearth_workers_omitted",
        "gauge",
        "Workers left out below, which shows the fastest only.",
        Some((status.workers.len() - fastest.len()) as f64),
    );
    out.family(
        "hearth_worker_hashrate_hashes_per_second",
        "gauge",
        "Hashrate of a worker, averaged over a window.",
    );
    for worker in &fastest {
        for (window, rate) in windows(&worker.hashrate) {
            out.sample(&[("worker", &worker.name), ("window", window)], rate);
        }
    }
    type Value = fn(&Worker) -> Option<f64>;
    let plain: [(&str, &str, &str, Value); 6] = [
        (
            "hearth_worker_shares_accepted_total",
            "counter",
            "Accepted shares of a worker.",
            |worker| Some(worker.shares.accepted as f64),
        ),
        (
            "hearth_worker_work_hashes_total",
            "counter",
            "Expected hashes behind a worker's accepted shares.",
            |worker| Some(worker.shares.work_hashes),
        ),
        ("hearth_worker_connections", "gauge", "Open connections of a worker.", |worker| {
            Some(worker.connections as f64)
        }),
        ("hearth_worker_difficulty", "gauge", "Share difficulty of a worker.", |worker| {
            worker.difficulty
        }),
        (
            "hearth_worker_best_share_difficulty",
            "gauge",
            "Difficulty of a worker's best share ever.",
            |worker| worker.best_share.ever,
        ),
        (
            "hearth_worker_last_share_age_seconds",
            "gauge",
            "Time since a worker's last accepted share.",
            |worker| worker.last_share_s_ago.map(|age| age as f64),
        ),
    ];
    for (name, kind, help, value) in plain {
        out.family(name, kind, help);
        for worker in &fastest {
            out.sample(&[("worker", &worker.name)], value(worker));
        }
    }
    out.family(
        "hearth_worker_shares_rejected_total",
        "counter",
        "Rejected shares of a worker, by reason.",
    );
    for worker in &fastest {
        for (reason, count) in &worker.shares.rejected {
            let labels = [("worker", &*worker.name), ("reason", reason)];
            out.sample(&labels, Some(*count as f64));
        }
    }
}

fn record(out: &mut Exposition, status: &Status) {
    let ledger = &status.ledger;
    for (name, kind, help, value) in [
        ("hearth_ledger_queue", "gauge", "Sums that wait to be written.", ledger.queue_len),
        ("hearth_ledger_queue_capacity", "gauge", "The most that may wait.", ledger.queue_capacity),
        ("hearth_ledger_writes_total", "counter", "Transactions written.", ledger.writes),
        (
            "hearth_ledger_handed_back_total",
            "counter",
            "Batches handed back by a full queue, to be written later.",
            ledger.handed_back,
        ),
        (
            "hearth_ledger_sessions_dropped_total",
            "counter",
            "Session records dropped by a full queue.",
            ledger.sessions_dropped,
        ),
        (
            "hearth_ledger_up",
            "gauge",
            "Whether the record can be written.",
            u64::from(ledger.trouble.is_none()),
        ),
    ] {
        out.one(name, kind, help, Some(value as f64));
    }
}

/// The `most` fastest workers, fastest first; equally fast ones by name.
pub(crate) fn fastest(workers: &[Worker], most: usize) -> Vec<&Worker> {
    let mut order: Vec<_> = workers.iter().collect();
    let rate = |worker: &Worker| worker.hashrate.steadiest_ths().unwrap_or(0.0);
    let faster = |a: &&Worker, b: &&Worker| {
        let by_life = (b.connections > 0).cmp(&(a.connections > 0));
        rate(b).total_cmp(&rate(a)).then(by_life).then_with(|| a.name.cmp(&b.name))
    };
    if order.len() > most {
        order.select_nth_unstable_by(most, faster);
        order.truncate(most);
    }
    order.sort_by(faster);
    order
}

fn windows(rate: &Hashrate) -> [(&'static str, Option<f64>); 3] {
    let hashes = |ths: Option<f64>| ths.map(|ths| ths * 1e12);
    [("1m", hashes(rate.m1_ths)), ("10m", hashes(rate.m10_ths)), ("1h", hashes(rate.h1_ths))]
}

/// The text as it grows, and the name of the family that samples are added to.
struct Exposition {
    text: String,
    name: &'static str,
}

impl Exposition {
    /// A family of one sample without labels.
    fn one(&mut self, name: &'static str, kind: &str, help: &str, value: Option<f64>) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: Option<f64>) {
        self.line("", labels, value);
    }

    /// The sum or count of a summary.
    fn suffixed(&mut self, suffix: &str, value: Option<f64>) {
        self.line(suffix, &[], value);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value else { return };
        let name = self.name;
        self.write(format_args!("{name}{suffix}"));
        for (index, (name, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            self.write(format_args!("{before}{name}=\""));
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        match value {
            _ if value.is_nan() => self.write(format_args!("{end} NaN\n")),
            f64::INFINITY => self.write(format_args!("{end} +Inf\n")),
            f64::NEG_INFINITY => self.write(format_args!("{end} -Inf\n")),
            _ => self.write(format_args!("{end} {value}\n")),
        }
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        // A string grows; it never fails.
        let _ = self.text.write_fmt(arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Shares;
    use std::collections::BTreeMap;

    fn worker(name: &str, ths: Option<f64>) -> Worker {
        Worker {
            name: name.into(),
            hashrate: Hashrate { m1_ths: ths, ..Hashrate::default() },
            ..Worker::default()
        }
    }

    #[test]
    fn a_hostile_name_stays_inside_its_label() {
        let shares =
            Shares { rejected: BTreeMap::from([("stale".into(), 3)]), ..Shares::default() };
        let name = "a\"} 1\nhearth_up 0\\";
        let hostile = Worker { shares, ..worker(name, Some(1.5)) };
        let text = render(&Status { workers: vec![hostile], ..Status::default() });
        let escaped = r#"worker="a\"} 1\nhearth_up 0\\""#;
        for line in [
            format!(
                "hearth_worker_hashrate_hashes_per_second{{{escaped},window=\"1m\"}} 1500000000000"
            ),
            format!("hearth_worker_shares_rejected_total{{{escaped},reason=\"stale\"}} 3"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.lines().any(|line| line.starts_with("hearth_up")));
    }

    #[test]
    fn what_is_unknown_has_no_sample() {
        let text = render(&Status::default());
        for name in
            ["hearth_hashrate_hashes_per_second", "hearth_work_height", "hearth_blocks_found_total"]
        {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
            assert!(!text.lines().any(|line| line.starts_with(name)), "{name}");
        }
        assert!(text.contains("\nhearth_work_available 0\n"));
        assert!(text.contains("\nhearth_tip_to_job_seconds_count 0\n"));
    }

    #[test]
    fn every_family_has_help_and_a_type_once_and_counters_end_in_total() {
        let text = render(&Status { workers: vec![worker("a", None)], ..Status::default() });
        let mut seen = std::collections::HashSet::new();
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let words: Vec<_> = line.split(' ').collect();
            assert!(seen.insert(words[2].to_owned()), "{line} twice");
            assert_eq!(words[3] == "counter", words[2].ends_with("_total"), "{line}");
            assert!(text.contains(&format!("# HELP {} ", words[2])), "{line}");
        }
        assert!(seen.len() > 30);
    }

    #[test]
    fn only_the_fastest_of_many_workers_are_shown_and_the_rest_is_counted() {
        let many = (0..MAX_WORKERS + 7).map(|n| worker(&format!("w{n}"), Some(n as f64)));
        let text = render(&Status { workers: many.collect(), ..Status::default() });
        let shown = text.lines().filter(|line| line.starts_with("hearth_worker_connections{"));
        assert_eq!(shown.count(), MAX_WORKERS);
        assert!(text.contains("\nhearth_workers_omitted 7\n"));
        assert!(text.contains("\"w1006\"") && !text.contains("\"w6\""));
    }

    #[test]
    fn numbers_that_are_none_are_written_as_the_format_says() {
        let mut out = Exposition { text: String::new(), name: "x" };
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.001, 5e9] {
            out.sample(&[], Some(value));
        }
        assert_eq!(out.text, "x NaN\nx +Inf\nx -Inf\nx 0.001\nx 5000000000\n");
    }
}
