//! The day plan beside EMHASS, the energy management of Home Assistant, on the same made-up days.

use std::process::Command;

use crate::{
    Outcome, clients,
    run::{cargo, repository, step},
};

/// The version compared with.
const EMHASS: &str = "emhass==0.18.7";

/// Prints a table, and fails where hearth's plan costs more by over a thousandth.
pub fn compare() -> Outcome {
    let python = clients::python("emhass", EMHASS)?;
    step(
        "building hearth",
        &mut cargo(&["build", "--quiet", "--package", "hearth"]),
        "hearth does not build: see above",
    )?;
    let script = repository().join("crates/dispatch/tests/emhass/compare.py");
    let mut days = Command::new(python);
    days.arg(script).arg(cargo(&[]).get_program()).current_dir(repository());
    step(
        "ten days",
        days.args(["run", "--quiet", "--package", "hearth", "--"]),
        "a plan of hearth costs more than that of EMHASS, or breaks a rule: see above",
    )
}
