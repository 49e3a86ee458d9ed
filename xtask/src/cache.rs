//! Where built things are kept between clones. `find_bitcoind` in twin's `node.rs` looks in the
//! same place.

use std::{env, path::PathBuf};

use crate::Outcome;

/// `$HEARTH_CACHE`, else `$XDG_CACHE_HOME/hearth`, else `~/.cache/hearth`.
pub fn folder() -> Outcome<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("HEARTH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("hearth")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/hearth")))
        .ok_or("neither HOME nor HEARTH_CACHE is set: set HEARTH_CACHE to a folder to build in")?;
    std::path::absolute(&folder)
        .map_err(|error| format!("{} is not a usable path: {error}", folder.display()))
}
