//! Starting other programs and saying which step runs. Progress goes to standard error, so that
//! standard output stays what the task prints (`demo --json`).

use std::{
    env, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Outcome;

/// The cargo that runs us.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(repository());
    command
}

/// The folder with the workspace's Cargo.toml.
pub fn repository() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}

/// Runs one step with its output shown; `failed` is the sentence when it does not succeed.
pub fn step(title: &str, command: &mut Command, failed: &str) -> Outcome {
    eprintln!("==> {title}");
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{failed} ({status})")) }
}

/// Becomes the program, so that signals sent to the task reach it. Only returns if that failed.
pub fn become_program(title: &str, command: &mut Command) -> Outcome {
    eprintln!("==> {title}");
    let error = command.exec();
    Err(not_started(command, &error))
}

/// Whether the command runs and succeeds, with nothing shown.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// What the command prints.
pub fn output(command: &mut Command) -> Outcome<String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` failed ({})", name(command), output.status));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("`{}` printed something that is not UTF-8", name(command)))
}

/// The sentence for a program that cannot be started.
pub fn not_started(command: &Command, error: &io::Error) -> String {
    let name = name(command);
    if error.kind() == io::ErrorKind::NotFound {
        format!("`{name}` is not installed: install it and run this again")
    } else {
        format!("`{name}` cannot be started: {error}")
    }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
