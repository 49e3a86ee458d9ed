//! Client libraries of others against the emulated farm: what they find, read and steer.

use std::{path::PathBuf, process::Command};

use crate::{
    Outcome,
    run::{cargo, repository, step, succeeds},
};

/// The version that was read to build the emulators.
const PYASIC: &str = "pyasic==0.79.0";

/// Both libraries, one after the other; each prints what it could do.
pub fn check() -> Outcome {
    let python = python("clients", PYASIC)?;
    // The whole workspace, as for the tests: a part of it has features, and so a build, of its own.
    step(
        "building the farm",
        &mut cargo(&["build", "--quiet", "--workspace", "--bins"]),
        "hearth does not build: see above",
    )?;
    let script = repository().join("crates/twin/tests/clients/pyasic_check.py");
    let mut pyasic = Command::new(python);
    pyasic.arg(script).arg(target().join("debug/hearth")).current_dir(repository());
    step(
        "pyasic",
        pyasic.args(["twin", "farm"]),
        "pyasic did not find, read or steer every machine: the lines with FAIL say which",
    )?;
    let test = ["--test", "unmodified", "--", "--ignored", "--nocapture"];
    step(
        "asic-rs",
        cargo(&["test", "--quiet", "--workspace"]).args(test),
        "asic-rs did not find, read or steer every machine: the lines with FAIL say which",
    )
}

/// A Python of our own with a package in it (`name==version`), made once in a folder of the target's.
pub fn python(folder: &str, package: &str) -> Outcome<PathBuf> {
    let home = target().join(folder);
    let python = home.join("bin/python");
    let name = package.split("==").next().unwrap_or(package);
    let wanted = format!(
        "import importlib.metadata as m; assert '{package}' == '{name}==' + m.version('{name}')"
    );
    if succeeds(Command::new(&python).args(["-c", &wanted])) {
        return Ok(python);
    }
    step(
        "python3 -m venv",
        Command::new("python3").args(["-m", "venv"]).arg(&home),
        "no virtual environment could be made: install Python 3.11 or later with its venv module",
    )?;
    step(
        &format!("pip install {package}"),
        Command::new(&python).args(["-m", "pip", "install", "--quiet", package]),
        &format!("{name} could not be installed: see above"),
    )?;
    Ok(python)
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}
