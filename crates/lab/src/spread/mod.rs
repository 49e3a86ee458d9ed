//! Concentration: who makes the templates, how few they are, what moves it, and what an observer can
//! see of it in the jobs that pools hand out.
//!
//! This module owns the measures, the comparison of templates and the alarms. Sockets and clocks are
//! the program's: observations come in with their time.

mod machine;
mod metrics;
mod missing;
mod overview;
mod pools;
mod shift;
mod similarity;
mod tags;
mod watch;

pub use machine::{Kind, Machine, Needed, default_network, needed, report as machines};
pub use metrics::{Concentration, Shares};
pub use missing::{Evidence, FoundBlock, Missing, OwnTemplate, OwnTransaction, Trial};
pub use overview::{blocks, report as overview};
pub use pools::{By, Pool, Pools};
pub use shift::{Coalition, Shift, Shifted, shift_below_half};
pub use similarity::{Clusters, similarity, transactions_alike};
pub use tags::{Tag, attribute, friends_of_antpool, readable, source as tag_source};
pub use watch::{Alarm, AlarmKind, Coinbase, Job, Settings, Tip, Watch};

use crate::report::Cell;

/// How a measure is shown.
type Measure = (&'static str, fn(&Concentration, &Shares) -> Cell);

const MEASURES: [Measure; 9] = [
    ("Nakamoto coefficient", |c, _| Cell::Count(c.nakamoto)),
    ("HHI", |c, _| Cell::Number(c.hhi, 0)),
    ("effective number", |c, _| Cell::Number(c.effective, 2)),
    ("Gini coefficient", |c, _| Cell::Number(c.gini, 3)),
    ("entropy, bits", |c, _| Cell::Number(c.entropy_bits, 3)),
    ("largest, %", |_, s| Cell::Number(100.0 * s.top(1), 1)),
    ("top 2, %", |_, s| Cell::Number(100.0 * s.top(2), 1)),
    ("top 3, %", |_, s| Cell::Number(100.0 * s.top(3), 1)),
    ("top 6, %", |_, s| Cell::Number(100.0 * s.top(6), 1)),
];
