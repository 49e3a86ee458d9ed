//! Transactions that the own template had and a block has not: a ledger with a sequential test for
//! each pool and transaction.
//!
//! A pool that is merely late misses few; one that excludes, misses the same transaction block after
//! block. The test is Wald's likelihood ratio of "never takes it" against "misses by chance". It never
//! asks why.

use crate::{
    LabError,
    report::{Cell, Column, Input, Source, Table},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};
use units::Sats;

/// Odds at which a suspicion is named: one in a thousand honest pools would look so.
const ERROR: f64 = 1e-3;
/// A margin of a quarter above the block's cheapest counts in full.
const FULL_MARGIN: f64 = 0.25;
/// A block this full, in weight units, may leave out what pays too little.
const FULL_BLOCK: u64 = 3_900_000;
/// Most entries kept; those with the least evidence go first.
const MAX_ENTRIES: usize = 20_000;
/// Lines of the table.
const LINES: usize = 20;

/// A transaction of the own template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnTransaction {
    /// In the order that is hashed.
    pub id: [u8; 32],
    /// Paid.
    pub fee: Sats,
    /// Weight units.
    pub weight: u64,
    /// How long it has been in the own templates.
    pub age: Duration,
    /// It spends another one of the template: missing the parent explains missing it.
    pub has_parents: bool,
}

/// The own node's template just before a block came.
pub type OwnTemplate = [OwnTransaction];

/// A block of the best chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBlock {
    /// Who signed it.
    pub pool: String,
    /// All transactions but the coinbase, in the order that is hashed.
    pub transactions: HashSet<[u8; 32]>,
    /// Weight units of the whole.
    pub weight: u64,
}

/// What one pool did with one transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Blocks that could have had it and had it not.
    pub misses: u32,
    /// Logarithm of the likelihood ratio.
    pub log_likelihood: f64,
    /// sat/vB.
    pub feerate: f64,
}

/// What one block showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// Transactions of the own template that it could have had.
    pub eligible: usize,
    /// Those it had not.
    pub missed: usize,
    /// Transactions that the own template had not.
    pub foreign: usize,
}

/// The ledger.
#[derive(Debug)]
pub struct Missing {
    miss_rate: f64,
    settle: Duration,
    entries: HashMap<(String, [u8; 32]), Evidence>,
    pools: BTreeMap<String, Tally>,
}

/// Of one pool.
#[derive(Debug, Default)]
struct Tally {
    blocks: u64,
    empty: u64,
    eligible: u64,
    missed: u64,
    foreign: u64,
    /// Transactions it was tested on in all its blocks, hits included: the longer one looks, the
    /// more are missed by chance.
    tested: u64,
}

impl Missing {
    /// `miss_rate`: how often an honest pool lacks a transaction that the own template has; `settle`:
    /// the age at which a transaction's absence weighs 63 %.
    ///
    /// # Errors
    /// A rate outside 0 to 1, no time to settle.
    pub fn new(miss_rate: f64, settle: Duration) -> Result<Self, LabError> {
        if !(miss_rate > 0.0 && miss_rate < 1.0) {
            return Err(LabError::new(format!(
                "the miss rate is {} %: give more than 0 and less than 100",
                100.0 * miss_rate
            )));
        }
        if settle.is_zero() {
            return Err(LabError::new("transactions need time to travel: give 1s or more"));
        }
        Ok(Self { miss_rate, settle, entries: HashMap::new(), pools: BTreeMap::new() })
    }

    /// What a full miss adds to the log-likelihood ratio: ln(1 / miss rate), 2.99 at 5 %.
    pub fn step(&self) -> f64 {
        -self.miss_rate.ln()
    }

    /// The ratio at which a pool is named that was tested on so many transactions: ln(1000), and
    /// ln of their number because among many some are missed by chance.
    pub fn limit(tested: u64) -> f64 {
        -ERROR.ln() + (tested.max(1) as f64).ln()
    }

