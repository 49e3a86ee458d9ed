//! What one share and one notify cost without sockets.
//!
//! The limits: a share with 12 merkle branches takes 3 compressions of SHA-256 for the coinbase (its
//! beginning kept), 36 for the branches and 3 for the header; a notify is one copy of its bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to report")]

use bitcoin::{BlockHash, CompactTarget, Target, hashes::Hash};
use chain::Template;
use divan::{Bencher, black_box, counter::ItemsCount};
use hearth_stratum::{
    Config, Port,
    dry::Dry,
    hash,
    wire::{Request, Submit},
};
use std::{sync::Arc, time::Instant};
use units::Sats;

const NOW: u64 = 1_900_000_000;
const BRANCHES: u8 = 12;

fn main() {
    divan::main();
}

#[divan::bench]
fn limit_42_compressions(bencher: Bencher<'_, '_>) {
    let branch = vec![[7u8; 32]; usize::from(BRANCHES)];
    bencher.bench_local(|| {
        // Two blocks and the second hash for the coinbase's end, then the branches and the header.
        let leaf = hash::sha256d(black_box(&[1u8; 111]));
        let root = hash::merkle_root(leaf, black_box(&branch));
        let mut header = [0; 80];
        header[36..68].copy_from_slice(&root);
        hash::header_hash(black_box(&header))
    });
}

#[divan::bench]
fn parse_a_submit(bencher: Bencher<'_, '_>) {
    let line = submit(17, 5);
    bencher.bench_local(|| {
        let request = Request::parse(black_box(line.as_bytes())).unwrap();
        Submit::parse(request.params).unwrap().nonce
    });
}

#[divan::bench(args = [1, 64])]
fn check_a_share_with_12_branches(bencher: Bencher<'_, '_>, depth: u64) {
    let mut dry = server();
    let key = miner(&mut dry, 0);
    let mut next = 0;
    bencher
        .counter(ItemsCount::new(depth))
        .with_inputs(|| {
            next += depth;
            (next..next + depth).map(|i| submit(i, i)).collect::<String>()
        })
        .bench_local_refs(|lines| {
            let answers = dry.receive(key, lines.as_bytes());
            assert!(answers.starts_with(b"{\"id\":") && answers.ends_with(b"\"error\":null}\n"));
        });
}

#[divan::bench]
fn check_a_share_while_1000_other_machines_are_steered(bencher: Bencher<'_, '_>) {
    let mut dry = server();
    let key = miner(&mut dry, 0);
    dry.steer_strangers(1000);
    let mut next = 0;
    bencher
        .with_inputs(|| {
            next += 1;
            submit(next, next)
        })
        .bench_local_refs(|line| {
            assert!(dry.receive(key, line.as_bytes()).ends_with(b"\"error\":null}\n"));
        });
}

#[divan::bench(args = [1000])]
fn build_a_job_and_fan_it_out(bencher: Bencher<'_, '_>, miners: usize) {
    let mut dry = server();
    (0..miners).for_each(|i| {
        miner(&mut dry, i);
    });
    let template = Arc::new(template());
    bencher.counter(ItemsCount::new(miners)).bench_local(|| {
        dry.job(template.clone(), true);
        assert!(dry.announce() > 1000 * miners);
    });
}

fn server() -> Dry {
    // Every hash is a share, so that what is measured is the checking, not the luck.
    let port = Port {
        start_difficulty: 1e-12,
        min_difficulty: 1e-12,
        fractional: true,
        vardiff: false,
        ..Port::default()
    };
    let config = Config { ports: vec![port], network: chain::Network::Signet, ..Config::default() };
    let mut dry = Dry::new(config, NOW);
    dry.job(Arc::new(template()), true);
    dry
}

fn miner(dry: &mut Dry, number: usize) -> usize {
    let key = dry.connect();
    let hello = format!(
        "{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"bench\"]}}\n\
         {{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx.w{number}\",\"x\"]}}\n"
    );
    assert!(dry.receive(key, hello.as_bytes()).ends_with(b"true]}\n"));
    key
}

fn submit(extranonce2: u64, nonce: u64) -> String {
    format!(
        "{{\"id\":{nonce},\"method\":\"mining.submit\",\"params\":[\"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx.w0\",\"100\",\"{extranonce2:016x}\",\"{NOW:08x}\",\"{:08x}\"]}}\n",
        nonce as u32
    )
}

fn template() -> Template {
    let bits = CompactTarget::from_consensus(0x1702_f128);
    Template {
        height: 900_000,
        prev_hash: BlockHash::from_byte_array([9; 32]),
        version: 0x2000_0000,
        bits,
        target: Target::from_compact(bits),
        min_time: NOW as u32 - 600,
        time: NOW as u32,
        coinbase_value: Sats(312_500_000),
        witness_commitment: Some([&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &[7; 32]].concat()),
        merkle_branch: (0..BRANCHES).map(|i| [i + 1; 32]).collect(),
        transactions: Vec::new(),
        transaction_count: 2500,
        learned: Instant::now(),
    }
}
