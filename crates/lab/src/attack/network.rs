//! Miners who find blocks, hear of each other's with a delay and mine on what they take for the best:
//! a tree of blocks, event by event. Owns the rules of who mines where; never a formula.
//!
//! Times are in block times (600 s). Blocks are found by a Poisson process of rate 1, each by a miner
//! chosen by share. A block is known to its finder at once and to all others after the delay. Miners
//! take the highest block they know and stay with the first of equals; but on hearing of a censor's
//! block as high as their own tip they take it with probability gamma. Censors refuse every branch with
//! the unwanted transaction until it has more confirmations than their stubbornness; then they take the
//! highest block and begin anew. A miner acts as one: within it there is no delay.

use super::{
    chance::Coin,
    input::{Gamma, Stubbornness},
};
use rand::{Rng, RngCore};
use rand_distr::Exp1;
use std::collections::VecDeque;

/// What a miner does about the unwanted transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Puts it into blocks.
    Includes,
    /// Leaves it out, and mines on the highest block whatever is in it.
    Omits,
    /// Leaves it out, and refuses blocks that have it.
    Censors,
}

/// A miner with a share of the hashrate.
#[derive(Debug, Clone, Copy)]
pub struct Miner {
    /// Share of the hashrate, 0 to 1; all miners' shares together are 1.
    pub share: f64,
    /// What it does.
    pub side: Side,
}

/// What a miner has on the highest chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Blocks found, on whatever branch.
    pub found: u64,
    /// Those on the highest chain.
    pub kept: u64,
    /// Those of them with the transaction.
    pub included: u64,
}

/// How a race for one block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The block with the transaction was orphaned.
    pub orphaned: bool,
    /// The most confirmations that somebody other than the censor saw.
    pub confirmations: u32,
}

/// The miners, what each of them knows, and every block there is.
#[derive(Debug, Clone)]
pub struct Network {
    miners: Vec<Miner>,
    /// Shares summed up to and with each miner.
    up_to: Vec<f64>,
    delay: f64,
    gamma: Coin,
    limit: Option<u32>,
    blocks: Vec<Block>,
    /// What each miner mines on.
    tips: Vec<u32>,
    on_the_way: VecDeque<(f64, u32)>,
    now: f64,
    gave_up: bool,
    accounts: Vec<Account>,
    head: u32,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    parent: u32,
    height: u32,
    finder: u32,
    includes: bool,
    counted: bool,
    /// The lowest block with the transaction that censors refuse this branch for.
    stain: u32,
}

const CLEAN: u32 = u32::MAX;
const ROOT: Block =
    Block { parent: 0, height: 0, finder: u32::MAX, includes: false, counted: true, stain: CLEAN };

impl Network {
    /// `delay` in block times.
    pub fn new(miners: Vec<Miner>, delay: f64, gamma: Gamma, stubbornness: Stubbornness) -> Self {
        let up_to = miners
            .iter()
            .scan(0.0, |sum, miner| {
                *sum += miner.share;
                Some(*sum)
            })
            .collect();
        let mut network = Self {
            accounts: vec![Account::default(); miners.len()],
            tips: vec![0; miners.len()],
            miners,
            up_to,
            delay,
            gamma: Coin::new(gamma.get()),
            limit: stubbornness.limit(),
            blocks: Vec::new(),
            on_the_way: VecDeque::new(),
            now: 0.0,
            gave_up: false,
            head: 0,
        };
        network.reset();
        network
    }

    /// A censor with `share`, and `others` equal miners who include the transaction.
    pub fn censor_against(
        share: f64,
        others: u32,
        delay: f64,
        gamma: Gamma,
        stubbornness: Stubbornness,
    ) -> Self {
        let each = (1.0 - share) / f64::from(others);
        let mut miners = vec![Miner { share: each, side: Side::Includes }; others as usize];
        miners.push(Miner { share, side: Side::Censors });
        Self::new(miners, delay, gamma, stubbornness)
    }

