//! `hearth tune`: finds a machine's best setting by the work it proves. The work is known only to the
//! running server, so the command asks it over its web listener and prints what it answers, a line a
//! step. Tunes nothing itself.

use crate::{Outcome, config::Config};
use fleet::{
    control::tune::{End, News},
    tuner::{Entry, Found, Goal},
};
use serde::{Deserialize, Serialize};
use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Where the running server takes it.
pub const PATH: &str = "/api/v1/fleet/tune";
/// File in the data folder with the word that lets a request in; the server writes it at its start.
pub const TOKEN_FILE: &str = "fleet.token";
const CONNECT: Duration = Duration::from_secs(3);
/// A server that tunes says something at least this often: an empty line if nothing else.
const QUIET: Duration = Duration::from_secs(120);
const LONGEST_LINE: u64 = 64 << 10;

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
    /// Say what would be tried and change nothing.
    #[arg(long, conflicts_with = "undo")]
    dry_run: bool,
    /// Longest tuning, such as 1h or 30m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    for_time: Option<Duration>,
    /// Return to the setting that the machine had before it was last tuned.
    #[arg(long)]
    undo: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// The configuration file of the running server.
    #[arg(short, long, value_name = "FILE", default_value = "hearth.toml")]
    config: PathBuf,
}

/// What the server is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Id, name, address or worker.
    pub device: String,
    /// As [`Goal`] is written.
    pub goal: String,
    /// Only say.
    #[serde(default)]
    pub dry_run: bool,
    /// Longest tuning, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_s: Option<u64>,
    /// Return to what was before.
    #[serde(default)]
    pub undo: bool,
}

/// One line of its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `plan`, `step`, `refused`, `found`, `stopped` or `error`.
    pub event: String,
    /// A sentence.
    pub text: String,
    /// Verified, for `found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub j_per_th: Option<f64>,
    /// One standard error of it, relative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// Verified hashrate, for `found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_ths: Option<f64>,
    /// Power, for `found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f64>,
}

impl Row {
    /// A line without figures.
    pub fn of(event: &str, text: impl Into<String>) -> Self {
        let (j_per_th, error, verified_ths, power_w) = (None, None, None, None);
        Self { event: event.into(), text: text.into(), j_per_th, error, verified_ths, power_w }
    }

    fn found(found: &Found) -> Self {
        let Found { point, rate, power, efficiency, error } = found;
        let joules = efficiency.joules_per_terahash();
        let text = format!(
            "best: {}, {}: {joules:.2} J/TH (± {:.1} %), {rate} verified, {power}",
            point.frequency,
            point.voltage,
            100.0 * error
        );
        Self {
            j_per_th: Some(joules),
            error: Some(*error),
            verified_ths: Some(rate.terahashes_per_second()),
            power_w: Some(power.get()),
            ..Self::of("found", text)
        }
    }
}

impl From<&News> for Row {
    fn from(news: &News) -> Self {
        match news {
            News::Step(Entry::Applying { point, .. }) => {
                Self::of("step", format!("trying {}, {}", point.frequency, point.voltage))
            }
            News::Step(Entry::Good { point, .. }) => {
                Self::of("step", format!("good: {}, {}", point.frequency, point.voltage))
            }
            News::Step(Entry::Restored { point, why, .. }) => {
                let text = format!("back to {}, {}: {why}", point.frequency, point.voltage);
                Self::of("step", text)
            }
            News::Refused(words) => Self::of("refused", format!("the machine refused: {words}")),
            News::Found(found) => Self::found(found),
        }
    }
}

impl From<&End> for Row {
    fn from(end: &End) -> Self {
        match end {
            End::Found(found) => Self::found(found),
            End::Stopped(point) => {
                let text = format!("stopped at {}, {}", point.frequency, point.voltage);
                Self::of("stopped", text)
            }
        }
    }
}

pub async fn run(args: Args) -> Outcome {
    let config = Config::load(&args.config)?;
    let request = Request {
        device: args.device,
        goal: args.goal.to_string(),
        dry_run: args.dry_run,
        time_s: args.for_time.map(|time| time.as_secs()),
        undo: args.undo,
    };
    let token =
        std::fs::read_to_string(config.data_dir.join(TOKEN_FILE)).map_err(|_| NOT_RUNNING)?;
    let server = reachable(config.web);
    let mut last = None;
    ask(server, token.trim(), &request, |row| {
        print(&row, args.json);
        last = Some(row);
    })
    .await?;
    match last {
        Some(row) if row.event == "error" => Ok(ExitCode::FAILURE),
        Some(_) => Ok(ExitCode::SUCCESS),
        None => Err("the server ended the tuning without a word; its log says why".into()),
    }
}

