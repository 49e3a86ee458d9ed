//! The ports of a machine: HTTP/1 on the web port, with the live stream where the firmware has one, cgminer's framing on 4028, and the faults that a
//! connection can have. What is said is the firmware's; what is misheard is here.

use super::{
    device::Device,
    fault::Fault,
    firmware::{Answer, Ask, axeos, braiins_grpc},
    spec::Kind,
};
use bytes::Bytes;
use futures_util::SinkExt;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::IgnoredAny;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

/// Longest request, of either port.
const MAX_REQUEST: usize = 64 * 1024;
/// Time for a request to come whole.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Silence after which a web connection is closed.
const KEPT_ALIVE: Duration = Duration::from_secs(30);
/// Time for the other side to close after the answer, so that nothing unread resets the connection.
const CLOSING: Duration = Duration::from_secs(1);
/// A machine that never answers still lets go at last.
const MUTE_TIME: Duration = Duration::from_secs(600);
/// An endless answer ends at last: bytes.
const ENDLESS: usize = 1 << 30;
/// The port of the web interface, as firmware has it.
pub(super) const WEB: u16 = 80;

/// Serves one connection to this port of this machine (the firmware's number, not the shifted one).
pub(super) async fn serve(device: Arc<Device>, port: u16, mut stream: TcpStream) {
    stream.set_nodelay(true).ok();
    match device.fault() {
        Some(Fault::Mute) => mute(stream).await,
        Some(Fault::Garbage) => garbage(stream).await,
        Some(Fault::Endless) => endless(stream, port).await,
        _ if port == WEB => web(device, stream).await,
        _ if port == braiins_grpc::PORT => {
            let answer = move |ask| answer(device.clone(), ask);
            braiins_grpc::serve(stream, answer).await.ok();
        }
        _ => {
            // A client that goes away in the middle is no news.
            if cgminer(&device, &mut stream).await.is_ok() {
                close(stream).await;
            }
        }
    }
}

async fn web(device: Arc<Device>, stream: TcpStream) {
    let service = service_fn(|request| http(device.clone(), request));
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(KEPT_ALIVE).max_buf_size(MAX_REQUEST);
    // Hung up on purpose, or by the client: no news either.
    server.serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok();
}

async fn answer(device: Arc<Device>, ask: Ask) -> Answer {
    let (answer, late) = device.ask(&ask);
    sleep(late).await;
    answer
}

/// The error is how hyper is told to close without a word.
async fn http(
    device: Arc<Device>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Hangup> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let streams = device.kind() == Kind::BitaxeGamma && request.uri().path() == axeos::LIVE;
    if let Some(key) = key.filter(|_| streams && device.is_awake()) {
        let accept = derive_accept_key(key.as_bytes());
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            // A client that goes away is no news.
            if let Ok(stream) = upgrade.await {
                live(&device, TokioIo::new(stream)).await.ok();
            }
        });
        let response = Response::builder()
            .status(101)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, accept);
        return response.body(Full::default()).map_err(|_| Hangup);
    }
    let (head, body) = request.into_parts();
    let authorization = head.headers.get(header::AUTHORIZATION);
    let body = timeout(REQUEST_TIME, Limited::new(body, MAX_REQUEST).collect())
        .await
        .map_err(|_| Hangup)?
        .map_err(|_| Hangup)?;
    let ask = Ask::Http {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string),
        authorization: authorization.and_then(|value| value.to_str().ok()).map(Into::into),
        body: body.to_bytes().into(),
    };
    let (answer, late) = device.ask(&ask);
    sleep(late).await;
    let Answer::Http { status, headers, body } = answer else { return Err(Hangup) };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::from(body)).map_err(|_| Hangup)
}

