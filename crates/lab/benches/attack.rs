//! The attack map of 100 x 100 points x 10,000 games, beside its limit: the time the same machine
//! needs only to draw the random numbers that these games use.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to report")]

use hearth_lab::{
    Progress,
    attack::{
        chance::stream,
        input::Share,
        map::{Plan, map},
        race::Race,
        walk::Walk,
    },
};
use rand::RngCore;
use rayon::prelude::*;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const TARGET: Duration = Duration::from_secs(10);

fn main() {
    let threads = rayon::current_num_threads();
    let plan = Plan::standard().unwrap();
    let (map, took) = timed(|| map(&plan, &Progress::new()).unwrap());
    let games = map.points.iter().map(|p| p.seen.samples).sum::<u64>();
    let numbers = numbers_per_game(&plan) * games as f64;
    let rate = numbers_per_second(threads);
    let limit = numbers / rate;
    println!("attack map on {threads} threads: {} points, {games} games", map.points.len());
    println!("took             {:.2} s (target {:.0} s)", took.as_secs_f64(), TARGET.as_secs_f64());
    println!("games            {:.1} million/s", games as f64 / took.as_secs_f64() / 1e6);
    println!("random numbers   {:.2} a game", numbers / games as f64);
    println!("limit            {limit:.2} s to draw them alone, at {:.0} million/s", rate / 1e6);
    println!("of the limit     {:.0} %", 100.0 * limit / took.as_secs_f64());
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Counted in a hundredth of the games.
fn numbers_per_game(plan: &Plan) -> f64 {
    struct Counting<R>(R, u64);
    impl<R: RngCore> RngCore for Counting<R> {
        fn next_u32(&mut self) -> u32 {
            self.next_u64() as u32
        }
        fn next_u64(&mut self) -> u64 {
            self.1 += 1;
            self.0.next_u64()
        }
        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            self.0.fill_bytes(bytes);
        }
    }
    let (first, last) = (plan.shares.0.get(), plan.shares.1.get());
    let columns: Vec<f64> =
        (0..plan.columns).map(|i| first + (last - first) * i as f64 / 99.0).collect();
    let games = plan.games / 100;
    let numbers: u64 = columns
        .par_iter()
        .map(|&share| {
            let walk = Walk::new(&Race::alone(Share::new("share", share).unwrap()));
            let mut random = Counting(stream(2, 0), 0);
            for k in 1..=plan.rows as u32 {
                for _ in 0..games {
                    black_box(walk.play(k, &mut random));
                }
            }
            random.1
        })
        .sum();
    numbers as f64 / (plan.columns * plan.rows * games) as f64
}

fn numbers_per_second(threads: usize) -> f64 {
    const EACH: u64 = 1 << 29;
    let (_, took) = timed(|| {
        (0..threads as u64).into_par_iter().for_each(|thread| {
            let mut random = stream(3, thread);
            black_box((0..EACH).fold(0, |sum: u64, _| sum ^ random.next_u64()));
        });
    });
    (EACH * threads as u64) as f64 / took.as_secs_f64()
}