const NOT_RUNNING: &str = "no server is running with this configuration: a machine is judged by the work \
     that it proves, so start `hearth serve` first and let the machine mine to it";

/// Asks and passes each line of the answer on.
async fn ask(
    server: SocketAddr,
    token: &str,
    request: &Request,
    mut each: impl FnMut(Row),
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let connected = timeout(CONNECT, TcpStream::connect(server)).await;
    let mut stream = connected.map_err(|_| NOT_RUNNING)?.map_err(|_| NOT_RUNNING)?;
    let body = serde_json::to_string(request)?;
    // Version 1.0: an answer without chunks, ended by its connection.
    let head = format!(
        "POST {PATH} HTTP/1.0\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut lines = BufReader::new(stream);
    let status = line(&mut lines).await?.unwrap_or_default();
    let code = status.split_whitespace().nth(1).unwrap_or_default().to_owned();
    while line(&mut lines).await?.is_some_and(|header| !header.is_empty()) {}
    match code.as_str() {
        "200" => {}
        "401" | "403" => {
            return Err("the server does not know this command's token; was it started \
             with another configuration?"
                .into());
        }
        "404" | "405" => {
            return Err("this server cannot tune: [fleet] enabled = true is missing, or it is \
             an older version"
                .into());
        }
        _ => {
            let why = line(&mut lines).await?.unwrap_or_default();
            return Err(format!("the server refused ({code}): {why}").into());
        }
    }
    while let Some(text) = line(&mut lines).await? {
        if !text.trim().is_empty() {
            let row = serde_json::from_str(&text);
            each(row.map_err(|_| format!("the server said what makes no sense: {text}"))?);
        }
    }
    Ok(())
}

/// The next line without its end; `None` when there is no more.
async fn line(from: &mut (impl AsyncRead + AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut limited = from.take(LONGEST_LINE);
    let read = timeout(QUIET, limited.read_until(b'\n', &mut bytes)).await;
    match read {
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the server fell silent")),
        Ok(Err(error)) => Err(error),
        Ok(Ok(0)) => Ok(None),
        Ok(Ok(_)) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
    }
}

fn print(row: &Row, json: bool) {
    use io::Write;
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
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    server
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no time; write for example 30m or 2h");
    let (figure, seconds) = match text.trim().char_indices().last() {
        Some((at, 's')) => (&text.trim()[..at], 1),
        Some((at, 'm')) => (&text.trim()[..at], 60),
        Some((at, 'h')) => (&text.trim()[..at], 3600),
        _ => return Err(wrong()),
    };
    let figure: u64 = figure.trim().parse().map_err(|_| wrong())?;
    let seconds = figure.checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answers(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"}") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        (address, asked)
    }

    fn request() -> Request {
        Request {
            device: "garage".into(),
            goal: "efficiency=75%".into(),
            dry_run: false,
            time_s: Some(3600),
            undo: false,
        }
    }

    #[tokio::test]
    async fn each_line_of_the_servers_answer_is_passed_on() {
        let (server, asked) = answers(
            "HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n\
             {\"event\":\"step\",\"text\":\"trying 412 MHz\"}\n\n{\"event\":\"found\",\"text\":\"best\",\"j_per_th\":12.3}\n",
        )
        .await;
        let mut rows = Vec::new();
        ask(server, "word", &request(), |row| rows.push(row)).await.unwrap();
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /api/v1/fleet/tune HTTP/1.0\r\n"), "{asked}");
        assert!(asked.contains("Authorization: Bearer word\r\n"), "{asked}");
        let body = asked.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(serde_json::from_str::<Request>(body).unwrap(), request());
        assert_eq!((rows.len(), rows[1].j_per_th), (2, Some(12.3)));
    }

    #[tokio::test]
    async fn a_refusal_is_one_sentence() {
        for (answer, words) in [
            ("HTTP/1.0 404 Not Found\r\n\r\n", "cannot tune"),
            ("HTTP/1.0 401 Unauthorized\r\n\r\n", "token"),
            ("HTTP/1.0 409 Conflict\r\n\r\nit is being tuned\n", "it is being tuned"),
        ] {
            let (server, _asked) = answers(answer).await;
            let error = ask(server, "word", &request(), |_| {}).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = ask(closed, "word", &request(), |_| {}).await.unwrap_err().to_string();
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
