//! One HTTP request with a deadline and a bounded answer. Follows no redirect, keeps no connection and
//! believes no length that a machine announces.

use super::{CONNECT_DEADLINE, MAX_ANSWER};
use crate::driver::{DriverError, Reply};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Method, Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// Longest head of an answer, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Longest text of a machine that is shown to people, characters.
const WORDS: usize = 200;

/// An answer read whole.
#[derive(Debug, Clone)]
pub struct Page {
    /// 200.
    pub status: u16,
    /// At most [`MAX_ANSWER`].
    pub body: Bytes,
}

impl Page {
    /// The body as JSON if the machine said yes.
    pub fn json(&self) -> Result<Value, DriverError> {
        match self.status {
            401 | 403 => return Err(DriverError::Credentials),
            200..300 => {}
            status => return Err(DriverError::Garbage(format!("HTTP status {status}"))),
        }
        serde_json::from_slice(&self.body).map_err(|error| DriverError::Garbage(error.to_string()))
    }

    /// What the machine said to a command.
    pub fn reply(&self) -> Result<Reply, DriverError> {
        match self.status {
            200..300 => Ok(Reply::Accepted),
            401 | 403 => Err(DriverError::Credentials),
            status => {
                let text = String::from_utf8_lossy(&self.body);
                let words: String = text.chars().filter(|c| !c.is_control()).take(WORDS).collect();
                Ok(Reply::Refused(format!("{status} {words}").trim_end().into()))
            }
        }
    }
}

/// Reads a page.
pub async fn get(at: SocketAddr, path: &str, deadline: Duration) -> Result<Page, DriverError> {
    send(at, Method::GET, path, None, deadline).await
}

/// Sends one request on a connection of its own; `deadline` holds for all of it.
pub async fn send(
    at: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
    deadline: Duration,
) -> Result<Page, DriverError> {
    let stream = connect(at, deadline).await?;
    let talk = talk(stream, at, method, path, body);
    timeout(deadline, talk).await.map_err(|_| DriverError::Silent(deadline))?
}

/// A connection, or that there is none: nothing was sent then.
pub(super) async fn connect(at: SocketAddr, deadline: Duration) -> Result<TcpStream, DriverError> {
    let connecting = timeout(deadline.min(CONNECT_DEADLINE), TcpStream::connect(at));
    let stream = match connecting.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(DriverError::Unreachable(format!("{at}: {error}"))),
        Err(_) => return Err(DriverError::Unreachable(format!("{at} does not answer"))),
    };
    stream.set_nodelay(true).ok();
    Ok(stream)
}

async fn talk(
    stream: TcpStream,
    at: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Page, DriverError> {
    let garbage = |error: &dyn std::fmt::Display| DriverError::Garbage(error.to_string());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, at.to_string())
        .header(header::CONNECTION, "close");
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| garbage(&error))?;

    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| garbage(&error))?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| garbage(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => DriverError::TooLong(MAX_ANSWER),
            false => garbage(&error),
        })?;
        Ok(Page { status, body: body.to_bytes() })
    };
    // The connection moves only while it is polled; dropped with this future, it is closed.
    tokio::pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        _ = connection => asking.await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{Does, hostile};
    use super::*;

    const SOON: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn every_hostile_web_server_costs_little_and_ends_in_time() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        for (does, ends) in [
            (Does::Nothing, DriverError::Silent(SOON)),
            (Does::Endless { first: head, then: "{\"a\":[" }, DriverError::TooLong(MAX_ANSWER)),
            (Does::Drip { first: head }, DriverError::Silent(SOON)),
        ] {
            let at = hostile(does).await;
            assert_eq!(get(at, "/", SOON).await.map(|page| page.status), Err(ends));
        }
        for garbage in ["\0\u{7}no http at all\r\n\r\n", ""] {
            let at = hostile(Does::Say(garbage.into())).await;
            assert!(matches!(get(at, "/", SOON).await, Err(DriverError::Garbage(_))));
        }
        let endless_head =
            Does::Endless { first: "HTTP/1.1 200 OK\r\n", then: "X: yyyyyyyyyyy\r\n" };
        let at = hostile(endless_head).await;
        assert!(matches!(get(at, "/", SOON).await, Err(DriverError::Garbage(_))));
    }

    #[tokio::test]
    async fn a_length_of_four_gigabytes_is_not_believed() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 4294967295\r\n\r\n{}";
        let at = hostile(Does::Say(head.into())).await;
        assert!(get(at, "/", SOON).await.is_err());
    }

    #[tokio::test]
    async fn json_nested_without_end_is_garbage_and_no_overflow() {
        let deep = "[".repeat(200_000);
        let at = hostile(Does::Say(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{deep}",
            deep.len()
        )))
        .await;
        let page = get(at, "/", Duration::from_secs(2)).await.unwrap();
        assert!(matches!(page.json(), Err(DriverError::Garbage(_))));
    }

    #[tokio::test]
    async fn nobody_there_means_that_nothing_was_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let error = get(at, "/", SOON).await.unwrap_err();
        assert!(!error.may_have_arrived(), "{error}");
    }
}