    /// Finds `count` blocks.
    pub fn run(&mut self, count: u64, random: &mut impl RngCore) {
        (0..count).for_each(|_| {
            self.find(random);
        });
    }

    /// One race: a miner who includes has just found a block on what everybody mines on. It ends when
    /// all who do not censor have left it or the censors gave up, and, if they never do, when they are
    /// `far` behind: then `returns` decides whether they win nevertheless.
    pub fn race(&mut self, far: u32, returns: Coin, random: &mut impl RngCore) -> End {
        self.reset();
        let finder = self.draw_includer(random);
        self.extend(finder, random);
        let mut confirmations = 1;
        loop {
            self.find(random);
            let mut stained = 0;
            let mut highest = 0;
            let mut censors = 0;
            for (miner, tip) in self.miners.iter().zip(&self.tips) {
                let tip = self.blocks[*tip as usize];
                if miner.side == Side::Censors {
                    censors = censors.max(tip.height);
                    continue;
                }
                highest = highest.max(tip.height);
                if self.raced_for(&tip) {
                    stained = stained.max(tip.height);
                }
            }
            confirmations = confirmations.max(stained);
            if self.gave_up {
                return End { orphaned: false, confirmations };
            }
            let may_return = || {
                self.on_the_way
                    .iter()
                    .map(|(_, b)| &self.blocks[*b as usize])
                    .any(|b| b.height > highest && self.raced_for(b))
            };
            if stained == 0 && !may_return() {
                return End { orphaned: true, confirmations };
            }
            if self.limit.is_none() && stained >= censors + far {
                return End { orphaned: returns.flip(random), confirmations };
            }
        }
    }

    /// Brings the accounts up to the highest chain and returns them, one per miner.
    pub fn settle(&mut self) -> &[Account] {
        let best = self.highest(|_| true).unwrap_or_default();
        if self.blocks[best as usize].height > self.blocks[self.head as usize].height {
            let mut fork = best;
            while !self.blocks[fork as usize].counted {
                self.count(fork, true);
                fork = self.blocks[fork as usize].parent;
            }
            let mut left = self.head;
            while left != fork {
                self.count(left, false);
                left = self.blocks[left as usize].parent;
            }
            self.head = best;
        }
        &self.accounts
    }

    /// The miners as they are.
    pub fn miners(&self) -> &[Miner] {
        &self.miners
    }

    /// Changes what a miner does from now on. Whoever joins or leaves the censors mines on the highest
    /// block of those it joins.
    pub fn change_side(&mut self, miner: usize, side: Side) {
        let censors = side == Side::Censors;
        if (self.miners[miner].side == Side::Censors) != censors {
            let theirs = self.highest(|other| (other.side == Side::Censors) == censors);
            self.tips[miner] = theirs.unwrap_or(self.tips[miner]);
        }
        self.miners[miner].side = side;
    }

    fn reset(&mut self) {
        self.blocks.clear();
        self.blocks.push(ROOT);
        self.tips.fill(0);
        self.on_the_way.clear();
        self.now = 0.0;
        self.gave_up = false;
        self.head = 0;
        self.accounts.fill(Account::default());
    }

    fn find(&mut self, random: &mut impl RngCore) {
        let wait: f64 = random.sample(Exp1);
        self.now += wait;
        self.hear(random);
        let finder = self.draw_miner(random);
        self.extend(finder, random);
    }

    fn extend(&mut self, finder: usize, random: &mut impl RngCore) {
        let parent = self.tips[finder];
        let below = self.blocks[parent as usize];
        let number = self.blocks.len() as u32;
        let includes = self.miners[finder].side == Side::Includes;
        let stain = match (below.stain, includes) {
            (CLEAN, true) => number,
            (stain, _) => stain,
        };
        self.blocks.push(Block {
            parent,
            height: below.height + 1,
            finder: finder as u32,
            includes,
            counted: false,
            stain,
        });
        self.accounts[finder].found += 1;
        self.tips[finder] = number;
        self.on_the_way.push_back((self.now + self.delay, number));
        if self.delay == 0.0 {
            self.hear(random);
        }
    }

