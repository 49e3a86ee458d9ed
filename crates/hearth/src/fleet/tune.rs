//! `hearth tune`: finds a machine's best setting by the work it proves. The work is known only to the
//! running server, so the command asks it over its web listener and prints what it answers, a line a
//! step. Tunes nothing itself.

use super::{
    http::TOKEN_FILE,
    tuning::{Begun, Progress, Request, Row},
};
use crate::{Outcome, config::Config, config::parse_duration, shutdown};
use fleet::tuner::Goal;
use serde::de::DeserializeOwned;
use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Where the running server takes it.
pub const PATH: &str = "/api/v1/fleet/tune";
/// For one question and its answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often it is asked for news.
const EVERY: Duration = Duration::from_millis(500);
/// Longest answer that is read.
const LONGEST: u64 = 4 << 20;
/// Questions in a row that may go without an answer.
const PATIENCE: u32 = 5;

/// Find a machine's best setting by the work it proves.
///
/// Needs a running `hearth serve` that the machine mines to. Each step is written to a journal before it
/// is made; Ctrl-C, a restart or any doubt returns the machine to its last good setting.
#[derive(clap::Args)]
pub struct Args {
    /// The machine: its id, name, address or worker.
    device: String,
    /// What for: efficiency, efficiency=90%, watts=800, hashrate, noise=40 or heat=1500.
    #[arg(long = "for", value_name = "GOAL", default_value = "efficiency")]
    goal: Goal,
    /// Longest tuning, such as 1h or 30m; then the best so far stays.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Return to the setting that the machine had before it was last tuned.
    #[arg(long, conflicts_with_all = ["goal", "time"])]
    undo: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// The configuration file of the running server.
    #[arg(short, long, value_name = "FILE", default_value = "hearth.toml")]
    config: PathBuf,
}

pub async fn run(args: Args) -> Outcome {
    let config = Config::load(&args.config)?;
    let token = std::fs::read_to_string(config.data_dir.join(TOKEN_FILE));
    let token = token.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{TOKEN_FILE} of the server can only be read by the user that it runs as")
        }
        _ => NOT_RUNNING.into(),
    })?;
    let server = Server { at: reachable(config.web), token: token.trim().into() };
    let request = Request {
        device: args.device,
        goal: args.goal.to_string(),
        time_s: args.time.map(|time| time.as_secs()),
        undo: args.undo,
    };
    let stop = shutdown::listen()?;
    let body = serde_json::to_string(&request)?;
    let Begun { job, device } = server.ask("POST", PATH, &body).await?;
    if !args.json {
        eprintln!("{device}: Ctrl-C returns it to its last good setting");
    }
    follow(&server, job, args.json, stop).await
}

const NOT_RUNNING: &str = "no server is running with this configuration: a machine is judged by the work \
     that it proves, so start `hearth serve` first and let the machine mine to it";