    /// Compares a block with the own template before it.
    pub fn block(&mut self, block: &FoundBlock, own: &OwnTemplate) -> Trial {
        let (step, floor) = (self.step(), floor(block, own));
        let known: HashSet<[u8; 32]> = own.iter().map(|t| t.id).collect();
        let foreign = block.transactions.difference(&known).count();
        let tally = self.pools.entry(block.pool.clone()).or_default();
        tally.blocks += 1;
        if block.transactions.is_empty() {
            // Work on a new tip before its transactions were known: no choice was made.
            tally.empty += 1;
            return Trial { eligible: 0, missed: 0, foreign: 0 };
        }
        let mut trial = Trial { eligible: 0, missed: 0, foreign };
        // Whose row of misses begins here, or might have.
        let mut new = 0;
        for transaction in own.iter().filter(|t| !t.has_parents) {
            let key = (block.pool.clone(), transaction.id);
            if block.transactions.contains(&transaction.id) {
                trial.eligible += 1;
                new += u64::from(!self.entries.contains_key(&key));
                // Who takes it does not exclude it.
                self.entries.remove(&key);
                continue;
            }
            let weight = weigh(transaction, floor, self.settle);
            if weight <= 0.0 {
                continue;
            }
            trial.eligible += 1;
            trial.missed += 1;
            new += u64::from(!self.entries.contains_key(&key));
            let evidence = self.entries.entry(key).or_insert(Evidence {
                misses: 0,
                log_likelihood: 0.0,
                feerate: transaction.feerate(),
            });
            evidence.misses += 1;
            evidence.log_likelihood += weight * step;
        }
        tally.eligible += trial.eligible as u64;
        tally.missed += trial.missed as u64;
        tally.foreign += trial.foreign as u64;
        tally.tested += new;
        self.shrink();
        trial
    }

    /// Blocks compared so far.
    pub fn blocks(&self) -> u64 {
        self.pools.values().map(|t| t.blocks).sum()
    }

    /// What a pool did with a transaction; `None` if it never missed it, or took it since.
    pub fn evidence(&self, pool: &str, id: [u8; 32]) -> Option<Evidence> {
        self.entries.get(&(pool.to_owned(), id)).copied()
    }

    fn shrink(&mut self) {
        if self.entries.len() <= MAX_ENTRIES {
            return;
        }
        let mut ratios: Vec<f64> = self.entries.values().map(|e| e.log_likelihood).collect();
        ratios.sort_by(f64::total_cmp);
        let least = ratios.get(ratios.len() - MAX_ENTRIES / 2).copied().unwrap_or_default();
        self.entries.retain(|_, e| e.log_likelihood > least);
    }

    fn ranked(&self) -> Vec<(&str, [u8; 32], Evidence)> {
        let mut list: Vec<_> =
            self.entries.iter().map(|((pool, id), e)| (pool.as_str(), *id, *e)).collect();
        list.sort_by(|a, b| {
            b.2.log_likelihood
                .total_cmp(&a.2.log_likelihood)
                .then_with(|| (a.0, a.1).cmp(&(b.0, b.1)))
        });
        list
    }

    /// What the ledger says, as tables to stand beside the observer's, and one sentence.
    pub fn tables(&self) -> (String, Vec<Table>, Vec<Input>) {
        let ranked = self.ranked();
        let mut blocks = Table::new(
            "blocks",
            "New blocks against the own node's template before them",
            [
                Column::new("pool", "signed as"),
                Column::new("blocks", "blocks"),
                Column::new("empty_blocks", "empty"),
                Column::new("eligible", "could have had"),
                Column::new("missed", "had not"),
                Column::new("foreign", "had, unknown to us"),
                Column::new("log_likelihood", "strongest evidence, ln"),
                Column::new("limit", "named from, ln"),
                Column::new("verdict", "verdict"),
            ],
        );
        let mut named = Vec::new();
        for (pool, tally) in &self.pools {
            let strongest =
                ranked.iter().find(|(p, ..)| p == pool).map_or(0.0, |(.., e)| e.log_likelihood);
            let limit = Self::limit(tally.tested);
            let excludes = strongest >= limit;
            if excludes {
                named.push(pool.as_str());
            }
            blocks.row([
                pool.clone().into(),
                Cell::Count(tally.blocks),
                Cell::Count(tally.empty),
                Cell::Count(tally.eligible),
                Cell::Count(tally.missed),
                Cell::Count(tally.foreign),
                Cell::Number(strongest, 2),
                Cell::Number(limit, 2),
                if excludes { "leaves something out" } else { "nothing to see" }.into(),
            ]);
        }
        let mut missing = Table::new(
            "missing",
            "Transactions left out although they pay enough, the most suspicious first",
            [
                Column::new("txid", "transaction"),
                Column::new("pool", "left out by"),
                Column::new("misses", "times"),
                Column::new("feerate_sat_per_vb", "sat/vB"),
                Column::new("log_likelihood", "evidence, ln"),
            ],
        );
        for (pool, id, evidence) in ranked.iter().take(LINES) {
            missing.row([
                super::watch::hex_reversed(id).into(),
                (*pool).into(),
                Cell::Count(evidence.misses.into()),
                Cell::Number(evidence.feerate, 1),
                Cell::Number(evidence.log_likelihood, 2),
            ]);
        }
        let sentence = match (self.blocks(), named.as_slice()) {
            (0, _) => {
                "No block was found meanwhile: nothing to compare with the own template.".into()
            }
            (n, []) => format!(
                "{n} blocks were compared with the own node's template: nobody leaves anything out \
                 with enough evidence."
            ),
            (n, names) => format!(
                "{n} blocks were compared with the own node's template: ALARM, {} leave transactions \
                 out again and again.",
                names.join(", ")
            ),
        };
        let default = |name, value, origin| Input {
            name,
            value,
            source: Source::Default { origin, date: "2026" },
        };
        let inputs = vec![
            default(
                "honest_miss_rate_pct",
                Cell::Number(100.0 * self.miss_rate, 1),
                "assumption of the test",
            ),
            default(
                "settle_s",
                Cell::Number(self.settle.as_secs_f64(), 0),
                "own choice: a young transaction may not have arrived",
            ),
        ];
        (sentence, vec![blocks, missing], inputs)
    }
}

