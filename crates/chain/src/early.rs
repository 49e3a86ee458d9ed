//! The empty template that goes out the moment a new tip is known, before the node has had time
//! to assemble a full one. Pure: made from what the last templates and headers taught.

use crate::{Network, Template, merkle};
use bitcoin::{BlockHash, CompactTarget, Target};
use std::{collections::VecDeque, time::Instant};

/// The newest block of the best chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    pub hash: BlockHash,
    pub height: u32,
}

/// What is known of the chain's end without asking.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    network: Network,
    /// The tip that the rest is about.
    tip: Tip,
    bits: CompactTarget,
    version: u32,
    /// Header times of the last blocks, the tip's last; `None` where not yet known.
    times: VecDeque<(BlockHash, Option<u32>)>,
}

/// Blocks that the median time past is the median of.
pub(crate) const MEDIAN_SPAN: usize = 11;

/// `MAX_TIMEWARP` of BIP 94, seconds.
const MAX_TIME_WARP: u32 = 600;

impl Ground {
    /// What a full template teaches. Times are learned by [`Self::learn_times`].
    pub(crate) fn new(network: Network, template: &Template) -> Self {
        Self {
            network,
            tip: Tip { hash: template.prev_hash, height: template.height.saturating_sub(1) },
            bits: template.bits,
            version: template.version,
            times: VecDeque::new(),
        }
    }

    /// Takes over what was known of the same chain's end.
    pub(crate) fn keep_times(&mut self, old: &Self) {
        self.times.clone_from(&old.times);
    }

    /// The tip it is about.
    pub(crate) fn tip(&self) -> Tip {
        self.tip
    }

    /// The header times that are known, in the order of the chain.
    pub(crate) fn known_times(&self) -> Vec<(BlockHash, u32)> {
        let known = |(hash, time): &(BlockHash, Option<u32>)| Some((*hash, (*time)?));
        self.times.iter().filter_map(known).collect()
    }

    /// The header times of the last blocks up to `tip`, in the order of the chain.
    pub(crate) fn learn_times(
        &mut self,
        tip: BlockHash,
        times: impl Iterator<Item = (BlockHash, u32)>,
    ) {
        if self.tip.hash == tip {
            self.times = times.map(|(hash, time)| (hash, Some(time))).collect();
            self.forget_old_times();
        }
    }

    /// The empty template on a new tip, if it is safe to make it without asking the node. Then the
    /// ground moves on to that tip.
    pub(crate) fn advance(&mut self, tip: Tip, now: u32, learned: Instant) -> Option<Template> {
        if Some(tip.height) != self.tip.height.checked_add(1)
            || !self.network.keeps_target(tip.height.checked_add(1)?)
        {
            return None;
        }
        let min_time = self.latest_median()?.checked_add(1)?;
        self.tip = tip;
        self.times.push_back((tip.hash, None));
        self.forget_old_times();
        let bits = self.bits;
        let version = self.version;
        empty(self.network, tip, version, bits, min_time, now, learned)
    }

    /// The empty template on a new tip from what the node says of it.
    pub(crate) fn ask(
        &self,
        tip: Tip,
        said: &Said,
        now: u32,
        learned: Instant,
    ) -> Option<Template> {
        let next = tip.height.checked_add(1)?;
        let mut min_time = said.median_time.checked_add(1)?;
        if self.network.guards_time_at(next) {
            min_time = min_time.max(said.time.saturating_sub(MAX_TIME_WARP));
        }
        if self.network == Network::Testnet4 {
            // The target may hold for this very time only: 20 minutes without a block lower it.
            min_time = min_time.max(now);
        }
        let version = self.version;
        empty(self.network, tip, version, said.bits, min_time, now, learned)
    }

    /// The highest value that the new tip's median time past can have, whatever the new tip's own
    /// time is: the median with each unknown time taken as the latest.
    fn latest_median(&self) -> Option<u32> {
        let (newest, _) = self.times.back()?;
        if *newest != self.tip.hash {
            return None;
        }
        let older = self.times.len().checked_sub(MEDIAN_SPAN - 1)?;
        let mut times: Vec<u32> = self
            .times
            .iter()
            .skip(older)
            .map(|(_, time)| time.unwrap_or(u32::MAX))
            .chain([u32::MAX])
            .collect();
        times.sort_unstable();
        Some(times[MEDIAN_SPAN / 2]).filter(|median| *median != u32::MAX)
    }

    fn forget_old_times(&mut self) {
        let surplus = self.times.len().saturating_sub(MEDIAN_SPAN);
        self.times.drain(..surplus);
    }
}

/// What the node says of a new tip and the block after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    pub bits: CompactTarget,
    pub time: u32,
    pub median_time: u32,
}