/// Prints each step until there are no more.
async fn follow(
    server: &Server,
    job: u64,
    json: bool,
    stop: impl Future<Output = &'static str>,
) -> Outcome {
    let path = format!("{PATH}/{job}");
    let (mut after, mut failures, mut stopping) = (0, 0, false);
    let mut last = None;
    let mut stop = pin!(stop);
    loop {
        let news = server.ask::<Progress>("GET", &format!("{path}?after={after}"), "").await;
        let news = match news {
            Ok(news) => news,
            Err(_) if failures < PATIENCE => {
                failures += 1;
                tokio::time::sleep(EVERY).await;
                continue;
            }
            Err(error) => {
                return Err(format!(
                    "{error}; if the server was stopped, it returned the machine to its last good \
                     setting, or will when it is started again"
                )
                .into());
            }
        };
        (after, failures) = (news.next, 0);
        for row in news.rows {
            print(&row, json);
            last = Some(row);
        }
        if news.ended {
            break;
        }
        tokio::select! {
            _ = &mut stop, if !stopping => {
                stopping = true;
                eprintln!("stopping: back to the last good setting");
                server.tell("DELETE", &path, "").await?;
            }
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    match last {
        Some(row) if row.event == "error" => Ok(ExitCode::FAILURE),
        Some(_) => Ok(ExitCode::SUCCESS),
        None => Err("the tuning ended without a word; the server's log says why".into()),
    }
}

/// The running server, and what lets us in.
struct Server {
    at: SocketAddr,
    token: String,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Server {
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<T, Failure> {
        let answer = self.tell(method, path, body).await?;
        let sense = serde_json::from_str(&answer);
        sense.map_err(|_| format!("the server said what makes no sense: {answer}").into())
    }

    /// The answer's body, or what it means that there is none.
    async fn tell(&self, method: &str, path: &str, body: &str) -> Result<String, Failure> {
        let exchange = self.exchange(method, path, body);
        let answer =
            timeout(DEADLINE, exchange).await.map_err(|_| "the server does not answer")??;
        let (head, said) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let code = head.split_whitespace().nth(1).unwrap_or_default();
        match code {
            "200" | "202" => Ok(said.into()),
            "401" => Err("the server does not know this command's token; was it started with \
                          another configuration?"
                .into()),
            // What is not there at all says so in more than one line of plain text.
            "404" | "405" if method == "POST" => Err("this server does not watch machines: set \
                                                      enabled = true under [fleet]"
                .into()),
            _ if said.trim().is_empty() => Err(format!("the server refused ({code})").into()),
            _ => Err(said.trim().into()),
        }
    }

    async fn exchange(&self, method: &str, path: &str, body: &str) -> Result<String, Failure> {
        let connected = TcpStream::connect(self.at).await;
        let mut stream = connected.map_err(|_| NOT_RUNNING)?;
        // Version 1.0: an answer without chunks, ended by its connection.
        let ask = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.at,
            self.token,
            body.len()
        );
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn print(row: &Row, json: bool) {
    let text = match (json, serde_json::to_string(row)) {
        (true, Ok(text)) => text,
        _ => row.text.clone(),
    };
    // A reader that closes early has what it wants.
    let _ = writeln!(io::stdout(), "{text}");
}

/// A listener on all addresses is reached on this machine's own.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let mut server = listener;
    if server.ip().is_unspecified() {
        server.set_ip(match server {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    server
}

fn duration(text: &str) -> Result<Duration, String> {
    let positive = parse_duration(text).filter(|time| *time >= Duration::from_secs(1));
    positive.ok_or_else(|| format!("\"{text}\" is no time; write for example 30m or 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answers(answer: &'static str) -> (Server, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"}") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        (Server { at, token: "word".into() }, asked)
    }

    fn request() -> Request {
        let (device, goal) = ("garage".into(), "efficiency=75%".into());
        Request { device, goal, time_s: Some(3600), undo: false }
    }

    #[tokio::test]
    async fn the_server_is_asked_with_the_token_and_its_answer_is_read() {
        let (server, asked) =
            answers("HTTP/1.0 202 Accepted\r\n\r\n{\"job\":7,\"device\":\"sn:a1b2c3\"}").await;
        let body = serde_json::to_string(&request()).unwrap();
        let begun: Begun = server.ask("POST", PATH, &body).await.unwrap();
        assert_eq!(begun, Begun { job: 7, device: "sn:a1b2c3".into() });
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /api/v1/fleet/tune HTTP/1.0\r\n"), "{asked}");
        assert!(asked.contains("Authorization: Bearer word\r\n"), "{asked}");
        let body = asked.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(serde_json::from_str::<Request>(body).unwrap(), request());
    }

    #[tokio::test]
    async fn a_refusal_is_one_sentence() {
        for (answer, words) in [
            ("HTTP/1.0 404 Not Found\r\n\r\n", "enabled = true"),
            ("HTTP/1.0 401 Unauthorized\r\n\r\n", "token"),
            ("HTTP/1.0 409 Conflict\r\n\r\nit is being tuned\n", "it is being tuned"),
            ("HTTP/1.0 200 OK\r\n\r\nhello", "makes no sense"),
        ] {
            let (server, _asked) = answers(answer).await;
            let error = server.ask::<Begun>("POST", PATH, "{}").await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let closed = Server { at, token: String::new() };
        let error = closed.ask::<Begun>("POST", PATH, "{}").await.unwrap_err().to_string();
        assert!(error.contains("hearth serve"), "{error}");
    }

    #[test]
    fn times_and_addresses_are_read() {
        for (text, seconds) in [("1h", 3600), ("30m", 1800), ("90s", 90)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "1", "h", "-1h", "0s", "1.5h", "99999999999999999999h", "1é"] {
            assert!(duration(text).is_err(), "{text}");
        }
        let all: SocketAddr = "0.0.0.0:8080".parse().unwrap();
        assert_eq!(reachable(all).to_string(), "127.0.0.1:8080");
    }
}
