//! Demand response hour by hour: when machines run, when they stand ready to be switched off for
//! pay, and when they are off. Never by a mean price, and no megawatt is promised twice.
//!
//! Each hour is decided for itself from that hour's prices, as a site that sees the market does;
//! starts are charged afterwards.
//!
//! ```text
//!            of the site, each hour
//!  ┌───────────────┬──────────────────────┬───────────────┐
//!  │ promised      │ offered to programmes│ by the price  │
//!  │ elsewhere     │ (runs, may be called)│ runs or off   │
//!  └───────────────┴──────────────────────┴───────────────┘
//! ```

mod report;

use super::{
    Capital, Mining,
    given::{assumed, no_debt, positive, zero_or_more},
    hours::Hours,
    mining::usd,
};
use crate::{Given, LabError};
use units::{EnergyPrice, HashPrice, Usd, Watts};

/// A site that can be switched off.
#[derive(Debug, Clone)]
pub struct Dr {
    /// What the machines earn.
    pub mining: Mining,
    /// What the machines cost; not part of the comparison, which is of the same machines.
    pub capital: Capital,
    /// Power of the site.
    pub power: Given<Watts>,
    /// Power promised in every hour to somebody else; never offered here. The file's `promised_mw`
    /// comes on top.
    pub promised: Given<Watts>,
    /// Fixed offers: what is offered in every hour to each programme. Empty: in each hour all that
    /// is free goes to the programme that pays best, or to none.
    pub offers: Vec<Offer>,
    /// The price at which the site switches off, if a firm bid was made; otherwise what hashing
    /// earns.
    pub bid: Option<Given<EnergyPrice>>,
    /// Charge for power drawn in the coincident peaks, per kilowatt and year, all peaks together.
    pub peak_charge_per_kw_year: Given<Usd>,
    /// Minutes of hashing lost with each start.
    pub start_minutes: Given<f64>,
    /// `price_usd_per_mwh`; for each programme X `X_usd_per_mw` (availability, per hour), `X_call`
    /// (part of the hour called, 0 to 1) and perhaps `X_usd_per_mwh` (paid for energy not drawn
    /// when called); `peak` (1 in a coincident peak), `peak_warning` (1 where one was to be
    /// feared), `promised_mw`.
    pub hours: Hours,
}

/// Power offered to a programme in every hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The programme, as the file's columns name it.
    pub programme: String,
    /// How much.
    pub power: Watts,
}

/// A year of the free megawatts, dollars for the whole site.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Year {
    /// Megawatt-hours drawn.
    pub drawn_mwh: f64,
    /// Earned by hashing.
    pub hashing: f64,
    /// Paid for power.
    pub power: f64,
    /// Paid by programmes.
    pub programmes: f64,
    /// Charged for coincident peaks.
    pub peaks: f64,
    /// Hashing lost to starts.
    pub starts: f64,
}

impl Year {
    /// What is left.
    pub fn net(&self) -> f64 {
        self.hashing + self.programmes - self.power - self.peaks - self.starts
    }

    fn add(&mut self, other: Self) {
        self.drawn_mwh += other.drawn_mwh;
        self.hashing += other.hashing;
        self.power += other.power;
        self.programmes += other.programmes;
        self.peaks += other.peaks;
        self.starts += other.starts;
    }
}

/// What the year brings in each way of running.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Always on, no programme.
    pub always_on: Year,
    /// Off whenever power costs more than hashing earns; no programme, no care for peaks.
    pub by_price: Year,
    /// By price, programmes and peaks.
    pub all: Year,
    /// What the year's mean prices would promise.
    pub by_mean: f64,
    /// `all` less `always_on` by hour.
    pub gains: Vec<f64>,
    /// Power offered to programmes by hour, megawatts.
    pub offered_mw: Vec<f64>,
    /// Power promised elsewhere by hour, megawatts.
    pub promised_mw: Vec<f64>,
    /// Hours in which some of the free power is off by choice.
    pub hours_off: u64,
    /// `all` by month.
    pub months: Vec<Year>,
}

struct Programme<'a> {
    name: &'a str,
    availability: &'a [f64],
    call: &'a [f64],
    energy: Option<&'a [f64]>,
}

/// The columns, checked.
struct Columns<'a> {
    price: &'a [f64],
    programmes: Vec<Programme<'a>>,
    /// Dollars per megawatt of running in each hour, really charged.
    charged: Vec<f64>,
    /// The same as it could be known beforehand.
    feared: Vec<f64>,
    promised: Option<&'a [f64]>,
}

impl Dr {
    /// With all inputs but the year at their defaults.
    pub fn new(hours: Hours) -> Self {
        Self {
            mining: Mining::default(),
            capital: Capital::default(),
            power: Given::default(Watts::MEGA, "one megawatt, to be multiplied", "2025"),
            promised: Given::default(Watts::ZERO, "nothing is promised elsewhere", "2025"),
            offers: Vec::new(),
            bid: None,
            peak_charge_per_kw_year: Given::default(
                usd(100.0),
                "middle of $50 to 150 per kW and year",
                "2025",
            ),
            start_minutes: assumed(10.0),
            hours,
        }
    }

