//! The plain page: what a person wants to see first, in one look, on a desk or a phone.
//!
//! Every text that comes from outside goes through maud, which escapes it.

mod energy;
mod fleet;

use crate::{metrics::fastest, text};
use api::{Block, BlockState, Node, Status, Work, WorkKind, Worker};
use maud::{DOCTYPE, Markup, html};
use std::time::{SystemTime, UNIX_EPOCH};

/// Workers in the table: the fastest. The JSON has all.
pub const MAX_WORKERS: usize = 100;
/// Blocks in the table: the latest.
const MAX_BLOCKS: usize = 10;
/// Seconds without a share after which a connected worker is marked.
const SILENT_S: u64 = 300;

pub(crate) const STYLE: &str = include_str!("page/style.css");
pub(crate) const SCRIPT: &str = include_str!("page/refresh.js");
pub(crate) const ICON: &str = include_str!("page/icon.svg");

pub(crate) fn render(status: &Status) -> Markup {
    let rate = status.hashrate;
    let latest = rate.m10_ths.or(rate.m1_ths);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text::hashrate(latest)) " · hearth" }
                link rel="icon" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
                script src="/refresh.js" defer {}
                noscript { meta http-equiv="refresh" content="5"; }
            }
            body {
                header.top {
                    img src="/icon.svg" alt="";
                    h1 { "hearth" }
                    span.stale { "no answer from the server" }
                }
                main {
                    (facts(status))
                    (banners(status))
                    (tiles(status))
                    @if let Some(power) = &status.energy { (energy::energy(power)) }
                    @if let Some(machines) = &status.fleet { (fleet::fleet(machines)) }
                    (workers(status))
                    div.pair { (shares(status)) (nodes(status)) }
                    (blocks(status))
                }
                footer {
                    a href="/api/v1/status" { "JSON" }
                    a href="/metrics" { "Metrics" }
                    span { "hearth " (status.version) }
                }
            }
        }
    }
}

fn facts(status: &Status) -> Markup {
    html! {
        p.facts {
            span.chip { (status.network) }
            span { "up " (text::duration(status.uptime_s)) }
            @if let Some(work) = &status.work { (work_facts(work)) }
            @if let Some(ms) = status.tip_to_job_ms.p50 {
                span { "new block to miners in " (text::milliseconds(Some(ms))) }
            }
        }
    }
}

fn work_facts(work: &Work) -> Markup {
    html! {
        span { "working on block " (text::count(work.height.into())) }
        @match work.kind {
            WorkKind::Empty => { span { "empty until the full template is here" } }
            WorkKind::Full => { span { "" (text::plural(work.transactions, "transaction")) } }
        }
        span { "worth " (text::money(work.coinbase_value_sats)) }
        span { "difficulty " (text::difficulty(Some(work.network_difficulty))) }
    }
}

fn banners(status: &Status) -> Markup {
    html! {
        @if let Some(reason) = &status.waiting {
            div.banner.bad role="alert" { strong { "Miners wait" } p { (reason) } }
        } @else if status.work.is_none() {
            div.banner.warn role="status" {
                strong { "No work yet" }
                p { "Waiting for the first template from the node." }
            }
        }
        @if let Some(trouble) = &status.ledger.trouble {
            div.banner.warn role="alert" {
                strong { "The record cannot be written; sums are kept in memory meanwhile" }
                p { (trouble) }
            }
        }
    }
}

