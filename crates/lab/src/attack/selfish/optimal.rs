//! The best strategy of a selfish miner: a Markov decision process, solved. Owns its states and its
//! solution; the model is that of Sapirshtein, Sompolinsky and Zohar, Optimal Selfish Mining
//! Strategies in Bitcoin, arXiv:1507.06183.
//!
//! A state is the length of the private branch, of the public branch, and whether the private branch
//! could be published to a tie just now. Branches up to a length T are kept apart; at T the miner must
//! adopt or override, which can only cost it: what is found is what a strategy earns that anybody can
//! play, a lower bound that rises with T.
//!
//! The revenue own / (own + others) is a ratio, so it is found as in Dinkelbach's method (the paper
//! searches by bisection): for a guess rho the strategy that earns most of (1 - rho) own - rho others
//! until it next adopts; its revenue is the next guess; the guesses rise to the optimum.

use super::{Estimate, Gamma, Kept, Selfish, Share};
use crate::{Progress, attack::chance::Coin};
use rand::RngCore;

/// When the others can be divided by a tie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Only at once, when one of the others has just found a block: miners stay with what they saw
    /// first, and gamma is the part that the selfish miner's block reaches first. Bitcoin's rule.
    FirstSeen,
    /// Whenever the private branch is long enough: miners choose among equals by chance, gamma being
    /// 1/2. The change that Eyal and Sirer proposed.
    ByChance,
}

/// What a selfish miner does before the next block is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Gives up its branch and mines on the others'.
    Adopt,
    /// Publishes one block more than the others have.
    Override,
    /// Publishes as many as the others have, so that there is a tie.
    Match,
    /// Publishes nothing new.
    Wait,
}

/// Whether a tie can be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// No: the last block was the selfish miner's own.
    Irrelevant,
    /// Yes: the last block was one of the others'.
    Relevant,
    /// It was offered, and the others are divided.
    Active,
}

const FORKS: [Fork; 3] = [Fork::Irrelevant, Fork::Relevant, Fork::Active];

/// A strategy and what it earns.
#[derive(Debug, Clone)]
pub struct Strategy {
    model: Model,
    actions: Vec<Action>,
    revenue: f64,
}

/// What may follow an action: (probability, own blocks kept, others' kept, next state); without a
/// next state it has adopted.
type Outcome = (f64, f64, f64, Option<usize>);

impl Strategy {
    /// The best strategy whose branches are at most `longest` blocks; 20 to 120 is useful. The share
    /// must be less than 1/2: from there on waiting longer is always better.
    pub fn best(selfish: Selfish, ties: Ties, longest: usize) -> Self {
        let model = Model { selfish, ties, longest };
        let mut values = vec![0.0; model.states()];
        let mut counts = [values.clone(), values.clone()];
        let mut revenue = selfish.share.get().min(0.5);
        loop {
            let actions = model.solve(revenue, &mut values);
            let next = model.revenue(&actions, &mut counts);
            // Rises until it stands still.
            if next <= revenue + 1e-12 {
                return Self { model, actions, revenue: next.max(revenue) };
            }
            revenue = next;
        }
    }

    /// Its part of all blocks that stay.
    pub fn revenue(&self) -> f64 {
        self.revenue
    }

    /// What it does with `own` private blocks against `others` public ones; None beyond its longest.
    pub fn action(&self, own: usize, others: usize, fork: Fork) -> Option<Action> {
        if own.max(others) > self.model.longest {
            return None;
        }
        self.actions.get(self.model.state(own, others, fork)).copied()
    }

    /// Its revenue by simulation: `blocks` blocks in each of `replicates` runs.
    pub fn simulate(
        &self,
        blocks: u64,
        replicates: u64,
        seed: u64,
        progress: &Progress,
    ) -> Estimate {
        let play = |random: &mut _| self.play(blocks, random);
        self.model.selfish.replicate(blocks, replicates, seed, progress, play)
    }

    /// Plays block by block on branches as they are, not on the model's transitions.
    fn play(&self, blocks: u64, random: &mut impl RngCore) -> Kept {
        let own_next = Coin::new(self.model.selfish.share.get());
        let follows = Coin::new(self.model.selfish.gamma.get());
        let mut kept = Kept::default();
        let (mut own, mut others) = (0usize, 0usize);
        let mut fork = Fork::Irrelevant;
        let mut found = 0;
        // To the end of the last race: blocks still withheld would be nobody's.
        while found < blocks || ((own, others) != (0, 0) && found < 2 * blocks) {
            match self.action(own, others, fork) {
                None | Some(Action::Adopt) => {
                    kept.others += others as u64;
                    (own, others, fork) = (0, 0, Fork::Irrelevant);
                }
                Some(Action::Override) => {
                    kept.own += others as u64 + 1;
                    (own, others, fork) = (own - others - 1, 0, Fork::Irrelevant);
                }
                Some(Action::Match) => fork = Fork::Active,
                Some(Action::Wait) => {}
            }
            if found >= blocks && (own, others) == (0, 0) {
                break;
            }
            found += 1;
            let divided = fork == Fork::Active;
            if own_next.flip(random) {
                own += 1;
                fork = if divided { Fork::Active } else { Fork::Irrelevant };
                continue;
            }
            if divided && follows.flip(random) {
                // On top of the published part, which everybody has accepted with that.
                kept.own += others as u64;
                (own, others) = (own - others, 1);
            } else {
                others += 1;
            }
            fork = Fork::Relevant;
        }
        kept
    }
}