    /// Computes, hour by hour.
    pub fn answer(&self) -> Result<Answer, LabError> {
        let columns = self.columns()?;
        let worth = self.mining.earns()?.usd_per_mwh();
        let threshold = self.bid.as_ref().map_or(worth, |bid| bid.value.usd_per_mwh());
        let site = positive(self.power.value.megawatts(), "the power of the site")?;
        let minutes = zero_or_more(self.start_minutes.value, "minutes lost with a start")?;
        let per_start = worth * minutes / 60.0;
        let fixed = self.fixed_offers(&columns)?;
        let offered: f64 = fixed.iter().map(|(_, mw)| mw).sum();

        let mut answer = Answer {
            always_on: Year::default(),
            by_price: Year::default(),
            all: Year::default(),
            by_mean: self.by_mean(&columns, worth, site),
            gains: Vec::with_capacity(columns.price.len()),
            offered_mw: Vec::with_capacity(columns.price.len()),
            promised_mw: Vec::with_capacity(columns.price.len()),
            hours_off: 0,
            months: vec![Year::default(); 12],
        };
        let (mut on_before, mut on_by_price_before) = (None::<f64>, None::<f64>);
        for (hour, price) in columns.price.iter().enumerate() {
            let promised =
                self.promised.value.megawatts() + columns.promised.map_or(0.0, |p| p[hour]);
            let free = self.free(hour, site, promised, offered)?;
            let charged = columns.charged[hour];
            let run = |mw: f64| Year {
                drawn_mwh: mw,
                hashing: worth * mw,
                power: price * mw,
                peaks: charged * mw,
                ..Year::default()
            };
            let always = run(free);

            let on = if threshold >= *price { free } else { 0.0 };
            let mut by_price = run(on);
            by_price.starts = per_start * (on - on_by_price_before.unwrap_or(on)).max(0.0);
            on_by_price_before = Some(on);

            let hour_of = Hour { hour, price: *price, worth, threshold, free };
            let Decided { mut all, runs, idle, offered: offered_now } =
                columns.decide(&hour_of, &fixed);
            all.starts = per_start * (runs - on_before.unwrap_or(runs)).max(0.0);
            on_before = Some(runs);

            answer.hours_off += u64::from(idle > 0.0);
            answer.gains.push(all.net() - always.net());
            answer.offered_mw.push(offered_now);
            answer.promised_mw.push(promised);
            answer.months[self.hours.month(hour)].add(all);
            answer.always_on.add(always);
            answer.by_price.add(by_price);
            answer.all.add(all);
        }
        Ok(answer)
    }

    /// The least price that a firm offer to switch off should ask: what hashing earns at this hash
    /// price, and the start, spread over a call of one hour.
    pub fn least_bid(&self, hash_price: HashPrice) -> Result<EnergyPrice, LabError> {
        let gross = hash_price.earns_per_kwh(self.mining.efficiency.value);
        let earns = gross * (self.mining.fee.value.rest() * self.mining.uptime.value.get());
        Ok(earns * (1.0 + self.start_minutes.value / 60.0))
    }

    fn free(&self, hour: usize, site: f64, promised: f64, offered: f64) -> Result<f64, LabError> {
        let free = site - promised;
        let number = hour + 1;
        if free < -1e-9 {
            return Err(LabError::new(format!(
                "in hour {number} {promised} MW are promised elsewhere, but the site has \
                 {site} MW: correct the promise or the power of the site"
            )));
        }
        if offered > free + 1e-9 {
            return Err(LabError::new(format!(
                "in hour {number} {offered} MW are offered, but only {free} MW of {site} MW \
                 are free: what is promised elsewhere or to another programme cannot be offered \
                 again; offer less"
            )));
        }
        Ok(free.max(0.0))
    }

