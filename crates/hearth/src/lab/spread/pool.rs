//! One pool, listened to as a worker that never hashes.

use super::job::{self, AUTHORIZE, Extranonces, SUBSCRIBE, Said};
use bitcoin::Network;
use lab::{LabError, spread::Job};
use serde_json::json;
use std::{io::ErrorKind, str::FromStr, time::Duration};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// Longest line taken from a pool.
const MAX_LINE: usize = 256 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pools send a job at least every minute or so.
const SILENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(5);
/// Jobs that cannot be read, after which a connection is given up.
const MAX_NONSENSE: u32 = 10;

/// What came from a source, by its index.
#[derive(Debug)]
pub struct News {
    /// Index of the source.
    pub source: usize,
    /// When it arrived.
    pub at: Instant,
    /// A job, or why there is no connection.
    pub what: Result<Job, String>,
}

/// A pool to listen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// How it is called in the report.
    pub name: String,
    address: String,
    user: String,
    password: String,
}

impl FromStr for Pool {
    type Err = LabError;

    /// Reads `[NAME=]host:port[,user[,password]]`.
    fn from_str(text: &str) -> Result<Self, LabError> {
        let mut parts = text.splitn(3, ',');
        let place = parts.next().unwrap_or_default().trim();
        let (name, address) = match place.split_once('=') {
            Some((name, address)) => (Some(name.trim()), address.trim()),
            None => (None, place),
        };
        let address = ["stratum+tcp://", "tcp://"]
            .iter()
            .find_map(|scheme| address.strip_prefix(scheme))
            .unwrap_or(address)
            .trim_end_matches('/');
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
            return Err(LabError::new(format!(
                "\"{text}\" is not a pool: write host:port or NAME=host:port, then if needed a \
                 comma and the user, a comma and the password"
            )));
        }
        let part = |text: Option<&str>, otherwise: &str| {
            text.map(str::trim).filter(|t| !t.is_empty()).unwrap_or(otherwise).to_owned()
        };
        let name = part(name, address);
        if name.chars().any(char::is_control) || name.chars().count() > 40 {
            return Err(LabError::new(
                "a pool's name is too long or unprintable: give a short one",
            ));
        }
        Ok(Self {
            name,
            address: address.into(),
            user: part(parts.next(), "observer"),
            password: part(parts.next(), "x"),
        })
    }
}

