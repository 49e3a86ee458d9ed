//! Who finds blocks: how many miners expect one a year, a month, a day under a distribution of
//! hashrate, and how many really find one.
//!
//! It owns laws of hashrate, what they expect in closed form, and a year of blocks as a simulation.
//! Difficulty and hashrate stand still here: what their growth does is `stagnation`'s.

mod claim;
mod claim_report;
mod drawn;
mod law;
mod listed;
mod population;
mod report;
mod simulate;
mod sizes;
mod tiers;
mod zipf;

pub use claim::{Claim, Verdict, judge};
pub use claim_report::claim_report;
pub use drawn::{Drawn, draw_pareto};
pub use law::{Law, Reading};
pub use listed::Listed;
pub use population::{Part, Period, Population, Tier, TierSum};
pub use report::{Run, report};
pub use simulate::{Band, Luck, simulate};
pub use sizes::Network;
pub use tiers::Tiers;
pub use zipf::{Fit, ZipfMandelbrot, search};