/// The share above which some strategy with branches of at most `longest` blocks earns more than
/// honest mining, to 10^-5.
pub fn threshold(gamma: Gamma, ties: Ties, longest: usize) -> f64 {
    let (mut low, mut high) = (0.0f64, 0.5);
    while high - low > 1e-5 {
        let middle = f64::midpoint(low, high);
        let Ok(share) = Share::new("share", middle) else { break };
        let model = Model { selfish: Selfish { share, gamma }, ties, longest };
        let mut values = vec![0.0; model.states()];
        model.solve(middle, &mut values);
        // Honest mining earns exactly nothing over a revenue of alpha.
        if model.fresh(&values) > 1e-9 { high = middle } else { low = middle }
    }
    high
}

#[derive(Debug, Clone)]
struct Model {
    selfish: Selfish,
    ties: Ties,
    longest: usize,
}

impl Model {
    fn state(&self, own: usize, others: usize, fork: Fork) -> usize {
        (own * (self.longest + 1) + others) * FORKS.len() + fork as usize
    }

    fn states(&self) -> usize {
        (self.longest + 1).pow(2) * FORKS.len()
    }

    /// The best actions for (1 - rho) own - rho others from one adoption to the next; `values`, what
    /// each state is worth, may start anywhere.
    fn solve(&self, rho: f64, values: &mut [f64]) -> Vec<Action> {
        let mut actions = vec![Action::Adopt; self.states()];
        loop {
            let mut change = 0.0f64;
            self.descend(|own, others, fork| {
                let state = self.state(own, others, fork);
                let mut best = (Action::Adopt, f64::NEG_INFINITY);
                for action in self.possible(own, others, fork) {
                    let value = self.worth(own, others, fork, action, values, |own, others| {
                        (1.0 - rho) * own - rho * others
                    });
                    // By a margin, so that rounding does not choose.
                    if value > best.1 + 1e-13 {
                        best = (action, value);
                    }
                }
                change = change.max((best.1 - values[state]).abs());
                values[state] = best.1;
                actions[state] = best.0;
            });
            if change < 1e-11 {
                return actions;
            }
        }
    }

    /// What `actions` earn from one adoption to the next: own blocks over all that stay. `counts`, own
    /// and others' blocks to come from each state, may start anywhere.
    fn revenue(&self, actions: &[Action], counts: &mut [Vec<f64>; 2]) -> f64 {
        let earn: [fn(f64, f64) -> f64; 2] = [|own, _| own, |_, others| others];
        let mut totals = [0.0; 2];
        for ((values, earn), total) in counts.iter_mut().zip(earn).zip(&mut totals) {
            loop {
                let mut change = 0.0f64;
                self.descend(|own, others, fork| {
                    let state = self.state(own, others, fork);
                    let value = self.worth(own, others, fork, actions[state], values, earn);
                    change = change.max((value - values[state]).abs());
                    values[state] = value;
                });
                if change < 1e-11 {
                    break;
                }
            }
            *total = self.fresh(values);
        }
        totals[0] / (totals[0] + totals[1])
    }

    /// Visits every state, long branches first, so that what waiting leads to is known.
    fn descend(&self, mut visit: impl FnMut(usize, usize, Fork)) {
        for length in (0..=2 * self.longest).rev() {
            for own in length.saturating_sub(self.longest)..=length.min(self.longest) {
                for fork in FORKS {
                    visit(own, length - own, fork);
                }
            }
        }
    }

    fn possible(&self, own: usize, others: usize, fork: Fork) -> impl Iterator<Item = Action> {
        let room = own < self.longest && others < self.longest;
        let dividing = match self.ties {
            Ties::FirstSeen => fork == Fork::Relevant,
            Ties::ByChance => fork != Fork::Active,
        };
        [
            (true, Action::Adopt),
            (own > others, Action::Override),
            (room && own >= others && others > 0 && dividing, Action::Match),
            (room, Action::Wait),
        ]
        .into_iter()
        .filter_map(|(possible, action)| possible.then_some(action))
    }

    fn worth(
        &self,
        own: usize,
        others: usize,
        fork: Fork,
        action: Action,
        values: &[f64],
        earn: impl Fn(f64, f64) -> f64,
    ) -> f64 {
        self.outcomes(own, others, fork, action)
            .iter()
            .map(|(chance, own, others, next)| {
                chance * (earn(*own, *others) + next.map_or(0.0, |next| values[next]))
            })
            .sum()
    }

