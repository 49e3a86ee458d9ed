//! Many homes as one resource: what each is told to draw so that all together draw what is wanted, what
//! they draw and could, and what each gave up. It never talks to a home and knows no machine in one.
//!
//! ```text
//!  reports ─▶ who takes part ─▶ others as they are, the rest by the level of what each gave ─▶ orders
//!               │                        ▲
//!               └─ homes that miss what they were told: the trim, the only integrator
//! ```
//!
//! - **Fair**: those who gave least of their flexibility so far give first, see `fill`.
//! - **Comfort**: no home is told less or more than it reports it can hold, nor for longer. First no
//!   home is asked for more than it can sustain; only where that is not enough for what it can at once.
//! - **Loss**: a silent home is taken to hold its last order until that expires, and then to be on its
//!   own. One that does not do as told counts as what it draws. One that opted out is given back to
//!   itself at the next step.
//! - **Truth**: what cannot be had is said in [`Telemetry::shortfall`]. Some homes are left alone by lot:
//!   they show what the others would have drawn.

mod account;
mod fill;
mod habit;
mod home;
mod lot;
mod memory;
mod setup;
mod share;
mod split;
mod telemetry;
#[cfg(test)]
mod tests;

pub use account::{Closed, OfLot, Part, Record};
pub use home::{BadReport, Hold, Report};
pub use memory::{Foreign, Memory};
pub use setup::Setup;
pub use split::by_weight;
pub use telemetry::{Counts, HORIZONS, Room, Telemetry};

use crate::baseline::control::Pull;
use account::{Sum, Tally};
use habit::Habit;
use home::{Home, Role, Way};
use lot::Lots;
use memory::Kept;
use share::{Share, Shares};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use telemetry::Seen;
use units::{Moment, NetWattHours, NetWatts, UnixTime};

/// What a home is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The home.
    pub home: Arc<str>,
    /// Net power at its connection point; `None` gives it back to itself.
    pub power: Option<NetWatts>,
    /// It ends by itself after this time.
    pub valid: Duration,
    /// Rises with every step, also over a restart of the aggregator.
    pub sequence: u64,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is new or must be renewed.
    pub orders: Vec<Order>,
    /// All homes together.
    pub telemetry: Telemetry,
    /// The interval that ended, if one did since the last step.
    pub closed: Option<Closed>,
}

/// Many homes under way.
#[derive(Debug)]
pub struct Aggregate {
    setup: Setup,
    homes: Vec<Home>,
    /// Of each home, in the same order.
    tallies: Vec<Tally>,
    places: HashMap<Arc<str>, usize>,
    /// Room of the last step, to be used again.
    roles: Vec<Role>,
    shares: Shares,
    stepped: Option<Moment>,
    sequence: u64,
    lots: Lots,
    /// Last level of what homes gave, downwards and upwards, hours.
    levels: [f64; 2],
    /// What homes draw beyond what they are told, all together, smoothed, W.
    bias: f64,
    books: Books,
    of_lot: Sum,
    /// Homes that were known before a restart, and have not reported since.
    away: BTreeMap<String, Kept>,
}

/// The interval that runs.
#[derive(Debug, Default)]
struct Books {
    start: Option<UnixTime>,
    whole: bool,
    asked: bool,
    drawn: f64,
    wanted: Option<f64>,
    less: f64,
}

