//! Numbers and texts over HTTP(S), and texts of files: weather services, sensors, markets. It never posts anything.

use crate::{
    BadSetting, Hub, LinkError, Quality, Signal,
    link::keep,
    number::{self, Field},
};
use chrono::{DateTime, SecondsFormat, Utc};
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use units::UnixTime;

/// An address to ask, again and again, and what its JSON answer tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// Its name on the status page.
    pub name: Arc<str>,
    /// Where to ask.
    pub get: Get,
    /// How often.
    pub every: Duration,
    /// What the answer tells.
    pub fields: Vec<(Signal, Field)>,
    /// [`Quality::Synthetic`] for what a twin makes up.
    pub quality: Quality,
}

/// An address and the headers sent along.
#[derive(Clone, PartialEq, Eq)]
pub struct Get {
    /// `http://` or `https://`. `{from}` and `{to}` become the present hour and two days later in
    /// seconds since 1970, `{from_ms}` and `{to_ms}` in milliseconds, `{from_date}` and `{to_date}`
    /// as `2026-01-31`, `{from_time}` and `{to_time}` as `2026-01-31T10:00:00Z`.
    pub url: String,
    /// Such as a token: name and value.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Get {
    /// Without headers and query, where tokens are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.split('?').next().unwrap_or_default())
    }
}

const TIMEOUT: Duration = Duration::from_secs(20);
const AHEAD: Duration = Duration::from_secs(48 * 3600);

impl Get {
    /// Without headers.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), headers: Vec::new() }
    }

    /// Refuses what is not HTTP or HTTPS, and headers that cannot be sent.
    pub fn validate(&self) -> Result<(), BadSetting> {
        let web = self.url.starts_with("http://") || self.url.starts_with("https://");
        let good = web && reqwest::Url::parse(&self.address(UnixTime(0))).is_ok();
        BadSetting::unless(good, || {
            format!("`{self:?}` is no address: write it with http:// or https://")
        })?;
        for (name, value) in &self.headers {
            let good = reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
                && reqwest::header::HeaderValue::from_str(value).is_ok();
            BadSetting::unless(good, || format!("the header `{name}` cannot be sent as written"))?;
        }
        Ok(())
    }

    /// The address with its times filled in.
    fn address(&self, now: UnixTime) -> String {
        let from = now.floor_to(Duration::from_secs(3600));
        let mut address = self.url.clone();
        for (name, time) in [("from", from), ("to", from.after(AHEAD))] {
            let date = DateTime::<Utc>::from_timestamp(time.0 as i64, 0).unwrap_or_default();
            address = address
                .replace(&format!("{{{name}}}"), &time.0.to_string())
                .replace(&format!("{{{name}_ms}}"), &time.0.saturating_mul(1000).to_string())
                .replace(&format!("{{{name}_date}}"), &date.format("%Y-%m-%d").to_string())
                .replace(
                    &format!("{{{name}_time}}"),
                    &date.to_rfc3339_opts(SecondsFormat::Secs, true),
                );
        }
        address
    }

    /// The body of the answer, at most [`number::LONGEST`] bytes of it.
    pub(crate) async fn body(&self, client: &reqwest::Client) -> Result<Vec<u8>, LinkError> {
        let mut request = client.get(self.address(unix_now()));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        // The address may hold a token: it stays out of the sentence.
        let lost = |error: reqwest::Error| {
            LinkError(format!("{self:?} gave no answer: {}", error.without_url()))
        };
        let mut answer = request.send().await.map_err(lost)?;
        if !answer.status().is_success() {
            return Err(LinkError(format!("{self:?} answers {}", answer.status())));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(lost)? {
            if body.len() + part.len() > number::LONGEST {
                let most = number::LONGEST;
                return Err(LinkError(format!("{self:?} sends more than {most} bytes")));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}

/// Where a whole text comes from; brokers are in [`crate::mqtt`].
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// A file, read anew each time.
    File(PathBuf),
    /// An address.
    Http(Get),
}

impl From {
    /// Refuses a bad address.
    pub fn validate(&self) -> Result<(), BadSetting> {
        match self {
            Self::File(_) => Ok(()),
            Self::Http(get) => get.validate(),
        }
    }

    /// Reads all of it, at most [`number::LONGEST`] bytes, again and again; ends with the first fault.
    pub(crate) async fn each(
        &self,
        every: Duration,
        mut take: impl FnMut(&[u8]) -> Result<(), LinkError>,
    ) -> Result<(), LinkError> {
        let client = client()?;
        loop {
            let text = match self {
                Self::File(path) => read_file(path).await?,
                Self::Http(get) => get.body(&client).await?,
            };
            take(&text)?;
            tokio::time::sleep(every).await;
        }
    }
}

async fn read_file(path: &std::path::Path) -> Result<Vec<u8>, LinkError> {
    let lost =
        |error: std::io::Error| LinkError(format!("{} is not read: {error}", path.display()));
    let size = tokio::fs::metadata(path).await.map_err(lost)?.len();
    if size > number::LONGEST as u64 {
        let most = number::LONGEST;
        return Err(LinkError(format!("{} is longer than {most} bytes", path.display())));
    }
    tokio::fs::read(path).await.map_err(lost)
}

impl Poll {
    /// Refuses a bad address, an empty list, and asking more than once a second.
    pub fn validate(&self) -> Result<(), BadSetting> {
        self.get.validate()?;
        let name = &self.name;
        BadSetting::unless((1..=100).contains(&self.fields.len()), || {
            format!("{name} reads {} values: write 1 to 100", self.fields.len())
        })?;
        BadSetting::unless(self.every >= Duration::from_secs(1), || {
            format!("{name} asks every {:?}: write 1 s or more", self.every)
        })
    }

    /// Asks for ever and publishes into the hub.
    pub async fn run(self, hub: Hub) {
        let poll = Arc::new(self);
        keep(hub.clone(), poll.name.clone(), || {
            let (hub, poll) = (hub.clone(), poll.clone());
            async move { poll.session(&hub).await }
        })
        .await;
    }

    async fn session(&self, hub: &Hub) -> Result<(), LinkError> {
        let client = client()?;
        loop {
            let body = self.get.body(&client).await?;
            let mut values = Vec::new();
            for (signal, field) in &self.fields {
                match field.read(&body) {
                    Ok(value) => values.push((signal.clone(), value)),
                    Err(BadSetting(sentence)) => {
                        hub.refuse(&self.name, format!("{signal}: {sentence}").into());
                    }
                }
            }
            if !values.is_empty() {
                hub.tell_all(&self.name, self.quality, &values);
            }
            tokio::time::sleep(self.every).await;
        }
    }
}

pub(crate) fn client() -> Result<reqwest::Client, LinkError> {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .user_agent("hearth")
        .build()
        .map_err(|error| LinkError(format!("HTTP cannot be used on this machine: {error}")))
}

/// The calendar, for addresses and expiries; the loops have their own clock.
pub(crate) fn unix_now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.map_or(0, |time| time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_ask_for_the_next_two_days_and_never_shows_its_token() {
        let get = Get::new("https://h/x?start={from_ms}&end={to_date}&t={from_time}&token=s3cret");
        let address = get.address(UnixTime(1_800_003_700));
        assert_eq!(
            address,
            "https://h/x?start=1800003600000&end=2027-01-17&t=2027-01-15T09:00:00Z&token=s3cret"
        );
        assert!(!format!("{get:?}").contains("s3cret"));
        assert!(get.validate().is_ok() && Get::new("ftp://h/").validate().is_err());
    }
}