    fn fixed_offers<'a>(
        &self,
        columns: &'a Columns<'_>,
    ) -> Result<Vec<(&'a Programme<'a>, f64)>, LabError> {
        let mut fixed: Vec<(&Programme<'_>, f64)> = Vec::new();
        for offer in &self.offers {
            let Some(programme) = columns.programmes.iter().find(|p| p.name == offer.programme)
            else {
                let names: Vec<&str> = columns.programmes.iter().map(|p| p.name).collect();
                return Err(LabError::new(format!(
                    "{} has no programme \"{wanted}\", which needs columns {wanted}_usd_per_mw and \
                     {wanted}_call; it has: {}",
                    self.hours.origin(),
                    if names.is_empty() { "none".into() } else { names.join(", ") },
                    wanted = offer.programme,
                )));
            };
            if fixed.iter().any(|(other, _)| other.name == programme.name) {
                return Err(LabError::new(format!(
                    "the programme {} is offered twice; give one offer with the whole power",
                    programme.name
                )));
            }
            fixed.push((programme, offer.power.megawatts()));
        }
        Ok(fixed)
    }

    fn columns(&self) -> Result<Columns<'_>, LabError> {
        let hours = &self.hours;
        let price = hours.column("price_usd_per_mwh")?;
        let mut programmes = Vec::new();
        for name in hours.named("_call") {
            let column = format!("{name}_usd_per_mw");
            hours.column(&column)?;
            programmes.push(Programme {
                name,
                availability: hours.within(&column, (0.0, f64::INFINITY))?.unwrap_or_default(),
                call: hours.within(&format!("{name}_call"), (0.0, 1.0))?.unwrap_or_default(),
                energy: hours.within(&format!("{name}_usd_per_mwh"), (0.0, f64::INFINITY))?,
            });
        }
        let charge =
            no_debt(self.peak_charge_per_kw_year.value, "the charge for peaks")?.get() * 1000.0;
        let spread = |marks: &[f64]| {
            let marked: f64 = marks.iter().sum();
            let each = if marked > 0.0 { charge / marked } else { 0.0 };
            marks.iter().map(|mark| mark * each).collect::<Vec<f64>>()
        };
        let none = vec![0.0; price.len()];
        let peak = hours.within("peak", (0.0, 1.0))?.map_or_else(|| none.clone(), spread);
        let warned = hours.within("peak_warning", (0.0, 1.0))?.map(spread);
        let feared = warned.unwrap_or_else(|| peak.clone());
        Ok(Columns {
            price,
            programmes,
            charged: peak,
            feared,
            promised: hours.within("promised_mw", (0.0, f64::INFINITY))?,
        })
    }

    /// As many quotes do it: mean prices times hours, all free power in the best programme, no peak
    /// met.
    fn by_mean(&self, columns: &Columns<'_>, worth: f64, site: f64) -> f64 {
        let hours = columns.price.len() as f64;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / hours.max(1.0);
        let promised = self.promised.value.megawatts() + columns.promised.map_or(0.0, mean);
        let best = columns.programmes.iter().map(|p| mean(p.availability)).fold(0.0, f64::max);
        ((worth - mean(columns.price)).max(0.0) + best) * hours * (site - promised).max(0.0)
    }
}

/// One hour of the free power.
struct Hour {
    hour: usize,
    price: f64,
    worth: f64,
    threshold: f64,
    free: f64,
}

/// What becomes of it, in megawatts.
#[derive(Default)]
struct Decided {
    /// Its money.
    all: Year,
    /// Runs; not what a programme calls.
    runs: f64,
    /// Is off by choice, not called.
    idle: f64,
    /// Is offered to programmes.
    offered: f64,
}

impl Columns<'_> {
    fn decide(&self, of: &Hour, fixed: &[(&Programme<'_>, f64)]) -> Decided {
        let feared = self.feared[of.hour];
        if !fixed.is_empty() {
            let mut decided = Decided::default();
            for (programme, mw) in fixed {
                decided.all.add(self.offered(programme, of, *mw));
                decided.runs += mw * (1.0 - programme.call[of.hour]);
                decided.offered += mw;
            }
            let rest = of.free - decided.offered;
            if of.threshold - of.price >= feared {
                decided.all.add(self.run(of, rest));
                decided.runs += rest;
            } else {
                decided.idle = rest;
            }
            return decided;
        }
        let best = self
            .programmes
            .iter()
            .map(|programme| (programme, self.expected(programme, of)))
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        let by_price = (of.threshold - of.price - feared).max(0.0);
        match best {
            Some((programme, value)) if value > by_price => Decided {
                all: self.offered(programme, of, of.free),
                runs: of.free * (1.0 - programme.call[of.hour]),
                idle: 0.0,
                offered: of.free,
            },
            _ if of.threshold - of.price >= feared => {
                Decided { all: self.run(of, of.free), runs: of.free, ..Decided::default() }
            }
            _ => Decided { idle: of.free, ..Decided::default() },
        }
    }

    /// A megawatt offered for an hour: pay for standing ready, and running while not called.
    fn expected(&self, programme: &Programme<'_>, of: &Hour) -> f64 {
        let call = programme.call[of.hour];
        let energy = programme.energy.map_or(0.0, |energy| energy[of.hour]);
        programme.availability[of.hour]
            + call * energy
            + (1.0 - call) * (of.worth - of.price - self.feared[of.hour])
    }

    fn offered(&self, programme: &Programme<'_>, of: &Hour, mw: f64) -> Year {
        let call = programme.call[of.hour];
        let energy = programme.energy.map_or(0.0, |energy| energy[of.hour]);
        let pay = (programme.availability[of.hour] + call * energy) * mw;
        Year { programmes: pay, ..self.run(of, mw * (1.0 - call)) }
    }

    fn run(&self, of: &Hour, mw: f64) -> Year {
        Year {
            drawn_mwh: mw,
            hashing: of.worth * mw,
            power: of.price * mw,
            peaks: self.charged[of.hour] * mw,
            ..Year::default()
        }
    }
}

#[cfg(test)]
mod tests;