fn empty(
    network: Network,
    tip: Tip,
    version: u32,
    bits: CompactTarget,
    min_time: u32,
    now: u32,
    learned: Instant,
) -> Option<Template> {
    let height = tip.height.checked_add(1)?;
    Some(Template {
        height,
        prev_hash: tip.hash,
        version,
        bits,
        target: Target::from_compact(bits),
        min_time,
        time: now.max(min_time),
        coinbase_value: network.subsidy(height),
        witness_commitment: network
            .needs_commitment()
            .then(|| merkle::witness_commitment(Vec::new())),
        merkle_branch: Vec::new(),
        transactions: Vec::new(),
        transaction_count: 0,
        learned,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;
    use proptest::prelude::*;
    use units::Sats;

    const BITS: u32 = 0x1703_4219;
    const NOW: u32 = 1_800_000_000;

    fn tip(height: u32) -> Tip {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&height.to_le_bytes());
        Tip { hash: BlockHash::from_byte_array(hash), height }
    }

    fn ground(network: Network, height: u32, times: &[u32]) -> Ground {
        let bits = CompactTarget::from_consensus(BITS);
        let mut ground = Ground {
            network,
            tip: tip(height),
            bits,
            version: 0x2000_0000,
            times: VecDeque::new(),
        };
        let first = height + 1 - times.len() as u32;
        let blocks = times.iter().zip(first..).map(|(t, h)| (tip(h).hash, *t));
        ground.learn_times(tip(height).hash, blocks);
        ground
    }

    const STEADY: [u32; 11] = [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100];

    #[test]
    fn an_empty_template_needs_nobody_within_a_retarget_period() {
        let mut ground = ground(Network::Mainnet, 840_000, &STEADY);
        let template = ground.advance(tip(840_001), NOW, Instant::now()).unwrap();
        assert!(template.is_empty());
        assert_eq!(template.height, 840_002);
        assert_eq!(template.prev_hash, tip(840_001).hash);
        assert_eq!(template.bits.to_consensus(), BITS);
        assert_eq!(template.coinbase_value, Sats(312_500_000));
        assert_eq!(template.witness_commitment, None);
        // The last eleven are 200 to 1100 and the new one: at most 700 in the middle.
        assert_eq!(template.min_time, 701);
        assert_eq!(template.time, NOW);
        // Two in a row, the first one's time still unknown.
        let template = ground.advance(tip(840_002), NOW, Instant::now()).unwrap();
        assert_eq!(template.min_time, 801);
    }

    #[test]
    fn where_anything_could_be_wrong_the_node_is_asked() {
        for (why, network, height, times, next) in [
            ("two blocks at once", Network::Mainnet, 100, &STEADY[..], 102),
            ("same height", Network::Mainnet, 100, &STEADY[..], 100),
            ("lower", Network::Mainnet, 100, &STEADY[..], 99),
            ("retarget", Network::Mainnet, 2014, &STEADY[..], 2015),
            ("testnet4", Network::Testnet4, 100, &STEADY[..], 101),
            ("times unknown", Network::Mainnet, 100, &[][..], 101),
            ("too few times", Network::Regtest, 100, &STEADY[..9], 101),
        ] {
            let mut ground = ground(network, height, times);
            assert!(ground.advance(tip(next), NOW, Instant::now()).is_none(), "{why}");
            assert_eq!(ground.tip(), tip(height), "{why}");
        }
        let mut regtest = ground(Network::Regtest, 2014, &STEADY[..10]);
        assert!(regtest.advance(tip(2015), NOW, Instant::now()).is_some());
    }

    #[test]
    fn times_of_another_tip_are_not_used() {
        let old = ground(Network::Mainnet, 100, &STEADY);
        let mut new = Ground { tip: tip(101), times: VecDeque::new(), ..old.clone() };
        new.keep_times(&old);
        assert!(new.clone().advance(tip(102), NOW, Instant::now()).is_none());
        new.learn_times(tip(100).hash, std::iter::empty());
        assert_eq!(new.known_times().len(), 11);
    }

    #[test]
    fn a_signet_block_commits_to_its_witnesses_even_if_it_has_none() {
        let mut ground = ground(Network::Signet, 100, &STEADY);
        let template = ground.advance(tip(101), NOW, Instant::now()).unwrap();
        assert!(template.is_empty());
        assert_eq!(template.witness_commitment.unwrap().len(), 38);
    }

    #[test]
    fn what_the_node_says_is_used_and_the_time_warp_rule_kept() {
        let said = Said {
            bits: CompactTarget::from_consensus(0x1702_0000),
            time: 5000,
            median_time: 3000,
        };
        for (network, height, now, min_time, time) in [
            (Network::Mainnet, 2014, NOW, 3001, NOW),
            (Network::Mainnet, 2015, NOW, 4400, NOW),
            (Network::Mainnet, 2014, 10, 3001, 3001),
            (Network::Testnet4, 100, NOW, NOW, NOW),
        ] {
            let ground = ground(network, height - 1, &STEADY);
            let template = ground.ask(tip(height), &said, now, Instant::now()).unwrap();
            assert_eq!(template.bits, said.bits);
            assert_eq!((template.min_time, template.time), (min_time, time));
        }
    }

    proptest! {
        #[test]
        fn the_bound_is_never_below_the_true_median(
            times in prop::collection::vec(1_000_u32..100_000, 11),
            news in prop::collection::vec(1_000_u32..100_000, 1..5),
        ) {
            let mut chain = times.clone();
            let mut ground = ground(Network::Mainnet, 100, &times);
            for (new, height) in news.iter().zip(101..) {
                chain.push(*new);
                let mut last = chain[chain.len() - 11..].to_vec();
                last.sort_unstable();
                let template = ground.advance(tip(height), NOW, Instant::now()).unwrap();
                prop_assert!(template.min_time > last[5]);
            }
        }
    }
}
