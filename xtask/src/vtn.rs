//! A real OpenADR server, openleadr-vtn with PostgreSQL, and our end node against it. The server binds
//! all interfaces: it lives only as long as the test, with a database of its own.

use std::{fs, path::PathBuf};

use crate::{
    Outcome, cache,
    run::{cargo, step},
    system,
};

/// The version that the end node was written against.
const VERSION: &str = "0.2.8";

/// Installs what is missing, then runs the test that is otherwise ignored.
pub fn check() -> Outcome {
    // paho-mqtt, which the server links, builds a C library.
    let packages = ["cmake", "g++", "libssl-dev", "postgresql", "postgresql-client"];
    system::packages(&packages, "openleadr-vtn")?;
    let vtn = installed()?;
    let postgres = postgres()?;
    let test = ["--test", "operator", "--", "--include-ignored"];
    step(
        "the end node against openleadr-vtn",
        cargo(&["test", "--package", "hearth-grid", "--features", "openadr"])
            .args(test)
            .env("OPENLEADR_VTN", vtn)
            .env("POSTGRES_BIN", postgres),
        "the end node and openleadr-vtn do not understand each other: see above",
    )
}

fn installed() -> Outcome<PathBuf> {
    let root = cache::folder()?.join(format!("openleadr-vtn-{VERSION}"));
    let program = root.join("bin/openleadr-vtn");
    if !program.exists() {
        let features = "postgres,internal-oauth";
        step(
            &format!("cargo install openleadr-vtn {VERSION}"),
            cargo(&["install", "--debug", "openleadr-vtn", "--version", VERSION])
                .args(["--no-default-features", "--features", features, "--root"])
                .arg(&root),
            "openleadr-vtn could not be built: see above",
        )?;
    }
    Ok(program)
}

/// Debian keeps the server's programs out of PATH, by version.
fn postgres() -> Outcome<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        "PostgreSQL's programs are not under /usr/lib/postgresql: install the package postgresql"
            .to_owned()
    })
}