impl OwnTransaction {
    /// sat/vB.
    pub fn feerate(&self) -> f64 {
        self.fee.0 as f64 * 4.0 / self.weight.max(1) as f64
    }
}

/// The cheapest feerate that bought a place, sat/vB: none in a block with room to spare.
fn floor(block: &FoundBlock, own: &OwnTemplate) -> f64 {
    if block.weight < FULL_BLOCK {
        return 0.0;
    }
    own.iter()
        .filter(|t| !t.has_parents && block.transactions.contains(&t.id))
        .map(OwnTransaction::feerate)
        .reduce(f64::min)
        .unwrap_or(f64::INFINITY)
}

/// How much an absence weighs: by age, 1 - exp(-age / settle); by how far the feerate is above the
/// floor, in full from a quarter above it.
fn weigh(transaction: &OwnTransaction, floor: f64, settle: Duration) -> f64 {
    let age = 1.0 - (-transaction.age.as_secs_f64() / settle.as_secs_f64()).exp();
    let margin = if floor > 0.0 { transaction.feerate() / floor - 1.0 } else { FULL_MARGIN };
    age * (margin / FULL_MARGIN).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(60);

    fn transaction(id: u8, sats: u64, age: u64) -> OwnTransaction {
        OwnTransaction {
            id: [id; 32],
            fee: Sats(sats),
            weight: 400,
            age: Duration::from_secs(age),
            has_parents: false,
        }
    }

    fn block(pool: &str, ids: &[u8], weight: u64) -> FoundBlock {
        let transactions = ids.iter().map(|id| [*id; 32]).collect();
        FoundBlock { pool: pool.into(), transactions, weight }
    }

    #[test]
    fn each_full_miss_adds_2_99_and_three_reach_one_in_a_thousand() {
        let mut ledger = Missing::new(0.05, SETTLE).unwrap();
        assert_eq!(format!("{:.4}", ledger.step()), "2.9957");
        // An hour old: the whole weight.
        let own = [transaction(1, 1000, 3600)];
        for (misses, reached) in [(1, false), (2, false), (3, true)] {
            ledger.block(&block("p", &[9], 4_000), &own);
            let evidence = ledger.evidence("p", [1; 32]).unwrap();
            assert_eq!(evidence.misses, misses);
            assert!((evidence.log_likelihood - f64::from(misses) * 2.9957).abs() < 1e-3);
            assert_eq!(evidence.log_likelihood >= Missing::limit(1), reached, "{misses}");
        }
        assert_eq!(format!("{:.4}", Missing::limit(1)), "6.9078");
        let (sentence, ..) = ledger.tables();
        assert!(sentence.contains("ALARM, p leave"), "{sentence}");
    }

    #[test]
    fn who_takes_it_once_does_not_exclude_it() {
        let mut ledger = Missing::new(0.05, SETTLE).unwrap();
        let own = [transaction(1, 1000, 3600)];
        ledger.block(&block("p", &[9], 4_000), &own);
        ledger.block(&block("q", &[9], 4_000), &own);
        ledger.block(&block("p", &[1], 4_000), &own);
        assert_eq!(ledger.evidence("p", [1; 32]), None);
        assert_eq!(ledger.evidence("q", [1; 32]).unwrap().misses, 1);
    }

    #[test]
    fn young_and_cheap_transactions_orphans_and_empty_blocks_weigh_little_or_nothing() {
        let full = FULL_BLOCK + 1;
        // The block's cheapest transaction of ours pays 10 sat/vB.
        let taken = transaction(1, 1000, 3600);
        for (sats, age, weight, want) in [
            (2000, 3600, full, 1.0),
            (1250, 3600, full, 1.0),
            (1125, 3600, full, 0.5),
            (1000, 3600, full, 0.0),
            (500, 3600, full, 0.0),
            (500, 3600, 1_000_000, 1.0),
            (2000, 0, full, 0.0),
            (2000, 60, full, 0.632),
        ] {
            let mut ledger = Missing::new(0.05, SETTLE).unwrap();
            let own = [taken, transaction(2, sats, age)];
            ledger.block(&block("p", &[1], weight), &own);
            let got = ledger.evidence("p", [2; 32]).map_or(0.0, |e| e.log_likelihood);
            assert!((got / ledger.step() - want).abs() < 1e-3, "{sats} {age} {weight}: {got}");
        }
        let mut ledger = Missing::new(0.05, SETTLE).unwrap();
        let child = OwnTransaction { has_parents: true, ..transaction(2, 9000, 3600) };
        let trial = ledger.block(&block("p", &[7], 4_000), &[child]);
        assert_eq!(trial, Trial { eligible: 0, missed: 0, foreign: 1 });
        ledger.block(&block("p", &[], 1_000), &[transaction(3, 9000, 3600)]);
        assert_eq!(ledger.evidence("p", [3; 32]), None, "an empty block is no choice");
    }

    #[test]
    fn the_more_transactions_are_tested_the_more_evidence_is_asked_for() {
        assert!((Missing::limit(3000) - (6.9078 + 3000f64.ln())).abs() < 1e-3);
        let mut ledger = Missing::new(0.05, SETTLE).unwrap();
        let own: Vec<_> = (0..=200).map(|id| transaction(id, 1000, 3600)).collect();
        let all_but_one: Vec<u8> = (1..=200).collect();
        for _ in 0..4 {
            ledger.block(&block("p", &all_but_one, 4_000), &own);
        }
        assert!(ledger.tables().0.contains("nobody leaves"));
        ledger.block(&block("p", &all_but_one, 4_000), &own);
        assert!(ledger.tables().0.contains("ALARM"), "five in a row among 201");
    }

    #[test]
    fn an_honest_pool_is_named_as_rarely_as_promised() {
        use rand::{Rng, SeedableRng};
        let mut named = 0;
        for seed in 0..2000 {
            let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut ledger = Missing::new(0.05, SETTLE).unwrap();
            let own: Vec<_> = (0..20).map(|id| transaction(id, 1000, 36_000)).collect();
            for _ in 0..10 {
                let taken: Vec<u8> = (0..20).filter(|_| random.random_bool(0.95)).collect();
                ledger.block(&block("p", &taken, 4_000), &own);
            }
            named += u32::from(ledger.tables().0.contains("ALARM"));
        }
        // Four misses in a row among 20 over 10 blocks: 20 x 7 x 0.05^4 < 1e-3.
        assert!(named <= 6, "{named} of 2000");
    }

    #[test]
    fn the_ledger_is_bounded_and_refuses_what_is_no_rate() {
        let mut ledger = Missing::new(0.05, SETTLE).unwrap();
        for part in 0..30u32 {
            let own: Vec<_> = (0..1000u32)
                .map(|n| {
                    let mut one = transaction(0, 1000, 3600);
                    one.id[..4].copy_from_slice(&(part * 1000 + n).to_le_bytes());
                    one
                })
                .collect();
            ledger.block(&block("p", &[255], 4_000), &own);
            assert!(ledger.entries.len() <= MAX_ENTRIES);
        }
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(Missing::new(bad, SETTLE).is_err());
        }
        assert!(Missing::new(0.05, Duration::ZERO).is_err());
    }
}
