//! When to stop: the first SIGTERM or SIGINT asks for a clean end, the second ends the process at
//! once.

use std::{future::Future, io, process};
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Exit code after a second signal, as shells show an interrupted program.
const INTERRUPTED: i32 = 130;

/// Listens from now on; the future gives the name of the first signal. Must be called inside a
/// runtime, whose threads also serve the second signal.
pub fn listen() -> io::Result<impl Future<Output = &'static str> + Send + 'static> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let first = either(&mut term, &mut int).await;
        // Nobody waits any more: the program is ending by itself.
        let _ = tell.send(first);
        let second = either(&mut term, &mut int).await;
        eprintln!("hearth: {second} again: stopped at once");
        process::exit(INTERRUPTED);
    });
    // Without a sender the runtime is shutting down, which needs no further request.
    Ok(async move { told.await.unwrap_or("end") })
}

async fn either(term: &mut Signal, int: &mut Signal) -> &'static str {
    select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
