//! Bitcoin Core before version 30: `waitfornewblock` knows one parameter, `getmininginfo` does not
//! tell the next target. The node is real; only these two answers are made older on the way.

use crate::scene::*;
use chain::{Network, NodeConfig};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

#[test]
fn an_older_node_gives_work_on_each_new_tip() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    mine(&node, 5);
    let real = node.rpc_url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the test's process: a connection that is never made again costs nothing.
    std::thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let real = real.clone();
            std::thread::spawn(move || forward(peer, &real));
        }
    });
    let older = NodeConfig { url, ..config_of(&node) };
    let chain = Mine::start(Network::Regtest, vec![older], folder.path());
    let (_, _, mut at) = chain.ear.work_on(0, tip(&node));
    for blocks in [1, 1, 20, 1] {
        // Until it waits again: an older node does not tell of a tip that came before the call.
        std::thread::sleep(Duration::from_millis(700));
        let hash = mine(&node, blocks).pop().unwrap().parse().unwrap();
        let (_, new_tip, next) = chain.ear.work_on(at, hash);
        assert!(new_tip);
        at = next;
    }
    chain.stop();
}

/// Requests one after the other until either side hangs up.
fn forward(mut peer: TcpStream, real: &str) -> Option<()> {
    let mut requests = BufReader::new(peer.try_clone().ok()?);
    let mut node = TcpStream::connect(real).ok()?;
    let mut answers = BufReader::new(node.try_clone().ok()?);
    loop {
        let (head, body) = message(&mut requests)?;
        let text = String::from_utf8(body.clone()).ok()?;
        let request: serde_json::Value = serde_json::from_str(&text).ok()?;
        let parameters = request["params"].as_array()?.len();
        if request["method"] == "waitfornewblock" && parameters > 1 {
            let refusal =
                r#"{"result":null,"error":{"code":-1,"message":"waitfornewblock"},"id":0}"#;
            let length = refusal.len();
            let head = format!("HTTP/1.1 500 No\r\nContent-Length: {length}\r\n\r\n");
            peer.write_all(format!("{head}{refusal}").as_bytes()).ok()?;
            continue;
        }
        node.write_all(&[head, body].concat()).ok()?;
        let (head, body) = message(&mut answers)?;
        let body = match request["method"].as_str()? {
            // Renamed, which keeps the length.
            "getmininginfo" => {
                String::from_utf8(body).ok()?.replace("\"next\"", "\"none\"").into_bytes()
            }
            _ => body,
        };
        peer.write_all(&[head, body].concat()).ok()?;
    }
}

/// The head and the body of one HTTP message with a length.
fn message(from: &mut impl BufRead) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let start = head.len();
        if from.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&head[start..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}
