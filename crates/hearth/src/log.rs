//! Log lines on standard error, so that a command's output stays its own.

use crate::config::{Log, LogFormat};
use std::{
    env,
    io::{self, IsTerminal},
};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Overrides the configured level for one run.
const VARIABLE: &str = "RUST_LOG";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The variable holds no filter.
    #[error(
        "{VARIABLE} is \"{0}\", which is no log level: set it to error, warn, info, debug or trace, \
         or to levels by module such as info,stratum=debug"
    )]
    Variable(String),
}

/// Sends all log lines of this process to standard error from now on. The variable `RUST_LOG`
/// overrides the configured level. A second call changes nothing.
pub fn start(log: &Log) -> Result<(), LogError> {
    let level = match env::var(VARIABLE) {
        Ok(level) if level.trim().is_empty() => log.level.clone(),
        Ok(level) if is_filter(&level) => level,
        Ok(level) => return Err(LogError::Variable(level)),
        Err(env::VarError::NotPresent) => log.level.clone(),
        Err(env::VarError::NotUnicode(level)) => {
            return Err(LogError::Variable(level.to_string_lossy().into_owned()));
        }
    };
    let registry = tracing_subscriber::registry().with(EnvFilter::new(level));
    let colours =
        io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(colours);
    // An error means that a subscriber is there already.
    let _ = match log.format {
        LogFormat::Human => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

/// Whether a text is a level or `module=level` parts between commas. `EnvFilter` itself would take
/// a mistyped level for the name of a module.
pub fn is_filter(text: &str) -> bool {
    let level = |level: &str| LEVELS.contains(&level.trim().to_ascii_lowercase().as_str());
    let module = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    };
    text.split(',').all(|part| match part.split_once('=') {
        Some((name, wanted)) => module(name.trim()) && level(wanted),
        None => level(part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_module() {
        for good in ["info", "WARN", "off", "info,stratum=debug", "chain::rpc=trace, warn"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "infoo", "info,", "stratum", "stratum=", "=info", "a b=info", "info;debug"]
        {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
