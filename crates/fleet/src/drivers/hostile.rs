//! Machines that answer as no machine should, for the tests of what bounds them.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What it does with a connection after the first bytes of a request.
#[derive(Debug, Clone)]
pub(super) enum Does {
    /// Holds it in silence.
    Nothing,
    /// Says this and closes.
    Say(String),
    /// Says something, then something else for ever.
    Endless { first: &'static str, then: &'static str },
    /// A byte now and then.
    Drip { first: &'static str },
}

/// Starts one; it lives as long as the test.
pub(super) async fn hostile(does: Does) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let does = does.clone();
            tokio::spawn(async move {
                if stream.read(&mut [0; 4096]).await.is_err() {
                    return;
                }
                match does {
                    Does::Nothing => tokio::time::sleep(Duration::from_secs(60)).await,
                    Does::Say(text) => stream.write_all(text.as_bytes()).await.unwrap_or(()),
                    Does::Endless { first, then } => {
                        stream.write_all(first.as_bytes()).await.ok();
                        let many = then.repeat(1000);
                        while stream.write_all(many.as_bytes()).await.is_ok() {}
                    }
                    Does::Drip { first } => {
                        stream.write_all(first.as_bytes()).await.ok();
                        while stream.write_all(b" ").await.is_ok() {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
            });
        }
    });
    at
}
