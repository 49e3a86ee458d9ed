//! The tasks themselves: which programs run, in which order.

use std::process::Command;

use crate::{
    Outcome, bitcoind,
    run::{become_program, cargo, output, repository, step, succeeds},
    system,
};

/// `hearth demo`, with everything it needs.
pub fn demo(arguments: &[String]) -> Outcome {
    hearth("building hearth, then the demo", &["demo"], arguments)
}

/// The proofs of power control that take too long for every change, then `hearth bench stratum --soak`.
pub fn soak(time: u64) -> Outcome {
    step(
        "thousands of random hours of an engine, whole seasons of heat, 10,000 devices on a set-point",
        &mut cargo(&[
            "test",
            "--release",
            "--package",
            "hearth-dispatch",
            "--test",
            "engine",
            "--test",
            "season",
            "--test",
            "tracking",
            "--",
            "--ignored",
            "--nocapture",
        ]),
        "the engine left its band or its step, a control of heat cost more than the plainer one, or \
         devices missed their set-point: the lines above say in which hour or season, by its seed",
    )?;
    let time = format!("{time}s");
    hearth("building hearth, then the soak", &["bench", "stratum", "--soak", &time], &[])
}

/// What must hold before a change is taken. The test runner's own lines come last.
pub fn test() -> Outcome {
    system::rust_tools()?;
    system::packages(&["mosquitto"], "the tests of switched plugs")?;
    step(
        "format",
        &mut cargo(&["fmt", "--all", "--check"]),
        "some files are not formatted: run `cargo fmt --all`",
    )?;
    step(
        "lints",
        &mut cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
        "clippy found something: its messages above say what",
    )?;
    let bitcoind = bitcoind::ensure()?;
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    become_program("tests and doc tests", tests.env("BITCOIND", bitcoind))
}

/// Runs one fuzz target, or each, for `time` seconds.
pub fn fuzz(target: Option<&str>, time: u64) -> Outcome {
    system::packages(&["g++"], "libFuzzer")?;
    if !succeeds(&mut cargo(&["fuzz", "--version"])) {
        step(
            "cargo install cargo-fuzz",
            &mut cargo(&["install", "--locked", "cargo-fuzz"]),
            "cargo-fuzz could not be installed: install it by hand and run this again",
        )?;
    }
    let list = output(&mut cargo_fuzz(&["list"]))?;
    let known: Vec<&str> = list.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    let chosen = match target {
        None => known,
        Some(target) if known.contains(&target) => vec![target],
        Some(target) => {
            let known = known.join(", ");
            return Err(format!("there is no fuzz target `{target}`: choose one of {known}"));
        }
    };
    for target in chosen {
        // With the address sanitizer, which is the default: it also shows libFuzzer what strings
        // are compared with, so that words such as `mining.submit` are found within seconds.
        let mut run = cargo_fuzz(&["run", target, "--"]);
        step(
            &format!("fuzz {target} for {time} s"),
            run.arg(format!("-max_total_time={time}")).arg("-timeout=10"),
            &format!("{target} failed: the input is in fuzz/artifacts/{target}"),
        )?;
    }
    Ok(())
}

fn hearth(title: &str, task: &[&str], arguments: &[String]) -> Outcome {
    let bitcoind = bitcoind::ensure()?;
    let mut run = cargo(&["run", "--release", "--package", "hearth", "--"]);
    become_program(title, run.args(task).args(arguments).env("BITCOIND", bitcoind))
}

/// cargo-fuzz passes options that stable Rust only takes with this variable set.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = cargo(&["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1").current_dir(repository().join("fuzz"));
    command
}