fn tiles(status: &Status) -> Markup {
    let rate = status.hashrate;
    let (accepted, rejected) = (status.shares.accepted, status.shares.rejected_count());
    let online = status.workers.iter().filter(|worker| worker.connections > 0).count() as u64;
    html! {
        section.tiles {
            div.card.lead {
                p.label { "Hashrate" }
                p.value { (text::hashrate(rate.m10_ths.or(rate.m1_ths))) }
                p.note {
                    "1 min " (text::hashrate(rate.m1_ths))
                    " · 10 min " (text::hashrate(rate.m10_ths))
                    " · 1 h " (text::hashrate(rate.h1_ths))
                }
            }
            div.card {
                p.label { "Workers" }
                p.value { (text::count(online)) }
                p.note { (text::plural(status.connections.open, "connection")) }
            }
            div.card {
                p.label { "Best share" }
                p.value { (text::difficulty(status.best_share.ever)) }
                p.note { (text::difficulty(status.best_share.since_block)) " since the last block" }
            }
            div.card {
                p.label { "Blocks" }
                p.value { (status.blocks_found.map_or(text::UNKNOWN.into(), text::count)) }
                p.note { (text::share_of(accepted, accepted + rejected)) " shares good" }
            }
        }
    }
}

fn workers(status: &Status) -> Markup {
    let shown = fastest(&status.workers, MAX_WORKERS);
    let omitted = status.workers.len() - shown.len();
    html! {
        section.card {
            h2 {
                "Workers"
                @if omitted > 0 {
                    small { "the fastest " (shown.len()) "; " (text::count(omitted as u64)) " more in the JSON" }
                }
            }
            @if shown.is_empty() {
                p.empty { "No miner has come yet. Point one at this machine's Stratum port, with your address as user name." }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th { "Worker" }
                        th.n { "Hashrate" }
                        th.n.wide { "Over 1 h" }
                        th.n { "Shares" }
                        th.n.wide { "Rejected" }
                        th.n.wide { "Difficulty" }
                        th.n.wide { "Best" }
                        th.n { "Last share" }
                    } }
                    tbody { @for worker in shown { (row(worker)) } }
                } }
            }
        }
    }
}

fn row(worker: &Worker) -> Markup {
    let (label, address) = names(worker);
    let rate = worker.hashrate;
    let rejected = worker.shares.rejected_count();
    let silent = worker.connections > 0 && worker.last_share_s_ago.is_some_and(|s| s > SILENT_S);
    html! {
        tr.away[worker.connections == 0] {
            td.name title=(worker.name) {
                strong { (label) }
                @if worker.connections == 0 { " " span.chip { "offline" } }
                @if worker.connections > 1 { " " span.chip { "× " (worker.connections) } }
                small {
                    @if let Some(address) = address { span.mono { (address) } " " }
                    @if let Some(agent) = &worker.user_agent { (text::shortened(agent, 40, 0)) }
                }
            }
            td.n { (text::hashrate(rate.m10_ths.or(rate.m1_ths))) }
            td.n.wide { (text::hashrate(rate.h1_ths)) }
            td.n { (text::count(worker.shares.accepted)) }
            td.n.wide.bad-text[rejected * 50 > worker.shares.accepted] {
                (text::share_of(rejected, worker.shares.accepted + rejected))
            }
            td.n.wide { (text::difficulty(worker.difficulty)) }
            td.n.wide { (text::difficulty(worker.best_share.ever)) }
            td.n.bad-text[silent] {
                @match worker.last_share_s_ago {
                    Some(ago) => { (text::duration(ago)) },
                    None => { (text::UNKNOWN) },
                }
            }
        }
    }
}

/// What tells the worker from others, and its address when that is something else.
fn names(worker: &Worker) -> (String, Option<String>) {
    let address = text::shortened(&worker.address, 8, 6);
    let own = worker.name.strip_prefix(&worker.address).and_then(|rest| rest.strip_prefix('.'));
    match own {
        Some(own) if !own.is_empty() => (text::shortened(own, 48, 0), Some(address)),
        _ if worker.name == worker.address => (address, None),
        _ if worker.name.is_empty() => ("(no name)".into(), Some(address)),
        _ => (text::shortened(&worker.name, 48, 0), Some(address)),
    }
}