    fn hear(&mut self, random: &mut impl RngCore) {
        while let Some(&(arrives, block)) = self.on_the_way.front() {
            if arrives > self.now {
                break;
            }
            self.on_the_way.pop_front();
            for miner in 0..self.miners.len() {
                match self.miners[miner].side {
                    Side::Censors => self.consider_as_censor(miner, block),
                    Side::Includes | Side::Omits => self.consider(miner, block, random),
                }
            }
        }
    }

    fn consider(&mut self, miner: usize, number: u32, random: &mut impl RngCore) {
        let block = &self.blocks[number as usize];
        let tip = &self.blocks[self.tips[miner] as usize];
        let takes = block.height > tip.height
            || block.height == tip.height
                && self.is_censors(block)
                && !self.is_censors(tip)
                && self.gamma.flip(random);
        if takes {
            self.tips[miner] = number;
        }
    }

    fn consider_as_censor(&mut self, miner: usize, number: u32) {
        let block = self.blocks[number as usize];
        if block.height <= self.blocks[self.tips[miner] as usize].height {
            return;
        }
        if block.stain != CLEAN {
            let confirmations = block.height + 1 - self.blocks[block.stain as usize].height;
            if self.limit.is_none_or(|limit| confirmations <= limit) {
                return;
            }
            self.blocks[number as usize].stain = CLEAN;
            self.gave_up = true;
        }
        self.tips[miner] = number;
    }

    fn count(&mut self, number: u32, counted: bool) {
        let block = &mut self.blocks[number as usize];
        block.counted = counted;
        let account = &mut self.accounts[block.finder as usize];
        let (kept, included) = (1, u64::from(block.includes));
        if counted {
            account.kept += kept;
            account.included += included;
        } else {
            account.kept -= kept;
            account.included -= included;
        }
    }

    fn draw_miner(&self, random: &mut impl RngCore) -> usize {
        let chosen = random.random::<f64>();
        self.up_to.partition_point(|up_to| *up_to <= chosen).min(self.miners.len() - 1)
    }

    /// By share among those who include; the first miner if nobody does.
    fn draw_includer(&self, random: &mut impl RngCore) -> usize {
        let includers =
            || (0..self.miners.len()).filter(|m| self.miners[*m].side == Side::Includes);
        let all: f64 = includers().map(|m| self.miners[m].share).sum();
        let mut left = random.random::<f64>() * all;
        let chosen = includers().find(|m| {
            left -= self.miners[*m].share;
            left < 0.0
        });
        chosen.or(includers().next_back()).unwrap_or_default()
    }

    /// Refused for the first block of a race, not for a later one on the censors' branch.
    fn raced_for(&self, block: &Block) -> bool {
        block.stain != CLEAN && self.blocks[block.stain as usize].height == 1
    }

    fn is_censors(&self, block: &Block) -> bool {
        self.miners.get(block.finder as usize).is_some_and(|m| m.side == Side::Censors)
    }

