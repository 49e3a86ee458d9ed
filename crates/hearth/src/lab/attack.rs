//! `hearth lab attack`: command line in, typed input out. It computes nothing.

use crate::output::with_bar;
use lab::{
    LabError, Progress, Report,
    attack::{
        censor::{self, Order, SCENARIOS, Scenario},
        double_spend,
        input::{self, Gamma, Share},
        map,
        selfish::{self, Selfish, optimal::Ties},
        stale::{self, Stale},
        switching::Free,
    },
    report::{Cell, Input, Source},
};

/// An attack.
#[derive(clap::Subcommand)]
pub enum Attack {
    /// Miners are ordered to leave transactions out, or to orphan blocks that have them.
    Censor(Box<CensorArgs>),
    /// The same over every share and stubbornness: 100 x 100 points of 10,000 games.
    Map(MapArgs),
    /// A payment is replaced after it was confirmed.
    DoubleSpend(DoubleSpendArgs),
    /// Blocks are withheld, so that others waste theirs.
    Selfish(SelfishArgs),
    /// No attack: what delay alone costs miners of each size.
    Stale(StaleArgs),
}

#[derive(clap::Args)]
pub struct CensorArgs {
    /// Share of the hashrate that obeys, such as 0.36; several with commas. Without it, all scenarios.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    share: Vec<f64>,
    /// A share that is talked about in public.
    #[arg(long, value_name = "NAME", conflicts_with = "share", value_parser = scenario)]
    scenario: Option<Scenario>,
    /// Part of the others that mines on the censor's branch in a tie [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    gamma: Option<f64>,
    /// Seconds a block takes to reach the others [default: 0]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    delay: Option<f64>,
    /// With a delay: how many equal miners the others are [default: 20]
    #[arg(long, requires = "delay")]
    miners: Option<u64>,
    /// Part of the others that goes where it is paid better, for a year [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    free: Option<f64>,
    /// In that year: confirmations the censor fights, or inf [default: 6]
    #[arg(long, value_name = "K", allow_hyphen_values = true, requires = "free")]
    stubbornness: Option<String>,
    /// In that year: what the unwanted transactions add to a block, in bitcoin [default: 0.01]
    #[arg(long, value_name = "BTC", allow_negative_numbers = true, requires = "free")]
    fee: Option<f64>,
    /// What a block pays without them, in bitcoin [default: 3.125]
    #[arg(long, value_name = "BTC", allow_negative_numbers = true)]
    reward: Option<f64>,
    /// Games played at each share [default: 100000]
    #[arg(long)]
    games: Option<u64>,
    /// Where the random numbers start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(clap::Args)]
pub struct MapArgs {
    /// Smallest share of the hashrate [default: 0.005]
    #[arg(long, allow_negative_numbers = true)]
    from: Option<f64>,
    /// Largest share [default: 0.995]
    #[arg(long, allow_negative_numbers = true)]
    to: Option<f64>,
    /// Shares from the smallest to the largest [default: 100]
    #[arg(long)]
    columns: Option<u64>,
    /// Stubbornness from 1 to this many confirmations [default: 100]
    #[arg(long)]
    rows: Option<u64>,
    /// Games played at each point [default: 10000]
    #[arg(long)]
    games: Option<u64>,
    /// Part of the others that mines on the censor's branch in a tie [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    gamma: Option<f64>,
    /// Add a table of all points: --points --csv --table points
    #[arg(long)]
    points: bool,
    /// Where the random numbers start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(clap::Args)]
pub struct DoubleSpendArgs {
    /// The attacker's share of the hashrate; several with commas [default: 0.1,0.25,0.3,0.4]
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    share: Vec<f64>,
    /// Confirmations of the payment; several with commas [default: 1,2,3,6,10]
    #[arg(long, value_delimiter = ',')]
    confirmations: Vec<u32>,
    /// The probability of loss that is accepted [default: 0.001]
    #[arg(long, allow_negative_numbers = true)]
    risk: Option<f64>,
    /// Games played for each share and confirmations [default: 1000000]
    #[arg(long)]
    games: Option<u64>,
    /// Where the random numbers start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(clap::Args)]
pub struct SelfishArgs {
    /// The selfish miner's share of the hashrate [default: 0.36]
    #[arg(long, allow_negative_numbers = true)]
    share: Option<f64>,
    /// Part of the others that mines on its branch in a tie [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    gamma: Option<f64>,
    /// The others choose among equal branches by chance instead of staying with the first; gamma is
    /// then 0.5.
    #[arg(long, conflicts_with = "gamma")]
    ties_by_chance: bool,
    /// Longest branch that the best strategy keeps apart [default: 80]
    #[arg(long, value_name = "BLOCKS")]
    longest: Option<u64>,
    /// Blocks to simulate [default: 10000000]
    #[arg(long)]
    blocks: Option<u64>,
    /// Where the random numbers start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(clap::Args)]
pub struct StaleArgs {
    /// Every miner's share of the hashrate, with commas; together 1 [default: pools of 2025]
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    shares: Vec<f64>,
    /// Seconds a block takes to reach the others [default: 10]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    delay: Option<f64>,
    /// Blocks to simulate [default: 1000000]
    #[arg(long)]
    blocks: Option<u64>,
    /// Where the random numbers start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Computes.
pub fn run(attack: Attack) -> Result<Report, LabError> {
    let progress = Progress::new();
    match attack {
        Attack::Censor(args) => {
            let plan = args.plan()?;
            with_bar(&progress, || censor::report(&plan, &progress))
        }
        Attack::Map(args) => {
            let plan = args.plan()?;
            with_bar(&progress, || map::report(&plan, &progress))
        }
        Attack::DoubleSpend(args) => {
            let plan = args.plan()?;
            with_bar(&progress, || double_spend::report(&plan, &progress))
        }
        Attack::Selfish(args) => {
            let plan = args.plan()?;
            with_bar(&progress, || selfish::report(&plan, &progress))
        }
        Attack::Stale(args) => {
            let plan = args.plan()?;
            with_bar(&progress, || stale::report(&plan, &progress))
        }
    }
}

const OURS: (&str, &str) = ("hearth's choice", "2026");
const IDEAL: (&str, &str) = ("as the closed form assumes", "2026");
const SUBSIDY: (&str, &str) = ("block subsidy from height 840,000", "2024-04");
const POOLS: (&str, &str) = ("pools' shares of blocks, rounded", "2025");
const DEBATE: (&str, &str) = ("shares named in public discussion", "2025");
const ROSENFELD: (&str, &str) = ("columns of Rosenfeld's tables", "2014");
const NAKAMOTO: (&str, &str) = ("Nakamoto's paper, section 11", "2008");

/// What was used and where it came from, collected while a plan is made.
#[derive(Default)]
struct Inputs(Vec<Input>);

impl Inputs {
    /// What was given, or the default with its origin and date.
    fn choose<T: Clone>(
        &mut self,
        name: &'static str,
        given: Option<T>,
        default: T,
        (origin, date): (&'static str, &'static str),
        cell: impl Fn(&T) -> Cell,
    ) -> T {
        let source = if given.is_some() { Source::Flag } else { Source::Default { origin, date } };
        let value = given.unwrap_or(default);
        self.0.push(Input { name, value: cell(&value), source });
        value
    }