fn shares(status: &Status) -> Markup {
    let shares = &status.shares;
    let all = shares.accepted + shares.rejected_count();
    let mut rejected: Vec<_> = shares.rejected.iter().filter(|(_, count)| **count > 0).collect();
    rejected.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let line = |name: &str, count: u64, kind: &str| {
        let part = count as f64 / all.max(1) as f64 * 100.0;
        // Whatever happened at all can be seen.
        let width = if count > 0 { part.max(0.7) } else { 0.0 };
        html! {
            span { (name) }
            svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
                rect class=(kind) width=(width) height="4" {}
            }
            span.n { (text::count(count)) }
            span.n.note { (text::share_of(count, all)) }
        }
    };
    html! {
        section.card {
            h2 { "Shares by result" small { "since the start" } }
            div.results {
                (line("accepted", shares.accepted, "fill-good"))
                @for (reason, count) in rejected { (line(&text::words(reason), *count, "fill-bad")) }
            }
        }
    }
}

fn nodes(status: &Status) -> Markup {
    html! {
        section.card {
            h2 { @if status.nodes.len() == 1 { "Node" } @else { "Nodes" } }
            @for node in &status.nodes { (one_node(node)) }
            @if status.nodes.is_empty() { p.empty { "None is configured." } }
        }
    }
}

fn one_node(node: &Node) -> Markup {
    let (tone, message) = match &*node.state {
        "up" => ("chip good", "note"),
        "connecting" | "syncing" | "warming_up" => ("chip warn", "note warn-text"),
        _ => ("chip bad", "note bad-text"),
    };
    html! {
        div.node {
            div.head {
                strong.mono { (node.url) }
                span class=(tone) { (text::words(&node.state)) }
                @if node.active { span.chip { "in use" } }
            }
            p.note {
                @if let Some(height) = node.height { "block " (text::count(height.into())) }
                @if let Some(version) = &node.version {
                    @if node.height.is_some() { " · " }
                    (version.trim_matches('/'))
                }
                @if let Some(offset) = node.clock_offset_s.filter(|offset| offset.abs() >= 2.0) {
                    " · clock " (format!("{offset:+.0} s"))
                }
            }
            @if let Some(said) = &node.message { p class=(message) { (said) } }
        }
    }
}

fn blocks(status: &Status) -> Markup {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let row = |block: &Block| {
        let (label, _) = names(&Worker {
            name: block.worker.clone(),
            address: block.address.clone(),
            ..Worker::default()
        });
        html! {
            tr {
                td {
                    (text::count(block.height.into()))
                    small.mono title=(block.hash) { (ending(&block.hash)) }
                }
                td { span class=(tone(block.state)) title=[&block.reject_reason] { (block.state) }
                    @if let Some(reason) = &block.reject_reason { small { (reason) } }
                }
                td.name title=(block.worker) { (label) }
                td.n.wide { (text::count(block.confirmations.into())) }
                td.n.roomy title=(format!("{} sats", text::count(block.value_sats))) { (text::money(block.value_sats)) }
                td.n { (text::duration(now.saturating_sub(block.found_at))) }
            }
        }
    };
    html! {
        section.card.blocks {
            h2 {
                "Last blocks"
                @if status.blocks.len() > MAX_BLOCKS { small { "the latest " (MAX_BLOCKS) } }
            }
            @if status.blocks.is_empty() {
                p.empty { "None yet. Every share is a ticket." }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th { "Height" }
                        th { "State" }
                        th { "Found by" }
                        th.n.wide { "Confirmations" }
                        th.n.roomy { "Value" }
                        th.n { "Ago" }
                    } }
                    tbody { @for block in status.blocks.iter().take(MAX_BLOCKS) { (row(block)) } }
                } }
            }
        }
    }
}

/// A block's hash begins with zeros; its end tells it from others.
fn ending(hash: &str) -> String {
    text::shortened(hash, 0, 10)
}

fn tone(state: BlockState) -> &'static str {
    match state {
        BlockState::Confirmed => "chip good",
        BlockState::Candidate | BlockState::Pending => "chip warn",
        BlockState::Orphaned | BlockState::Rejected => "chip bad",
    }
}
