//! Connections: how many, how long, how much. Nobody holds the server up by being slow or loud.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore, time};

/// Connections at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// Time for a request's head, and for the next request on an idle connection.
const HEAD: Duration = Duration::from_secs(10);
/// A connection's whole life. A browser opens a new one.
const LIFE: Duration = Duration::from_secs(120);
/// A request's head and what hyper reads ahead, bytes.
const BUFFER: usize = 16 * 1024;
/// For answers under way when the program ends.
const GRACE: Duration = Duration::from_secs(3);
/// When no more sockets can be had.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    listener.local_addr()?;
    let mut shutdown = pin!(shutdown);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, place))
        };
        let (socket, place) = tokio::select! {
            next = next => match next {
                Ok(next) => next,
                Err(error) => {
                    tracing::debug!(%error, "web: accept");
                    time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let service = TowerToHyperService::new(routes.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(socket), service));
        tokio::spawn(async move {
            if let Ok(Err(error)) = time::timeout(LIFE, connection).await {
                tracing::debug!(%error, "web: connection");
            }
            drop(place);
        });
    }
    let _ = time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}
