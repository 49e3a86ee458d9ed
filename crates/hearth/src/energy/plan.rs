//! The day plan of a running site: made anew at each of its steps, in a thread of its own, from what is
//! known then. It plans free loads; heated bodies plan for themselves.

use super::{inputs::price_at, loads::Held};
use crate::config::{Energy, Plan as Told};
use dispatch::plan::{self, Batch, Class, Earns, Level, Problem};
use grid::Signals;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use units::{EnergyPrice, Moment, NetWatts, UnixTime, Watts};

/// The last plan.
#[derive(Debug, Default)]
pub struct Planned {
    pub plan: Option<Made>,
    /// Why there is none, if there is none.
    pub trouble: Option<String>,
    pub busy: bool,
    /// Begin of the step for which one was last asked for.
    pub asked: Option<UnixTime>,
}

/// A plan and what it was made of.
#[derive(Debug)]
pub struct Made {
    pub plan: plan::Plan,
    pub made_at: UnixTime,
    pub took: Duration,
    pub step: Duration,
    pub prices: Vec<EnergyPrice>,
}

impl Planned {
    /// Power of all free loads that the plan wants now.
    pub fn now(&self, utc: UnixTime) -> Option<Watts> {
        let made = self.plan.as_ref()?;
        let holds = |at: UnixTime| at <= utc && utc < at.after(made.step);
        let interval = made.plan.intervals.iter().find(|interval| holds(interval.at))?;
        Some(interval.classes.iter().map(|class| class.power).sum())
    }
}

/// A load as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    pub held: &'a Held,
    pub level: usize,
    /// For how long it has been on, or off; `None` if it has not changed since the program began.
    pub since: Option<Duration>,
}

/// Longer than any minimum time.
const LONG: Duration = Duration::from_secs(86_400);

/// What is known, as a problem; a sentence where too little is.
pub fn problem(
    told: &Energy,
    running: &[Running<'_>],
    signals: &Signals,
    others: Option<NetWatts>,
    now: Moment,
    utc: UnixTime,
) -> Result<Problem, String> {
    let Told { step, horizon, .. } = told.plan;
    let start = utc.floor_to(step);
    let steps = (horizon.as_secs() / step.as_secs().max(1)).max(1) as usize;
    let mut import = Vec::new();
    for at in 0..steps {
        let time = start.after(step * at as u32);
        let time = if at == 0 { utc } else { time };
        match price_at(told, signals, now, utc, time) {
            Some(price) => import.push(price),
            // A day-ahead series ends at midnight: so does the plan.
            None if at >= 4 => break,
            None => return Err("no price is known for the hour ahead".into()),
        }
    }
    let mut classes: BTreeMap<String, Class> = BTreeMap::new();
    for one in running.iter().filter(|one| one.held.load.zone.is_none()) {
        let load = &one.held.load;
        let corners = load.corners();
        let on = |at: &usize| Level {
            power: load.levels[*at].power,
            earns: Earns::PerHour(load.levels[*at].value),
        };
        let levels: Vec<Level> = corners.iter().skip(1).map(on).collect();
        let key = format!("{:?}{:?}", load.class, levels);
        let class = classes.entry(key).or_insert_with(|| Class {
            name: load.id.clone(),
            count: 0,
            available: Vec::new(),
            off_power: load.power_at(0),
            min_on: load.times.min_on,
            min_off: load.times.min_off,
            start_cost: load.start_cost,
            stop_cost: units::Usd::default(),
            ramp_up: None,
            ramp_down: None,
            heats: None,
            now: Vec::new(),
            levels,
        });
        class.count += 1;
        let level = corners.iter().skip(1).rposition(|corner| *corner <= one.level);
        // Not carried over a restart of the program: then taken as long enough.
        class.now.push(Batch { count: 1, level, since: one.since.unwrap_or(LONG) });
    }
    if classes.is_empty() {
        return Err("there is no load that can be steered and is free to be planned".into());
    }
    let count = import.len();
    Ok(Problem {
        start,
        step,
        import,
        load: others.map_or_else(Vec::new, |others| vec![others; count]),
        export: vec![EnergyPrice::ZERO; count],
        import_limit: told.carries(),
        classes: classes.into_values().collect(),
        ..Problem::default()
    })
}

/// Makes a plan where one is due, away from the loop.
pub fn make(planned: &super::Shared<Planned>, problem: Problem, utc: UnixTime) {
    let planned: super::Shared<Planned> = Arc::clone(planned);
    super::hold(&planned).busy = true;
    tokio::task::spawn_blocking(move || {
        let began = std::time::Instant::now();
        let options = plan::Options {
            gap: 1e-3,
            patience: Duration::from_secs(10),
            ..plan::Options::default()
        };
        let result = plan::solve_with(&problem, options);
        let mut planned = super::hold(&planned);
        planned.busy = false;
        match result {
            Ok(plan) => {
                planned.trouble = None;
                planned.plan = Some(Made {
                    plan,
                    made_at: utc,
                    took: began.elapsed(),
                    step: problem.step,
                    prices: problem.import,
                });
            }
            // The last plan holds to its end.
            Err(error) => planned.trouble = Some(format!("no new plan: {error}")),
        }
    });
}
