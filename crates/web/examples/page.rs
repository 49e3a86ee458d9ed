//! Serves the page with made-up data, to look at it: `cargo run -p hearth-web --example page`.
//! An argument is the address to listen on; a second one, `waiting`, shows trouble.

use api::{
    BestShare, Block, BlockState, Connections, Hashrate, Latency, Ledger, Node, Shares, Status,
    Work, WorkKind, Worker, energy,
};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(&address).await?;
    println!("http://{}", listener.local_addr()?);
    let mut status = made_up();
    if arguments.next().as_deref() == Some("waiting") {
        in_trouble(&mut status);
    }
    let status = Arc::new(status);
    let source = hearth_web::Source::new(move || std::future::ready(status.clone()));
    hearth_web::serve(listener, source, Default::default(), std::future::pending()).await
}

fn made_up() -> Status {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mine = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    let theirs = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    let workers = vec![
        worker(mine, "living-room", 12.4, 18_204, 3, "braiins-os/24.12", 1),
        worker(mine, "garage.s19", 104.0, 151_377, 12, "bmminer/2.0.0 (Antminer S19 XP)", 2),
        worker(mine, "bitaxe", 1.21, 8_730, 0, "bitaxe/BM1370/v2.9.0", 4),
        worker(theirs, "sauna", 26.8, 40_551, 1_420, "cgminer/4.12.1", 12),
        worker(theirs, "attic <b>\"old\"</b>", 0.0, 311, 40, "cpuminer/2.5.1", 4_000),
        Worker { name: theirs.into(), ..worker(theirs, "", 3.3, 5_120, 2, "NerdQAxe+", 400) },
    ];
    let block = |height, state, confirmations, worker: &str, ago| Block {
        hash: format!("0000000000000000000{:045x}", u128::from(height) * 0x9e37_79b9_7f4a_7c15),
        height,
        worker: format!("{mine}.{worker}"),
        address: mine.into(),
        value_sats: 312_500_000 + u64::from(height) * 7,
        found_at: now.saturating_sub(ago),
        state,
        confirmations,
        reject_reason: (state == BlockState::Rejected).then(|| "inconclusive".into()),
    };
    Status {
        version: "0.1.0".into(),
        network: "mainnet".into(),
        started_at: now - 187_200,
        uptime_s: 187_200,
        nodes: vec![
            Node {
                url: "http://127.0.0.1:8332".into(),
                active: true,
                state: "up".into(),
                height: Some(957_123),
                version: Some("/Satoshi:31.0.0/".into()),
                clock_offset_s: Some(0.2),
                message: None,
            },
            Node {
                url: "http://192.168.1.20:8332".into(),
                state: "syncing".into(),
                height: Some(912_004),
                version: Some("/Satoshi:30.1.0/".into()),
                clock_offset_s: Some(-4.0),
                message: Some(
                    "The node is still syncing (94.1 %); it is used when it is done.".into(),
                ),
                active: false,
            },
        ],
        work: Some(Work {
            height: 957_124,
            prev_hash: format!("{}{}", "0".repeat(20), "5b".repeat(22)),
            kind: WorkKind::Full,
            transactions: 2_871,
            coinbase_value_sats: 314_883_120,
            age_s: 12,
            network_difficulty: 149.3e12,
        }),
        waiting: None,
        tip_to_job_ms: Latency {
            last: Some(1.4),
            p50: Some(1.6),
            p99: Some(4.2),
            sum: 530.0,
            count: 320,
        },
        connections: Connections { open: 7, peak: 9, authorized: 6, ..Connections::default() },
        hashrate: Hashrate { m1_ths: Some(151.2), m10_ths: Some(147.7), h1_ths: Some(146.9) },
        shares: Shares {
            accepted: 224_293,
            work_hashes: 2.7e19,
            rejected: [
                ("stale", 1_204),
                ("duplicate", 211),
                ("low_difficulty", 57),
                ("bad_version_bits", 5),
            ]
            .map(|(reason, count)| (reason.into(), count))
            .into(),
        },
        best_share: BestShare { ever: Some(2.31e12), since_block: Some(8.4e11) },
        workers,
        blocks: vec![
            block(957_101, BlockState::Candidate, 3, "garage.s19", 4_100),
            block(951_877, BlockState::Confirmed, 5_247, "living-room", 3_200_000),
            block(948_310, BlockState::Orphaned, 0, "garage.s19", 5_400_000),
            block(940_002, BlockState::Rejected, 0, "bitaxe", 10_400_000),
        ],
        blocks_found: Some(4),
        ledger: Ledger { queue_capacity: 65_536, writes: 120_331, ..Ledger::default() },
        fleet: None,
        energy: Some(power(now)),
    }
}