    /// Table 1 of the paper, with the block that is found after the action.
    fn outcomes(&self, own: usize, others: usize, fork: Fork, action: Action) -> [Outcome; 3] {
        let (alpha, beta) = (self.selfish.share.get(), self.selfish.share.rest());
        let gamma = self.selfish.gamma.get();
        let to = |own, others, fork| Some(self.state(own, others, fork));
        let (a, h) = (own as f64, others as f64);
        let none = (0.0, 0.0, 0.0, None);
        match action {
            Action::Adopt => [(1.0, 0.0, h, None), none, none],
            Action::Override => [
                (alpha, h + 1.0, 0.0, to(own - others, 0, Fork::Irrelevant)),
                (beta, h + 1.0, 0.0, to(own - others - 1, 1, Fork::Relevant)),
                none,
            ],
            Action::Wait if fork != Fork::Active => [
                (alpha, 0.0, 0.0, to(own + 1, others, Fork::Irrelevant)),
                (beta, 0.0, 0.0, to(own, others + 1, Fork::Relevant)),
                none,
            ],
            Action::Match | Action::Wait if a >= h => [
                (alpha, 0.0, 0.0, to(own + 1, others, Fork::Active)),
                (gamma * beta, h, 0.0, to(own - others, 1, Fork::Relevant)),
                ((1.0 - gamma) * beta, 0.0, 0.0, to(own, others + 1, Fork::Relevant)),
            ],
            // Active with a shorter branch does not occur.
            Action::Match | Action::Wait => [(1.0, 0.0, h, None), none, none],
        }
    }

    /// From all mining on one tip: the next block is found.
    fn fresh(&self, values: &[f64]) -> f64 {
        self.selfish.share.get() * values[self.state(1, 0, Fork::Irrelevant)]
            + self.selfish.share.rest() * values[self.state(0, 1, Fork::Irrelevant)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(alpha: f64, gamma: f64, ties: Ties, longest: usize) -> Strategy {
        let share = Share::new("share", alpha).unwrap();
        Strategy::best(Selfish { share, gamma: Gamma::new(gamma).unwrap() }, ties, longest)
    }

    #[test]
    fn simulation_of_the_strategy_agrees_with_the_solution() {
        for (alpha, gamma, ties) in [
            (1.0 / 3.0, 0.0, Ties::FirstSeen),
            (0.4, 0.0, Ties::FirstSeen),
            (0.45, 0.0, Ties::FirstSeen),
            (0.3, 0.5, Ties::FirstSeen),
            (0.3, 0.5, Ties::ByChance),
            (0.2, 1.0, Ties::FirstSeen),
        ] {
            let strategy = best(alpha, gamma, ties, 30);
            let seen = strategy.simulate(20_000, 40, 1, &Progress::new());
            let off = seen.deviation(strategy.revenue());
            assert!(off.abs() < 4.0, "alpha {alpha} gamma {gamma}: {off}");
        }
    }

    /// Computed here, with branches up to 95 blocks, and simulated; for 0.475 the truncation still
    /// matters, so it is left out.
    #[test]
    fn optimal_revenues_do_not_move() {
        for (alpha, revenue) in [(1.0 / 3.0, "0.33705"), (0.35, "0.37077"), (0.4, "0.48866")] {
            let ours = best(alpha, 0.0, Ties::FirstSeen, 95).revenue();
            assert_eq!(format!("{ours:.5}"), revenue, "alpha {alpha}");
        }
    }

    #[test]
    fn the_best_strategy_is_no_worse_than_the_first_and_below_the_bound() {
        for alpha in [0.1, 0.3, 0.42] {
            for gamma in [0.0, 0.5, 1.0] {
                let strategy = best(alpha, gamma, Ties::FirstSeen, 30);
                let first = strategy.model.selfish.revenue().max(alpha);
                // The first strategy's branches have no end.
                assert!(strategy.revenue() > first - 2e-4, "alpha {alpha} gamma {gamma}");
                assert!(strategy.revenue() <= strategy.model.selfish.bound() + 1e-9);
            }
        }
    }

    #[test]
    fn below_the_threshold_the_best_is_to_be_honest() {
        let strategy = best(0.3, 0.0, Ties::FirstSeen, 30);
        assert!((strategy.revenue() - 0.3).abs() < 1e-9);
        let own_found = strategy.action(1, 0, Fork::Irrelevant);
        assert_eq!(own_found, Some(Action::Override));
        assert_eq!(strategy.action(0, 1, Fork::Irrelevant), Some(Action::Adopt));
    }

    /// 23.21 % for ties by chance is the figure quoted from the paper; the others are computed here.
    #[test]
    fn choosing_among_equals_by_chance_lowers_the_threshold_below_a_quarter() {
        for (gamma, ties, share) in [
            (0.0, Ties::FirstSeen, 0.3294),
            (0.5, Ties::FirstSeen, 0.25),
            (0.5, Ties::ByChance, 0.2321),
            (1.0, Ties::FirstSeen, 0.0),
        ] {
            let ours = threshold(Gamma::new(gamma).unwrap(), ties, 30);
            assert!((ours - share).abs() < 1e-4, "gamma {gamma} {ties:?}: {ours}");
        }
    }
}
