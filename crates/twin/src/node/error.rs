//! What can go wrong with a private node, each as one sentence with a remedy.

use std::{io, path::PathBuf, process::ExitStatus};

use super::{PATIENCE, PORTS};

/// Why a private node could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No daemon anywhere.
    #[error(
        "Bitcoin Core was not found in $BITCOIND, on PATH or in {}: run `cargo xtask bitcoind` once to build it",
        cache.display()
    )]
    NotFound {
        /// The cache that was looked in.
        cache: PathBuf,
    },
    /// `$BITCOIND` is set and wrong.
    #[error("$BITCOIND is {}, which is not a file: correct it, or unset it to use another Bitcoin Core", path.display())]
    WrongVariable {
        /// What the variable says.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// No free port was found.
    #[error("no free port from {} to {} on 127.0.0.1: stop some of the programs that listen there", PORTS.start, PORTS.end)]
    NoPort,
    /// The daemon ended instead of serving.
    #[error("bitcoind ended at start ({status}): {message}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote last.
        message: String,
    },
    /// The daemon runs and does not answer, or does not end.
    #[error("bitcoind did not {what} within {} seconds: look at {}", PATIENCE.as_secs(), log.display())]
    Slow {
        /// What was waited for.
        what: &'static str,
        /// Its own log.
        log: PathBuf,
    },
    /// The node was killed or stopped.
    #[error("the private node is not running: call restart() first")]
    NotRunning,
    /// The node to connect to was started without `listen`.
    #[error("the other node does not listen: start it with `listen: true`")]
    NotListening,
    /// The call was answered with an error.
    #[error("{method}: {message} (code {code})")]
    Rpc {
        /// The method called.
        method: String,
        /// Bitcoin Core's number for it.
        code: i64,
        /// Bitcoin Core's words.
        message: String,
    },
    /// The answer was not one that JSON-RPC allows.
    #[error("{method}: the node's answer cannot be understood: {what}")]
    Answer {
        /// The method called.
        method: String,
        /// What was wrong.
        what: String,
    },
}

/// Turns the system's error into ours; `action` completes "cannot ...".
pub fn io_error(action: &str) -> impl FnOnce(io::Error) -> NodeError {
    let action = action.to_owned();
    move |source| NodeError::Io { action, source }
}

/// An answer that cannot be understood.
pub fn odd(method: &str, what: &str) -> NodeError {
    NodeError::Answer { method: method.to_owned(), what: what.to_owned() }
}
