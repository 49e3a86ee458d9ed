//! What a machine, a heater, a site or a contract is worth.
//!
//! Each file owns one question: its inputs with their defaults, the answer, and the report made of
//! it. All estimates are in dollars of no particular year, before tax.

pub mod ai;
pub mod dr;
mod given;
pub mod heat;
pub mod hours;
pub mod machine;
pub mod made_up;
mod mining;
pub mod nameplates;
pub mod nuclear;
pub mod reuse;
pub mod scale;
mod sensitivity;
pub mod solo;
pub mod surplus;

pub use crate::Given;
pub use given::Share;
pub use mining::{Capital, HOURS_PER_YEAR, Market, Mining, Network, recovery_factor};

use crate::{LabError, Report, report::Cell};

/// The report, unless a figure of it is no number or beyond anything in the world.
fn finished(report: Report) -> Result<Report, LabError> {
    let finite = |cell: &Cell| match cell {
        Cell::Number(value, _) | Cell::Figure(value) => value.abs() < 1e24,
        _ => true,
    };
    let tables = report.tables.iter().flat_map(|table| &table.rows).flatten();
    if tables.chain(report.inputs.iter().map(|input| &input.value)).all(finite) {
        Ok(report)
    } else {
        Err(LabError::new(
            "an input is so large or so small that nothing can be computed from it: look for a \
             wrong unit",
        ))
    }
}