/// All that `info` tells, then what has changed, until either side ends. Faults are those of `info`.
async fn live(device: &Device, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Hangup> {
    let mut stream = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let ask = Ask::Http {
        method: "GET".into(),
        path: "/api/system/info".into(),
        authorization: None,
        body: vec![],
    };
    let mut before = None;
    while !device.world().stopped() {
        let (answer, late) = device.ask(&ask);
        let Answer::Http { status: 200, body, .. } = answer else { return Err(Hangup) };
        let now = serde_json::from_slice(&body).map_err(|_| Hangup)?;
        if let Some(news) = axeos::live(before.as_ref(), &now) {
            let sent = stream.send(Message::text(news.to_string()));
            timeout(KEPT_ALIVE, sent).await.map_err(|_| Hangup)?.map_err(|_| Hangup)?;
        }
        before = Some(now);
        sleep(late + device.world().real(axeos::LIVE_EVERY)).await;
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("the machine hangs up")]
struct Hangup;

/// One request, one answer with a zero byte behind it; further lines where the firmware wants them.
async fn cgminer(device: &Device, stream: &mut TcpStream) -> std::io::Result<()> {
    let mut held = Vec::new();
    while let Some(line) = timeout(REQUEST_TIME, line(stream, &mut held)).await?? {
        let (answer, late) = device.ask(&Ask::Line(line));
        sleep(late).await;
        match answer {
            Answer::LineThenMore(text) => stream.write_all(text.as_bytes()).await?,
            Answer::Line(text) => {
                return stream.write_all(&[text.as_bytes(), b"\0"].concat()).await;
            }
            Answer::Hangup | Answer::Http { .. } => return Ok(()),
        }
    }
    Ok(())
}

/// The next request: as soon as its JSON is whole, or to the end of the line if it is none. `None` at
/// the end of the connection, and when too much comes.
async fn line(stream: &mut TcpStream, held: &mut Vec<u8>) -> std::io::Result<Option<String>> {
    loop {
        if let Some(end) = whole(held) {
            let rest = held.split_off(end);
            let line = std::mem::replace(held, rest);
            return Ok(Some(String::from_utf8_lossy(&line).trim().to_owned()));
        }
        if held.len() > MAX_REQUEST {
            return Ok(None);
        }
        if stream.read_buf(held).await? == 0 {
            return Ok(None);
        }
    }
}

/// Where the first request ends.
fn whole(held: &[u8]) -> Option<usize> {
    let start = held.iter().position(|b| !b.is_ascii_whitespace() && *b != 0)?;
    let text = &held[start..];
    let newline = || memchr::memchr(b'\n', text).map(|end| start + end + 1);
    if text[0] != b'{' {
        return newline();
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    match values.next()? {
        Ok(_) => Some(start + values.byte_offset()),
        Err(error) if error.is_eof() => None,
        Err(_) => newline().or(Some(held.len())),
    }
}

/// Says that nothing more comes, and waits for the other side to say so, too.
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        drain(&mut stream, CLOSING).await;
    }
}

async fn mute(mut stream: TcpStream) {
    drain(&mut stream, MUTE_TIME).await;
}

async fn drain(stream: &mut TcpStream, longest: Duration) {
    let mut sink = [0; 1024];
    let all = async { while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {} };
    timeout(longest, all).await.ok();
}

async fn garbage(mut stream: TcpStream) {
    const NOISE: &[u8] =
        b"\x00\xff}{[\"\xc3\x28 HTTP/9 \r\n\x1b[2J{\"STATUS\":[{\"STATUS\":\"S\"\xfe\r\n\r\n";
    let mut sink = [0; 1024];
    let asked = timeout(REQUEST_TIME, stream.read(&mut sink)).await;
    if matches!(asked, Ok(Ok(1..))) && stream.write_all(NOISE).await.is_ok() {
        close(stream).await;
    }
}

async fn endless(mut stream: TcpStream, port: u16) {
    let mut sink = [0; 1024];
    if !matches!(timeout(REQUEST_TIME, stream.read(&mut sink)).await, Ok(Ok(1..))) {
        return;
    }
    let head: &[u8] = match port {
        WEB => b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":[0",
        _ => b"{\"STATUS\":[{\"STATUS\":\"S\"}],\"SUMMARY\":[0",
    };
    let more = b",0".repeat(8192);
    let mut sent = stream.write_all(head).await;
    for _ in 0..ENDLESS / more.len() {
        if sent.is_err() {
            return;
        }
        sent = match timeout(MUTE_TIME, stream.write_all(&more)).await {
            Ok(sent) => sent,
            Err(_) => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_as_soon_as_its_json_is() {
        for (text, end) in [
            ("", None),
            (" \n\0", None),
            ("{\"command\":\"version\"}", Some(21)),
            ("{\"command\":\"version\"}\n", Some(21)),
            ("\n {\"a\":{}}{\"b\":1}", Some(10)),
            ("{\"command\":\"ver", None),
            ("{\"a\":\"}", None),
            ("version", None),
            ("version\n", Some(8)),
            ("{]", Some(2)),
            ("{]\n{}", Some(3)),
        ] {
            assert_eq!(whole(text.as_bytes()), end, "{text:?}");
        }
        let deep = "{\"a\":".repeat(10_000);
        assert_eq!(whole(deep.as_bytes()), None, "read without recursion");
    }
}
