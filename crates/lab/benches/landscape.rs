//! How fast years of blocks are drawn, beside their limit: one random number for each block.
//!
//! If `MININGSIMULATION` names a program built from github.com/darosior/miningsimulation, it is timed
//! in the same run. It walks from block to block and models propagation; we draw counts and do not, so
//! the time to draw each block's interval and finder is printed as well: what a walk costs at least.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to report")]

use hearth_lab::{
    Progress,
    landscape::{Part, Period, Population, ZipfMandelbrot, simulate},
    luck::BLOCKS_PER_YEAR,
};
use rand::Rng;
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{RngCore, SeedableRng},
};
use rayon::prelude::*;
use std::{
    hint::black_box,
    process::Command,
    time::{Duration, Instant},
};

/// The nine of miningsimulation, in percent.
const NINE: [f64; 9] = [30.0, 29.0, 12.0, 11.0, 8.0, 5.0, 3.0, 1.0, 1.0];
const RUNS: u64 = 32_768;

fn main() {
    let numbers = numbers_per_second();
    println!(
        "random numbers: {:.2e} a second on {} threads",
        numbers,
        rayon::current_num_threads()
    );

    println!("\na year of blocks, limit: one random number a block");
    let zipf = |miners| ZipfMandelbrot::new(1.0, 0.0, miners).unwrap().population().unwrap();
    for (name, population, replicates) in [
        ("1,000,000 Pareto miners", Population::pareto(1_000_000, 2.0).unwrap(), 1000),
        ("1,000,000 Zipf miners", zipf(1_000_000), 1000),
        ("1,000,000 equal miners", Population::equal(1_000_000).unwrap(), 1000),
        ("10,000,000 Pareto miners", Population::pareto(10_000_000, 2.0).unwrap(), 1000),
    ] {
        let time = best_of(3, || draw(&population, replicates)).as_secs_f64();
        let limit = replicates as f64 * BLOCKS_PER_YEAR / numbers;
        println!(
            "{name}, {replicates} replicates: {time:.3} s, limit {limit:.3} s, ratio {:.1}",
            time / limit
        );
    }
    against_a_walk();
}

fn against_a_walk() {
    let rates = NINE.map(|percent| percent / 100.0 * BLOCKS_PER_YEAR).to_vec();
    let population = Population::new(vec![Part::Each(rates)]).unwrap();
    let ours = best_of(3, || draw(&population, RUNS)).as_secs_f64() / RUNS as f64;
    let walk = best_of(1, || walk(256)).as_secs_f64() / 256.0;
    println!("\n9 miners, one-year runs");
    println!("ours, {RUNS} runs: {:.2} us a run", ours * 1e6);
    println!("each block's interval and finder, 256 runs: {:.0} us a run", walk * 1e6);
    let Ok(program) = std::env::var("MININGSIMULATION") else { return };
    let start = Instant::now();
    let said = Command::new(program).output().unwrap();
    let time = start.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let runs: f64 = said.split_whitespace().nth(1).unwrap().parse().unwrap();
    let theirs = time / runs;
    let million = Population::pareto(1_000_000, 2.0).unwrap();
    let per_miner = best_of(1, || draw(&million, 1000)).as_secs_f64() / 1e9;
    println!(
        "miningsimulation, {runs} runs: {:.0} us a run; per run we are {:.0} times as fast, per run \
         and miner (ours of 1,000,000) {:.1e} times",
        theirs * 1e6,
        theirs / ours,
        theirs / 9.0 / per_miner,
    );
}

fn draw(population: &Population, replicates: u64) {
    let progress = Progress::new();
    black_box(simulate(population, &[Period::Year], replicates, 1, &progress).unwrap());
}

/// Intervals and finders, block by block.
fn walk(runs: u64) {
    let found: u64 = (0..runs)
        .into_par_iter()
        .map(|run| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(run);
            let (mut time, mut found) = (0.0, [0u32; 9]);
            while time < BLOCKS_PER_YEAR {
                let interval: f64 = Exp1.sample(&mut random);
                time += interval;
                let mut part = random.random::<f64>() * 100.0;
                let finder = NINE.iter().position(|percent| {
                    part -= percent;
                    part < 0.0
                });
                found[finder.unwrap_or(8)] += 1;
            }
            u64::from(found[0])
        })
        .sum();
    black_box(found);
}

fn numbers_per_second() -> f64 {
    const EACH: u64 = 200_000_000;
    let threads = rayon::current_num_threads() as u64;
    let time = best_of(3, || {
        let mixed: u64 = (0..threads)
            .into_par_iter()
            .map(|thread| {
                let mut random = Xoshiro256PlusPlus::seed_from_u64(thread);
                (0..EACH).fold(0, |mixed, _| mixed ^ random.next_u64())
            })
            .reduce(|| 0, |a, b| a ^ b);
        black_box(mixed);
    });
    (EACH * threads) as f64 / time.as_secs_f64()
}

fn best_of(times: u32, work: impl Fn()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..times).map(time).min().unwrap()
}