    /// The highest block that one of these miners mines on.
    fn highest(&self, of: impl Fn(&Miner) -> bool) -> Option<u32> {
        let tips = self.miners.iter().zip(&self.tips).filter(|(miner, _)| of(miner));
        tips.map(|(_, tip)| *tip).max_by_key(|tip| self.blocks[*tip as usize].height)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            chance::{Estimate, stream},
            input::Share,
            race::Race,
        },
        *,
    };

    const GAMES: u64 = 40_000;

    fn orphaned(
        alpha: f64,
        gamma: f64,
        delay: f64,
        stubbornness: Stubbornness,
    ) -> (Race, Estimate) {
        let gamma = Gamma::new(gamma).unwrap();
        let race = Race { share: Share::new("share", alpha).unwrap(), gamma };
        let back = race.catches_up_with_delay(delay);
        let returns = Coin::new(back.powi(30) * race.wins_after_tie_if(back));
        let mut network = Network::censor_against(alpha, 10, delay, gamma, stubbornness);
        let mut random = stream(5, 0);
        let won = (0..GAMES).filter(|_| network.race(30, returns, &mut random).orphaned).count();
        (race, Estimate::of_wins(won as u64, GAMES))
    }

    fn k(k: u32) -> Stubbornness {
        Stubbornness::confirmations(k).unwrap()
    }

    #[test]
    fn without_delay_the_tree_of_blocks_gives_the_closed_form() {
        for (alpha, gamma, stubbornness) in [
            (0.36, 0.0, k(1)),
            (0.36, 0.0, k(6)),
            (0.36, 0.5, k(6)),
            (0.51, 1.0, k(2)),
            (0.29, 0.0, Stubbornness::Forever),
            (0.45, 0.5, Stubbornness::Forever),
            (0.60, 0.0, Stubbornness::Forever),
        ] {
            let (race, seen) = orphaned(alpha, gamma, 0.0, stubbornness);
            let off = seen.deviation(race.orphaned(stubbornness));
            assert!(off.abs() < 4.0, "alpha {alpha} gamma {gamma} k {stubbornness}: {off}");
        }
    }

    #[test]
    fn delay_helps_the_censor() {
        let (_, prompt) = orphaned(0.45, 0.0, 0.0, Stubbornness::Forever);
        let (_, late) = orphaned(0.45, 0.0, 0.2, Stubbornness::Forever);
        assert!(late.mean > prompt.mean + 0.05, "{late:?} {prompt:?}");
    }

    #[test]
    fn a_censor_that_gives_up_earns_what_the_closed_form_says() {
        for (alpha, confirmations) in [(0.36, 1), (0.36, 6), (0.5, 2), (0.6, 6)] {
            let race = Race::alone(Share::new("share", alpha).unwrap());
            let shares: Vec<f64> = (0..40)
                .map(|replicate| {
                    let mut network =
                        Network::censor_against(alpha, 5, 0.0, Gamma::NONE, k(confirmations));
                    network.run(5_000, &mut stream(6, replicate));
                    let kept: Vec<u64> = network.settle().iter().map(|a| a.kept).collect();
                    kept[5] as f64 / kept.iter().sum::<u64>() as f64 / alpha
                })
                .collect();
            let off = Estimate::of_replicates(&shares)
                .deviation(race.censors_revenue(confirmations).unwrap());
            assert!(off.abs() < 4.0, "alpha {alpha} k {confirmations}: {off}");
        }
    }

    #[test]
    fn accounts_follow_the_highest_chain_through_a_reorganisation() {
        let mut network = Network::censor_against(0.6, 3, 0.0, Gamma::NONE, Stubbornness::Forever);
        let mut random = stream(7, 0);
        for _ in 0..50 {
            network.run(20, &mut random);
            network.settle();
        }
        network.run(2_000, &mut random);
        let accounts = network.settle();
        let kept: u64 = accounts.iter().map(|a| a.kept).sum();
        assert_eq!(kept, u64::from(network.blocks[network.head as usize].height));
        // Of a majority that censors, blocks of the others survive near the tip at most.
        assert!(network.accounts[..3].iter().map(|a| a.included).sum::<u64>() < 60);
    }

    #[test]
    fn a_miner_who_leaves_the_censors_mines_where_the_others_do() {
        let mut network = Network::censor_against(0.3, 3, 0.0, Gamma::NONE, Stubbornness::Forever);
        network.run(500, &mut stream(8, 0));
        network.change_side(3, Side::Omits);
        assert_eq!(network.tips[3], network.tips[0]);
        let before = network.settle()[3].kept;
        network.run(100, &mut stream(8, 1));
        assert!(network.settle()[3].kept > before + 10);
    }
}