impl Pool {
    /// Listens until nobody wants the news any more; connects again whenever the connection ends.
    pub async fn listen(self, source: usize, network: Network, news: mpsc::Sender<News>) {
        loop {
            let why = match self.talk(source, network, &news).await {
                Some(why) => why,
                None => return,
            };
            let lost = News { source, at: Instant::now(), what: Err(why) };
            if news.send(lost).await.is_err() {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    /// One connection; gives why it ended, or `None` when nobody listens any more.
    async fn talk(
        &self,
        source: usize,
        network: Network,
        news: &mpsc::Sender<News>,
    ) -> Option<String> {
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Some(format!("cannot be reached: {error}")),
            Err(_) => return Some("cannot be reached: no answer in 10 s".into()),
        };
        let ask = |id: u64, method: &str, params: serde_json::Value| {
            format!("{}\n", json!({"id": id, "method": method, "params": params}))
        };
        let agent = concat!("hearth-observer/", env!("CARGO_PKG_VERSION"));
        let hello = ask(SUBSCRIBE, "mining.subscribe", json!([agent]))
            + &ask(AUTHORIZE, "mining.authorize", json!([self.user, self.password]));
        if let Err(error) = write_all(&stream, hello.as_bytes()).await {
            return Some(format!("the connection broke: {error}"));
        }
        let mut lines = Lines { stream, held: Vec::new() };
        let mut between = Extranonces::default();
        let mut refused = None;
        let mut nonsense = 0;
        loop {
            let line = match timeout(SILENCE, lines.next()).await {
                Ok(Ok(line)) => line,
                Ok(Err(why)) => return Some(refused.unwrap_or(why)),
                Err(_) => return Some(refused.unwrap_or_else(|| "sent nothing in 300 s".into())),
            };
            match job::read(&line) {
                Said::Subscribed(given) | Said::Changed(given) => between = given,
                Said::Refused(id, why) => {
                    let what = if id == AUTHORIZE {
                        format!(
                            "refuses the user \"{}\" ({why}): give another behind a comma",
                            self.user
                        )
                    } else {
                        format!("refuses to send jobs: {why}")
                    };
                    // Some send jobs all the same.
                    let told = News { source, at: Instant::now(), what: Err(what.clone()) };
                    news.send(told).await.ok()?;
                    refused = Some(what);
                }
                Said::Notify(params) => match job::job(&params, &between, network) {
                    Some(job) => {
                        news.send(News { source, at: Instant::now(), what: Ok(job) }).await.ok()?;
                    }
                    None => nonsense += 1,
                },
                Said::Other => {}
                Said::Nonsense => nonsense += 1,
            }
            if nonsense >= MAX_NONSENSE {
                return Some("does not speak Stratum V1 as others do".into());
            }
        }
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(size) => bytes = bytes.get(size..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lines of a stream, none longer than [`MAX_LINE`].
struct Lines {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Lines {
    /// The next line that is not blank, without its end.
    async fn next(&mut self) -> Result<Vec<u8>, String> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.held.iter().skip(searched).position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.held.drain(..=searched + end).collect();
                searched = 0;
                line.pop();
                if !line.trim_ascii().is_empty() {
                    return Ok(line);
                }
                continue;
            }
            searched = self.held.len();
            if searched > MAX_LINE {
                return Err("sent a line without end".into());
            }
            let broke = |error| format!("the connection broke: {error}");
            self.stream.readable().await.map_err(broke)?;
            let mut chunk = [0; 8192];
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Err("closed the connection".into()),
                Ok(size) => self.held.extend_from_slice(chunk.get(..size).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(broke(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, net::TcpListener, thread};

    #[test]
    fn a_pool_is_read_with_and_without_name_user_and_password() {
        let pool = |name: &str, address: &str, user: &str, password: &str| Pool {
            name: name.into(),
            address: address.into(),
            user: user.into(),
            password: password.into(),
        };
        for (text, want) in [
            ("h:3333", pool("h:3333", "h:3333", "observer", "x")),
            ("stratum+tcp://h:3333/", pool("h:3333", "h:3333", "observer", "x")),
            ("P=h:1,me.rig", pool("P", "h:1", "me.rig", "x")),
            ("P=[::1]:1, me , a,b=c", pool("P", "[::1]:1", "me", "a,b=c")),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for bad in ["", "h", ":1", "h:0", "h:99999", "h:port", "a\u{7}=h:1"] {
            assert!(bad.parse::<Pool>().is_err(), "{bad}");
        }
    }

    /// What the observer says of a server that sends these bytes.
    async fn against(bytes: Vec<u8>) -> Vec<Result<Job, String>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pool: Pool = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The observer may have had enough.
            let _ = stream.write_all(&bytes);
        });
        let (news, mut heard) = mpsc::channel(1000);
        let why = pool.talk(0, Network::Bitcoin, &news).await.unwrap();
        server.join().unwrap();
        drop(news);
        let mut all = Vec::new();
        while let Some(news) = heard.recv().await {
            all.push(news.what);
        }
        all.push(Err(why));
        all
    }

    #[tokio::test]
    async fn hostile_servers_are_left_with_a_reason() {
        for (bytes, said) in [
            (vec![b'x'; 4 * MAX_LINE], "sent a line without end"),
            (b"GET / HTTP/1.1\n".repeat(20), "does not speak Stratum"),
            (b"\n".repeat(100_000), "closed the connection"),
            (
                b"{\"method\":\"mining.notify\",\"params\":[]}\n".repeat(20),
                "does not speak Stratum",
            ),
            (b"{\"id\":2,\"result\":false,\"error\":[24,\"who?\"]}\n".to_vec(), "refuses the user"),
        ] {
            let heard = against(bytes).await;
            let Some(Err(why)) = heard.last() else { panic!("{heard:?}") };
            // A server that is cut off in the middle may also break the connection.
            assert!(why.contains(said) || why.contains("broke"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_pool_that_is_not_there_is_said_so() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let pool: Pool = address.to_string().parse().unwrap();
        let (news, _heard) = mpsc::channel(1);
        let why = pool.talk(0, Network::Bitcoin, &news).await.unwrap();
        assert!(why.starts_with("cannot be reached"), "{why}");
    }
}
