//! Random numbers that do not depend on the number of threads: one stream per replicate.

use rand_xoshiro::{
    SplitMix64, Xoshiro256PlusPlus,
    rand_core::{RngCore, SeedableRng},
};

/// The stream of this replicate under this seed.
pub fn stream(seed: u64, replicate: u64) -> Xoshiro256PlusPlus {
    let mix = |n| SplitMix64::seed_from_u64(n).next_u64();
    Xoshiro256PlusPlus::seed_from_u64(mix(seed) ^ mix(!replicate))
}
