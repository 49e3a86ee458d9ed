//! Through real sockets, as browsers, monitoring systems and vandals come.

#![expect(clippy::unwrap_used, reason = "tests, also outside of their #[test] functions")]

use api::{Status, Worker};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

struct Site {
    address: SocketAddr,
    status: watch::Sender<Arc<Status>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn site(status: Status) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = watch::channel(Arc::new(status));
    let (stop, stopped) = oneshot::channel();
    let source = hearth_web::Source::new(move || std::future::ready(receiver.borrow().clone()));
    let served = tokio::spawn(hearth_web::serve(listener, source, Default::default(), async {
        let _ = stopped.await;
    }));
    Site { address, status: sender, stop, served }
}

/// Head and body of the answer to what is sent on a connection of its own.
async fn say(address: SocketAddr, request: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let all = socket.read_to_string(&mut answer);
    timeout(Duration::from_secs(20), all).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    say(address, &format!("GET {path} HTTP/1.1\r\nHost: hearth\r\nConnection: close\r\n\r\n")).await
}

fn with_worker(name: &str) -> Status {
    let worker = Worker {
        name: name.into(),
        address: name.into(),
        user_agent: Some(name.into()),
        connections: 1,
        ..Worker::default()
    };
    Status { workers: vec![worker], ..Status::default() }
}

#[tokio::test]
async fn every_route_answers_with_its_kind_and_its_guards() {
    let site = site(Status::default()).await;
    for (path, kind, begin) in [
        ("/", "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ("/style.css", "text/css; charset=utf-8", ":root"),
        ("/refresh.js", "text/javascript; charset=utf-8", "//"),
        ("/icon.svg", "image/svg+xml", "<svg"),
        ("/api/v1/status", "application/json", "{\"version\":"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP hearth_info"),
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
    ] {
        let (head, body) = get(site.address, path).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}\r\n")), "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none';"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(body.starts_with(begin), "{path}: {body}");
    }
}

#[tokio::test]
async fn what_is_not_here_is_said_in_plain_text() {
    let site = site(Status::default()).await;
    for path in ["/nothing", "/api/v1/", "/..%2f..%2fetc/passwd", "/metrics/"] {
        let (head, body) = get(site.address, path).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
        assert!(head.contains("content-type: text/plain"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(body.contains("/api/v1/status"), "{body}");
    }
    let (head, body) =
        say(site.address, "DELETE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    assert!(body.contains("GET"), "{body}");
}

#[tokio::test]
async fn the_json_is_the_state_tree_and_every_view_follows_a_change() {
    let site = site(with_worker("before")).await;
    let read = async || {
        let (_, body) = get(site.address, "/api/v1/status").await;
        serde_json::from_str::<Status>(&body).unwrap()
    };
    assert_eq!(read().await, with_worker("before"));
    assert_eq!(read().await, with_worker("before"), "from what was kept");
    site.status.send(Arc::new(with_worker("after"))).unwrap();
    assert_eq!(read().await, with_worker("after"));
    for path in ["/", "/metrics"] {
        let (_, body) = get(site.address, path).await;
        assert!(body.contains("after") && !body.contains("before"), "{path}");
    }
}

#[tokio::test]
async fn a_hostile_worker_name_is_only_text_on_the_page() {
    let site = site(with_worker("</td><script>alert(1)</script>\" onload=\"x")).await;
    let (_, body) = get(site.address, "/").await;
    assert!(!body.contains("<script>alert"), "{body}");
    assert!(!body.contains("\" onload"), "{body}");
    assert!(body.contains("&lt;script&gt;"), "{body}");
}

#[tokio::test]
async fn the_page_says_why_miners_wait() {
    let reason = "The node at http://127.0.0.1:8332 does not answer; start Bitcoin Core.";
    let site = site(Status { waiting: Some(reason.into()), ..Status::default() }).await;
    let (_, body) = get(site.address, "/").await;
    assert!(body.contains("Miners wait") && body.contains(reason), "{body}");
    site.status.send(Arc::default()).unwrap();
    let (_, body) = get(site.address, "/").await;
    assert!(!body.contains("Miners wait"), "{body}");
}

#[tokio::test]
async fn nonsense_and_oversized_requests_are_refused_and_harm_nobody() {
    let site = site(Status::default()).await;
    let long = "a".repeat(100_000);
    for (request, status) in [
        ("\u{0}\u{1}binary\r\n\r\n".to_owned(), "400"),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), "431"),
    ] {
        let mut socket = TcpStream::connect(site.address).await.unwrap();
        // The server may hang up before it has read everything.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.is_empty() || answer.starts_with(&expected), "{answer}");
    }
    // A large body is announced and never read.
    let request = "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nsome";
    let (head, body) = say(site.address, request).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "ok\n");
}

#[tokio::test]
async fn whoever_says_nothing_is_cut_off() {
    let site = site(Status::default()).await;
    let cut_off = async |first: &str| {
        let mut socket = TcpStream::connect(site.address).await.unwrap();
        socket.write_all(first.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = timeout(Duration::from_secs(30), socket.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "still open after 30 s: {first:?}");
    };
    tokio::join!(cut_off(""), cut_off("GET / HTTP/1.1\r\nHost:"));
}

#[tokio::test]
async fn many_connections_that_say_nothing_do_not_shut_others_out_for_long() {
    let site = site(Status::default()).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(site.address).await.unwrap());
    }
    let (_, body) = get(site.address, "/healthz").await;
    assert_eq!(body, "ok\n");
}

#[tokio::test]
async fn the_end_lets_an_idle_connection_go_and_is_quick() {
    let site = site(Status::default()).await;
    let mut socket = TcpStream::connect(site.address).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut some = [0; 64];
    assert!(socket.read(&mut some).await.unwrap() > 0);
    site.stop.send(()).unwrap();
    timeout(Duration::from_secs(10), site.served).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(site.address).await.is_err(), "nobody listens any more");
}
