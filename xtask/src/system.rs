//! What the machine must have installed: Debian packages and Rust's own tools.
//! Installs only what is missing, and packages only as root; otherwise it names them.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
};

use crate::{
    Outcome,
    run::{cargo, not_started, step, succeeds},
};

/// Makes sure of Debian packages; `for_what` ends the sentence.
pub fn packages(wanted: &[&str], for_what: &str) -> Outcome {
    let missing = missing(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_root() {
        return Err(format!(
            "{for_what} needs packages that are missing; install them with: \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}"
        ));
    }
    let remedy =
        "apt-get could not install what is missing: look at its messages above and try again";
    step("apt-get update", &mut apt(&["update", "-q"]), remedy)?;
    step(
        &format!("apt-get install {list}"),
        apt(&["install", "-q", "-y", "--no-install-recommends"]).args(&missing),
        remedy,
    )
}

/// Makes sure of `cargo fmt` and `cargo clippy`.
pub fn rust_tools() -> Outcome {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if succeeds(&mut cargo(&[tool, "--version"])) {
            continue;
        }
        step(
            &format!("rustup component add {component}"),
            Command::new("rustup").args(["component", "add", component]),
            &format!("{component} is missing and rustup could not add it: install {component}"),
        )?;
    }
    Ok(())
}

fn missing<'a>(wanted: &[&'a str]) -> Outcome<Vec<&'a str>> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f=${db:Status-Abbrev} ${Package}\n"]).args(wanted);
    match query.stdin(Stdio::null()).stderr(Stdio::null()).output() {
        Ok(output) => Ok(not_in(&String::from_utf8_lossy(&output.stdout), wanted)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!(
                "This is not Debian, so nothing is installed; what is needed is called there: {}",
                wanted.join(" ")
            );
            Ok(Vec::new())
        }
        Err(error) => Err(not_started(&query, &error)),
    }
}

/// Those of `wanted` that dpkg's list does not show as installed (`ii`).
fn not_in<'a>(list: &str, wanted: &[&'a str]) -> Vec<&'a str> {
    let has = |name: &str| {
        list.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("ii") && words.next() == Some(name)
        })
    };
    wanted.iter().copied().filter(|name| !has(name)).collect()
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    command
}

/// The owner of our own entry in /proc is the user we run as.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_when_it_is_wholly_installed() {
        let list = "ii  cmake\nrc  libevent-dev\nun  libboost-dev\nii  g++\n";
        let wanted = ["cmake", "g++", "libevent-dev", "libboost-dev", "capnproto"];
        assert_eq!(not_in(list, &wanted), ["libevent-dev", "libboost-dev", "capnproto"]);
        assert_eq!(not_in("", &["cmake"]), ["cmake"]);
    }
}