fn power(now: u64) -> energy::Energy {
    let signal = |name: &str, value, unit: &str, quality: &str, on_loss: &str| energy::Signal {
        name: name.into(),
        value,
        unit: unit.into(),
        age_s: value.map(|_| 1.0),
        quality: quality.into(),
        on_loss: on_loss.into(),
    };
    let step = |i: u64, price, power_w, why: &str| energy::PlanStep {
        starts_at: now + i * 900,
        lasts_s: 900,
        price_usd_per_kwh: Some(price),
        power_w,
        why: why.into(),
        ..energy::PlanStep::default()
    };
    energy::Energy {
        site: "home".into(),
        why: "the grid operator's call \"evening peak\" allows 1.5 kW until 19:00".into(),
        mode: "demand_response".into(),
        target_w: Some(1500.0),
        set_w: Some(1480.0),
        drawn_w: Some(1512.0),
        net_w: Some(2140.0),
        shortfall_w: None,
        price_usd_per_kwh: Some(0.231),
        hash_usd_per_kwh: Some(0.087),
        signals: vec![
            signal("net power", Some(2140.0), "W", "fresh", "the last set-points stay"),
            signal("frequency", None, "Hz", "lost", "droop stops where it stands for ten minutes"),
        ],
        loads: Vec::new(),
        heat: vec![energy::Zone {
            name: "living room".into(),
            kind: "room".into(),
            temperature_c: Some(20.6),
            set_c: 21.0,
            asks_w: Some(2100.0),
            ..energy::Zone::default()
        }],
        offer: Some(energy::Offer {
            own_w: 2740.0,
            lowest_w: 640.0,
            lowest_s: Some(1500),
            highest_w: 3800.0,
            highest_s: Some(5400),
        }),
        events: vec![energy::Event {
            id: "evening peak".into(),
            starts_at: now - 600,
            ends_at: Some(now + 3000),
            limit_w: Some(1500.0),
            state: "running".into(),
        }],
        plan: Some(energy::Plan {
            made_at: now,
            took_ms: 12.0,
            cost_usd: 1.94,
            bound_usd: Some(1.91),
            steps: vec![
                step(0, 0.231, 1500.0, "the call binds"),
                step(1, 0.112, 3300.0, "the room wants heat; it costs 0.02 $"),
            ],
        }),
        evidence: None,
        warnings: vec!["the frequency meter does not answer: droop is off".into()],
    }
}

fn worker(
    address: &str,
    name: &str,
    ths: f64,
    accepted: u64,
    rejected: u64,
    agent: &str,
    last: u64,
) -> Worker {
    let online = ths > 0.0;
    Worker {
        name: format!("{address}.{name}"),
        address: address.into(),
        hashrate: Hashrate {
            m1_ths: Some(ths * 1.03),
            m10_ths: Some(ths),
            h1_ths: Some(ths * 0.98),
        },
        difficulty: online.then(|| (ths * 700.0).log2().round().exp2()),
        connections: u64::from(online) + u64::from(name == "garage.s19"),
        shares: Shares {
            accepted,
            work_hashes: accepted as f64 * 4e12,
            rejected: [("stale".to_string(), rejected)].into(),
        },
        best_share: BestShare { ever: Some(ths.mul_add(2.2e10, 5e6)), since_block: None },
        last_share_s_ago: Some(last),
        user_agent: Some(agent.into()),
    }
}

fn in_trouble(status: &mut Status) {
    status.work = None;
    status.waiting = Some(
        "The node at http://127.0.0.1:8332 does not answer (connection refused); start Bitcoin \
         Core or correct the url in hearth.toml."
            .into(),
    );
    status.nodes[0].state = "unreachable".into();
    status.nodes[0].height = None;
    status.nodes[0].message = Some("Connection refused.".into());
    status.ledger.trouble = Some(
        "the disk that holds the ledger /var/lib/hearth/ledger.db is full; free some space".into(),
    );
}