    fn number(
        &mut self,
        name: &'static str,
        given: Option<f64>,
        default: f64,
        from: (&'static str, &'static str),
    ) -> f64 {
        self.choose(name, given, default, from, |v| Cell::exact(*v))
    }

    fn count(&mut self, name: &'static str, given: Option<u64>, default: u64) -> u64 {
        self.choose(name, given, default, OURS, |v| Cell::Count(*v))
    }

    /// Several; none given is the default.
    fn list<T: Clone + ToString>(
        &mut self,
        name: &'static str,
        given: Vec<T>,
        default: &[T],
        from: (&'static str, &'static str),
    ) -> Vec<T> {
        let given = (!given.is_empty()).then_some(given);
        self.choose(name, given, default.to_vec(), from, |list| {
            list.iter().map(T::to_string).collect::<Vec<_>>().join(", ").into()
        })
    }

    fn seed(&mut self, seed: u64) -> u64 {
        let given = (seed != 1).then_some(seed);
        self.choose("seed", given, 1, OURS, |v| Cell::Count(*v))
    }
}

impl CensorArgs {
    fn plan(self) -> Result<censor::Plan, LabError> {
        let mut inputs = Inputs::default();
        let given = match self.scenario {
            Some(scenario) => vec![scenario.share],
            None => self.share,
        };
        let shares = inputs.list("share", given, &SCENARIOS.map(|s| s.share), DEBATE);
        let order = |share: &f64| {
            let of = SCENARIOS.iter().find(|s| s.share == *share).map(|s| s.of);
            Ok(Order { share: Share::to_play("share", *share)?, of })
        };
        let orders = shares.iter().map(order).collect::<Result<_, LabError>>()?;
        let gamma = Gamma::new(inputs.number("gamma", self.gamma, 0.0, IDEAL))?;
        let delay = input::delay(inputs.number("delay_s", self.delay, 0.0, IDEAL))?;
        let free = Free::new(inputs.number("free", self.free, 0.0, IDEAL))?;
        // What only delay or free miners need is not shown without them.
        let mut unused = Inputs::default();
        let of_delay = if delay.is_zero() { &mut unused } else { &mut inputs };
        let others = of_delay.count("miners", self.miners, 20);
        let of_year = if free.get() == 0.0 { &mut unused } else { &mut inputs };
        let text = |k: &String| Cell::Text(k.clone());
        let stubbornness = of_year
            .choose("stubbornness_confirmations", self.stubbornness, "6".into(), OURS, text)
            .parse()?;
        let fee = input::bitcoin("fee", of_year.number("fee_btc", self.fee, 0.01, OURS))?;
        let reward =
            input::bitcoin("reward", inputs.number("reward_btc", self.reward, 3.125, SUBSIDY))?;
        let games = inputs.count("games", self.games, 100_000);
        let seed = inputs.seed(self.seed);
        Ok(censor::Plan {
            orders,
            gamma,
            reward,
            fee,
            delay,
            others,
            free,
            stubbornness,
            games,
            seed,
            inputs: inputs.0,
        })
    }
}

impl MapArgs {
    fn plan(self) -> Result<map::Plan, LabError> {
        let mut inputs = Inputs::default();
        let first = Share::to_play("from", inputs.number("from_share", self.from, 0.005, OURS))?;
        let last = Share::to_play("to", inputs.number("to_share", self.to, 0.995, OURS))?;
        Ok(map::Plan {
            shares: (first, last),
            columns: inputs.count("columns", self.columns, 100),
            rows: inputs.count("rows_confirmations", self.rows, 100),
            games: inputs.count("games", self.games, 10_000),
            gamma: Gamma::new(inputs.number("gamma", self.gamma, 0.0, IDEAL))?,
            seed: inputs.seed(self.seed),
            list_points: self.points,
            inputs: inputs.0,
        })
    }
}

impl DoubleSpendArgs {
    fn plan(self) -> Result<double_spend::Plan, LabError> {
        let mut inputs = Inputs::default();
        let shares = inputs.list("share", self.share, &[0.1, 0.25, 0.3, 0.4], ROSENFELD);
        Ok(double_spend::Plan {
            attackers: shares
                .iter()
                .map(|s| Share::to_play("share", *s))
                .collect::<Result<_, _>>()?,
            confirmations: inputs.list(
                "confirmations",
                self.confirmations,
                &[1, 2, 3, 6, 10],
                ROSENFELD,
            ),
            risk: inputs.number("risk", self.risk, 0.001, NAKAMOTO),
            games: inputs.count("games", self.games, 1_000_000),
            seed: inputs.seed(self.seed),
            inputs: inputs.0,
        })
    }
}

impl SelfishArgs {
    fn plan(self) -> Result<selfish::Plan, LabError> {
        let mut inputs = Inputs::default();
        let share = Share::new("share", inputs.number("share", self.share, 0.36, DEBATE))?;
        let given = if self.ties_by_chance { Some(0.5) } else { self.gamma };
        let gamma = Gamma::new(inputs.number("gamma", given, 0.0, OURS))?;
        Ok(selfish::Plan {
            selfish: Selfish { share, gamma },
            ties: if self.ties_by_chance { Ties::ByChance } else { Ties::FirstSeen },
            longest: inputs.count("longest_blocks", self.longest, 80),
            blocks: inputs.count("blocks", self.blocks, 10_000_000),
            seed: inputs.seed(self.seed),
            inputs: inputs.0,
        })
    }
}

impl StaleArgs {
    fn plan(self) -> Result<stale::Plan, LabError> {
        const SHARES: [f64; 9] = [0.30, 0.29, 0.12, 0.11, 0.08, 0.05, 0.03, 0.01, 0.01];
        let mut inputs = Inputs::default();
        let shares = inputs.list("shares", self.shares, &SHARES, POOLS);
        let shares = shares.iter().map(|s| Share::new("share", *s)).collect::<Result<_, _>>()?;
        let delay = input::delay(inputs.number("delay_s", self.delay, 10.0, OURS))?;
        Ok(stale::Plan {
            stale: Stale::new(shares, delay)?,
            blocks: inputs.count("blocks", self.blocks, 1_000_000),
            seed: inputs.seed(self.seed),
            inputs: inputs.0,
        })
    }
}

fn scenario(name: &str) -> Result<Scenario, String> {
    let names = || SCENARIOS.map(|s| s.name).join(", ");
    let of_name = SCENARIOS.into_iter().find(|s| s.name == name);
    of_name.ok_or_else(|| format!("no such scenario; there are: {}", names()))
}