impl Aggregate {
    /// No home is known yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            homes: Vec::new(),
            tallies: Vec::new(),
            places: HashMap::new(),
            roles: Vec::new(),
            shares: Shares::default(),
            stepped: None,
            sequence: 0,
            lots: Lots::default(),
            levels: [0.0; 2],
            bias: 0.0,
            books: Books::default(),
            of_lot: Sum::NOTHING,
            away: BTreeMap::new(),
        }
    }

    /// How many homes are known.
    pub fn homes(&self) -> usize {
        self.homes.len()
    }

    /// What all homes draw now: as metered, and as expected of those that are silent.
    pub fn drawn(&self, now: Moment) -> NetWatts {
        let homes = self.homes.iter();
        let drawn = homes.map(|home| home.drawn(home.role(now, &self.setup), now)).sum();
        NetWatts::new(drawn).unwrap_or_default()
    }

    /// Takes a home's report, received now. A home not known before is taken in, owing as much as the
    /// others do.
    ///
    /// # Errors
    /// A report that contradicts itself, or one home too many; nothing is taken then.
    pub fn hear(&mut self, now: Moment, id: &str, report: Report) -> Result<(), BadReport> {
        report.check()?;
        if let Some(at) = self.places.get(id)
            && let Some((home, tally)) = self.homes.get_mut(*at).zip(self.tallies.get_mut(*at))
        {
            home.hear(report, now, &self.setup, tally);
            return Ok(());
        }
        if self.homes.len() >= self.setup.most {
            return Err(BadReport::Full);
        }
        let id: Arc<str> = id.into();
        let drawn = self.draws(self.lots.period.unwrap_or_default(), &id);
        let kept = self.away.remove(&*id);
        let owes = || self.levels.map(|level| (level - hours(self.setup.even) / 2.0).max(0.0));
        let given = kept.as_ref().map_or_else(owes, |kept| kept.given);
        self.places.insert(id.clone(), self.homes.len());
        // From half to three quarters of its time, by lot: not all homes are told at once.
        let renew = self.setup.valid.mul_f64(0.25 + 0.25 * (drawn[0] as f64 / u64::MAX as f64));
        let lot = (self.lots.group(drawn), renew);
        self.homes.push(Home::new(id, lot, report, given, now));
        self.tallies.push(Tally::begun_late(drawn, kept, &report, now));
        Ok(())
    }

    /// Decides, every few seconds. `wanted` is what all homes together are to draw, net, those that are
    /// not told anything included; `None` gives all back to themselves.
    pub fn step(&mut self, now: Moment, utc: UnixTime, wanted: Option<NetWatts>) -> Step {
        let time = self.stepped.map_or(Duration::ZERO, |last| now.since(last));
        self.stepped = Some(now);
        // A thousand steps a second would fit between two starts of this program.
        self.sequence = (self.sequence + 1).max(utc.0.saturating_mul(1000));
        let closed = self.turn(now, utc);
        let (called, mut roles) = (wanted.is_some(), std::mem::take(&mut self.roles));
        let mut seen = telemetry::look(&mut self.homes, &mut roles, now, &self.setup, called);
        let wanted = wanted.map(NetWatts::get);
        self.account(wanted, &seen.telemetry, time);
        let orders = match wanted {
            Some(wanted) => self.share(now, &roles, wanted, time, &mut seen),
            None => {
                self.bias = 0.0;
                (0..self.homes.len()).filter_map(|at| self.release(at, now)).collect()
            }
        };
        self.roles = roles;
        let telemetry = seen.telemetry;
        Step { orders, telemetry, closed }
    }

    /// Closes an interval that is over and draws the lot of a new period.
    fn turn(&mut self, now: Moment, utc: UnixTime) -> Option<Closed> {
        let start = utc.floor_to(self.setup.interval);
        let mut closed = None;
        let ended = self.books.start.is_some_and(|begun| begun != start);
        if self.books.start != Some(start) {
            let books = std::mem::take(&mut self.books);
            self.lots.told |= books.asked;
            let untold = !self.lots.told;
            let asked = books.asked && books.whole;
            let (homes, tallies) = (&mut self.homes, &mut self.tallies);
            let (given, records) =
                account::close(homes, tallies, &self.setup, (now, utc), asked, untold);
            let given = given.map(|given| self.of_lot.add(given));
            let delivered =
                given.and_then(|given| given.delivered(self.setup.meter, self.setup.confidence));
            let of_lot = OfLot {
                drawn: self.lots.period.unwrap_or_default(),
                given: self.of_lot.given(self.pulls()),
            };
            let energy = |wh: f64| NetWattHours::new(wh).unwrap_or_default();
            closed = books.start.filter(|_| books.whole).map(|start| Closed {
                start,
                length: self.setup.interval,
                wanted: books.wanted.map(energy),
                drawn: energy(books.drawn),
                asked: energy(books.less),
                delivered,
                of_lot,
                records,
            });
            // The first one began before this program did.
            let (whole, wanted) = (books.start.is_some(), Some(0.0));
            self.books = Books { start: Some(start), whole, wanted, ..Books::default() };
            self.forget(now);
        }
        self.draw(utc, ended);
        closed
    }

    fn draws(&self, period: UnixTime, id: &str) -> [u64; 2] {
        [period, period.after(self.setup.lot)].map(|one| lot::draw(self.setup.seed, one, id))
    }

    fn draw(&mut self, utc: UnixTime, interval_ended: bool) {
        let period = utc.floor_to(self.setup.lot);
        if self.lots.period != Some(period) {
            let follows = self.lots.period.is_some_and(|last| last.after(self.setup.lot) == period);
            let now = self.lots.next.filter(|_| follows);
            // What was kept for this lot is not touched any more.
            self.lots = Lots { period: Some(period), now, next: None, told: now.is_some() };
            self.of_lot = Sum::NOTHING;
            for kept in self.away.values_mut() {
                kept.habit.turn();
                kept.pull = Pull::default();
            }
            for at in 0..self.tallies.len() {
                let drawn = self.homes.get(at).map(|home| self.draws(period, &home.id));
                if let Some((tally, drawn)) = self.tallies.get_mut(at).zip(drawn) {
                    tally.drawn = drawn;
                    tally.turn();
                }
            }
            self.group();
        }
        // Not before the first interval's end: the homes are not known before.
        if interval_ended {
            let (part, least) = (self.setup.control, self.setup.least_control);
            let limit = |tallies: &[Tally], which: fn(&Tally) -> u64| {
                lot::limit(&mut tallies.iter().map(which).collect::<Vec<_>>(), part, least)
            };
            // Within a period they only grow, as homes come: nobody leaves a group half-way.
            self.lots.now = self.lots.now.max(limit(&self.tallies, |tally| tally.drawn[0]));
            if utc.after(self.setup.rest) >= period.after(self.setup.lot) {
                if self.lots.next.is_none() {
                    let away = self.away.values_mut().map(|kept| &mut kept.habit);
                    let here = self.tallies.iter_mut().map(|tally| &mut tally.habit);
                    here.chain(away).for_each(Habit::keep);
                }
                self.lots.next = self.lots.next.max(limit(&self.tallies, |tally| tally.drawn[1]));
            }
            self.group();
        }
    }

    /// Each home's part in the error of what was given since the lot was drawn.
    fn pulls(&self) -> impl Iterator<Item = Pull> + '_ {
        let here = self.tallies.iter().map(|tally| tally.pull);
        here.chain(self.away.values().map(|kept| kept.pull))
    }

    fn group(&mut self) {
        for (home, tally) in self.homes.iter_mut().zip(&self.tallies) {
            home.group = self.lots.group(tally.drawn);
        }
    }

    fn forget(&mut self, now: Moment) {
        let longest = self.setup.forget;
        let before = self.homes.len();
        let mut heard = self.homes.iter().map(|home| home.heard);
        self.tallies.retain(|_| heard.next().is_some_and(|heard| now.since(heard) <= longest));
        self.homes.retain(|home| now.since(home.heard) <= longest);
        if self.homes.len() < before {
            let places = self.homes.iter().enumerate().map(|(at, home)| (home.id.clone(), at));
            self.places = places.collect();
        }
    }

    fn account(&mut self, wanted: Option<f64>, all: &Telemetry, time: Duration) {
        let energy = |watts: f64| watts * hours(time);
        self.books.drawn += energy(all.drawn.get());
        self.books.less += wanted.map_or(0.0, |wanted| energy(all.own.get() - wanted));
        self.books.asked |= wanted.is_some();
        self.books.wanted = self.books.wanted.zip(wanted).map(|(sum, watts)| sum + energy(watts));
    }

    fn share(
        &mut self,
        now: Moment,
        roles: &[Role],
        wanted: f64,
        time: Duration,
        seen: &mut Seen,
    ) -> Vec<Order> {
        if seen.compared > 0 {
            // Follows what homes draw beyond what they are told, all together.
            let part = 1.0 - (-time.as_secs_f64() / self.setup.settle.as_secs_f64()).exp();
            self.bias += part * (seen.missed - self.bias);
        }
        let (own, others) = (seen.own, seen.others);
        let needed = wanted - others - self.bias;
        let way = if needed < own { Way::Down } else { Way::Up };
        let shares = self.levelled(now, roles, way, (needed - own).abs());
        let set = own + others + self.bias + sign(way) * shares.given();
        seen.telemetry.wanted = NetWatts::new(wanted).ok();
        seen.telemetry.set = NetWatts::new(set).unwrap_or_default();
        seen.telemetry.shortfall = NetWatts::new(set - wanted).unwrap_or_default();
        let orders = self.orders(now, roles, way, shares.all());
        self.shares = shares;
        orders
    }

    /// What each home that offers something gives; those astray are told their part but not counted on.
    fn levelled(&mut self, now: Moment, roles: &[Role], way: Way, needed: f64) -> Shares {
        let even = hours(self.setup.even).max(f64::MIN_POSITIVE);
        let floor = self.levels[way as usize] - even - hours(self.setup.arrears);
        let mut shares = std::mem::take(&mut self.shares);
        shares.clear();
        for (at, (home, role)) in self.homes.iter_mut().zip(roles).enumerate() {
            if matches!(role, Role::Ready | Role::Astray)
                && let Some(mut share) = home.offer(way, now, &self.setup)
            {
                home.given[way as usize] = share.given.max(floor);
                share.given = home.given[way as usize];
                (share.home, share.counted) = (at, *role == Role::Ready);
                shares.push(share);
            }
        }
        if let Some(level) = shares.share(needed, even, self.levels[way as usize]) {
            self.levels[way as usize] = self.levels[way as usize].max(level);
        }
        shares
    }

    /// What is told: changes beyond a dead band, of the others the largest until what they leave open is
    /// closed, and what must be renewed. Shares are in the order of homes.
    fn orders(&mut self, now: Moment, roles: &[Role], way: Way, shares: &[Share]) -> Vec<Order> {
        let mut orders = Vec::new();
        let (mut small, mut open, mut scale): (Vec<(f64, usize)>, f64, f64) = Default::default();
        let mut shares = shares.iter().peekable();
        for (at, role) in roles.iter().enumerate() {
            let share = shares.next_if(|share| share.home == at);
            let Some(share) = share.filter(|share| share.gives > 0.0) else {
                if *role != Role::Silent {
                    orders.extend(self.release(at, now));
                }
                continue;
            };
            let Some(home) = self.homes.get(at) else { continue };
            let power = home.report.own.get() + sign(way) * share.gives;
            scale += share.range;
            let before = home
                .order
                .filter(|order| order.expires > now.after(home.renew) && within(home, order.power));
            match before.map(|before| power - before.power) {
                Some(change) if change.abs() <= DEAD_BAND * share.range => {
                    open += if share.counted { change } else { 0.0 };
                    small.push((change, at));
                }
                _ => orders.extend(self.tell(at, way, power, now)),
            }
        }
        if open.abs() > OPEN * scale {
            small.retain(|(change, _)| change * open > 0.0);
            small.sort_unstable_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
            let sign = open.signum();
            for (change, at) in small {
                if open * sign <= 0.0 {
                    break;
                }
                open -= change;
                let before = self.homes.get(at).and_then(|home| home.order);
                let power = before.map(|before| before.power + change);
                orders.extend(power.and_then(|power| self.tell(at, way, power, now)));
            }
        }
        orders
    }

    fn tell(&mut self, at: usize, way: Way, power: f64, now: Moment) -> Option<Order> {
        let home = self.homes.get_mut(at)?;
        let gives = (home.report.own.get() - power).abs();
        let valid = home.lasts_at(way, gives, now, self.setup.valid);
        home.tell(power, now.after(valid), now, &self.setup);
        let power = NetWatts::new(power).ok()?;
        let home = home.id.clone();
        Some(Order { home, power: Some(power), valid, sequence: self.sequence })
    }

    /// Gives a home back to itself, if it is not its own already.
    fn release(&mut self, at: usize, now: Moment) -> Option<Order> {
        let home = self.homes.get_mut(at)?;
        let order = home.order.take()?;
        let home = home.id.clone();
        let left = order.expires.since(now);
        let valid = self.setup.valid;
        let order = Order { home, power: None, valid, sequence: self.sequence };
        (left > Duration::ZERO).then_some(order)
    }
}

/// Changes below this part of a home's range wait.
const DEAD_BAND: f64 = 0.02;
/// Together they may leave this part of all ranges open.
const OPEN: f64 = 0.001;

/// Whether an order is still what the home says it can hold.
fn within(home: &Home, power: f64) -> bool {
    (home.report.lowest.power.get()..=home.report.highest.power.get()).contains(&power)
}

fn sign(way: Way) -> f64 {
    match way {
        Way::Down => -1.0,
        Way::Up => 1.0,
    }
}

fn hours(time: Duration) -> f64 {
    time.as_secs_f64() / 3600.0
}
