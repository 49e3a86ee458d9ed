//! Has a plan made at each of its steps, and remembers between them. It carries nothing out.

use super::{
    super::{
        Shared, hold,
        loads::Held,
        outlook::{self, Outlook},
    },
    Asked, Basis, ENGINE, Known, Memory, Planned, Running, make, problem,
};
use crate::config::Energy;
use dispatch::site::Call;
use grid::{Signal, Signals};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use units::{Celsius, Moment, NetWatts, Ratio, UnixTime, Watts};

/// A generator that gives less than this part of what it is built for does not run.
pub const RUNS: f64 = 0.02;

/// One site's plans.
pub struct Planner {
    told: Arc<Energy>,
    folder: PathBuf,
    memory: Memory,
    pub planned: Shared<Planned>,
    kept: Option<UnixTime>,
}

/// A load and the level that it is set to.
pub type Set<'a> = (&'a Held, usize);

/// What is seen at a moment.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub signals: &'a Signals,
    /// Fresh net power.
    pub net: Option<NetWatts>,
    /// What the loads draw together.
    pub drawn: Watts,
    pub loads: &'a [Set<'a>],
    pub calls: &'a [Call],
    pub set_points: &'a BTreeMap<Arc<str>, Celsius>,
    /// What hashing earns is known.
    pub priced: bool,
    pub now: Moment,
    pub utc: UnixTime,
}

impl Planner {
    /// Remembers what the last run learned.
    pub fn new(told: Arc<Energy>, folder: PathBuf) -> Self {
        let memory = Memory::recall(&folder);
        Self { told, folder, memory, planned: Shared::default(), kept: None }
    }

    /// What is usual.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Learns from what is seen, and has a plan made where a step begins.
    pub fn step<'a>(&mut self, seen: &Seen<'a>) {
        let told = self.told.clone();
        self.learn(&told, seen);
        let step = seen.utc.floor_to(told.plan.step);
        if self.kept.replace(step) != Some(step) {
            let there: Vec<&str> = seen.loads.iter().map(|(held, _)| &*held.load.id).collect();
            self.memory.forget(&there);
            self.keep();
        }
        if !told.plan.enabled {
            return;
        }
        let basis = Basis { loads: seen.loads.len(), calls: seen.calls.len(), priced: seen.priced };
        let asked = Asked { at: seen.utc, step, basis };
        if seen.loads.is_empty() || !hold(&self.planned).due(asked) {
            return;
        }
        let running = |&(held, level): &Set<'a>| Running {
            held,
            level,
            since: self.memory.since(&held.load.id, level > 0, seen.utc),
        };
        let running: Vec<Running<'a>> = seen.loads.iter().map(running).collect();
        let known = Known {
            outlook: Outlook {
                told: &told,
                signals: seen.signals,
                memory: &self.memory,
                now: seen.now,
                utc: seen.utc,
            },
            running: &running,
            calls: seen.calls,
            drawn: seen.drawn,
            set_points: seen.set_points,
        };
        match problem(&known) {
            Ok(problem) => make(&self.planned, problem, seen.utc),
            Err(trouble) => {
                let mut planned = hold(&self.planned);
                planned.trouble = Some(format!("no day plan: {trouble}"));
                // Prices may come any moment.
                planned.asked = None;
            }
        }
    }

    fn learn(&mut self, told: &Energy, seen: &Seen<'_>) {
        let Seen { utc, now, .. } = *seen;
        outlook::learn(&mut self.memory, told, seen.signals, seen.drawn, (now, utc));
        if !told.plan.enabled {
            return;
        }
        for charge in &told.plan.demand {
            if let Some(net) = seen.net {
                let which = (charge.interval, &charge.applies);
                let import = net.import().get();
                self.memory.import(&charge.name, which, told.utc_offset, utc, import);
            }
        }
        for (held, level) in seen.loads {
            self.memory.stands(&held.load.id, *level > 0, utc);
        }
        let generator = seen
            .signals
            .generator
            .as_ref()
            .and_then(|told| told.reading.fresh(now, Signal::Generator.age_limit()).copied());
        if let (Some(engine), Some(power)) = (told.engine, generator) {
            let runs = engine.limits.rated.part(Ratio::new(RUNS).unwrap_or_default());
            self.memory.stands(&Arc::from(ENGINE), power > runs, utc);
        }
    }

    /// Writes what was learned, away from the loop.
    fn keep(&mut self) {
        let (memory, folder) = (self.memory.clone(), self.folder.clone());
        let written = move || {
            if let Err(error) = memory.keep(&folder) {
                tracing::warn!(%error, "what is usual at each time of day is not kept");
            }
        };
        // Outside of a runtime there is no loop to hold up.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(written)),
            Err(_) => written(),
        }
    }
}
