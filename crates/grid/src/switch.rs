//! What is only on or off, as computing (AI, HPC) or a backup heater: started and stopped by a command, a
//! systemd unit or an HTTP call, and asked afterwards whether it runs. It never decides when, nor keeps
//! minimum run times.

use crate::{
    BadSetting, LinkError,
    http::{self, Get},
    link::within,
    number::Field,
};
use std::{process::Stdio, time::Duration};
use tokio::process::Command;

/// How something is switched.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// How.
    pub by: By,
    /// Time a start or a stop may take; longer is not known.
    pub timeout: Duration,
}

/// How it is started, stopped and asked.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// A systemd unit, such as `training.service`.
    Systemd(String),
    /// Programs with their arguments; no shell reads them. `running` succeeds while the load runs.
    Command {
        /// Starts it.
        start: Vec<String>,
        /// Stops it.
        stop: Vec<String>,
        /// Succeeds while it runs; without one, nothing is read back.
        running: Option<Vec<String>>,
    },
    /// Addresses that are posted to.
    Http {
        /// Starts it.
        start: Get,
        /// Stops it.
        stop: Get,
        /// Tells whether it runs: anything but 0, `false` or `off` is yes.
        running: Option<(Get, Field)>,
    },
}

/// What became of a command. Written is not done: only what was read back is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It does what was asked, as read back.
    Verified,
    /// It took the command; nothing tells whether it does it.
    Accepted,
    /// It did not take it, and says why.
    Refused(String),
    /// No answer, or it does not do it (yet).
    Unknown(String),
}

impl Switch {
    /// Refuses empty commands and names that are no unit.
    pub fn validate(&self) -> Result<(), BadSetting> {
        match &self.by {
            By::Systemd(unit) => {
                let good = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
                let good = unit.contains('.') && !unit.starts_with('-') && unit.bytes().all(good);
                BadSetting::unless(good, || {
                    format!("`{unit}` is no systemd unit: write it whole, as training.service")
                })
            }
            By::Command { start, stop, running } => {
                for command in [Some(start), Some(stop), running.as_ref()].into_iter().flatten() {
                    BadSetting::unless(
                        command.first().is_some_and(|name| !name.is_empty()),
                        || {
                            "a command is empty: write the program and its arguments as a list"
                                .into()
                        },
                    )?;
                }
                Ok(())
            }
            By::Http { start, stop, running } => {
                start.validate()?;
                stop.validate()?;
                running.as_ref().map_or(Ok(()), |(get, _)| get.validate())
            }
        }
    }

    /// Starts or stops it, and reads back whether it runs.
    pub async fn set(&self, run: bool) -> Outcome {
        let done = match &self.by {
            By::Systemd(unit) => {
                let verb = if run { "start" } else { "stop" };
                self.succeeds(&["systemctl", verb, "--", unit]).await
            }
            By::Command { start, stop, .. } => self.succeeds(if run { start } else { stop }).await,
            By::Http { start, stop, .. } => self.post(if run { start } else { stop }).await,
        };
        match done {
            Err(LinkError(sentence)) => return Outcome::Unknown(sentence),
            Ok(Err(sentence)) => return Outcome::Refused(sentence),
            Ok(Ok(())) => {}
        }
        match self.running().await {
            None => Outcome::Accepted,
            Some(Ok(running)) if running == run => Outcome::Verified,
            Some(Ok(_)) => {
                let (asked, does) = if run { ("start", "does not run") } else { ("stop", "runs") };
                Outcome::Unknown(format!("asked to {asked}, it still {does}"))
            }
            Some(Err(LinkError(sentence))) => Outcome::Unknown(sentence),
        }
    }

    /// Whether it runs; `None` where nothing tells.
    pub async fn running(&self) -> Option<Result<bool, LinkError>> {
        let asked = match &self.by {
            By::Systemd(unit) => {
                self.succeeds(&["systemctl", "is-active", "--quiet", "--", unit]).await
            }
            By::Command { running, .. } => self.succeeds(running.as_ref()?).await,
            By::Http { running, .. } => {
                let (get, field) = running.as_ref()?;
                return Some(self.ask(get, field).await);
            }
        };
        Some(asked.map(|done| done.is_ok()))
    }

    async fn ask(&self, get: &Get, field: &Field) -> Result<bool, LinkError> {
        let client = http::client()?;
        let body = within(self.timeout, format!("{get:?}"), get.body(&client)).await?;
        Ok(field.read(&body)? != 0.0)
    }

    async fn succeeds<S: AsRef<str>>(
        &self,
        command: &[S],
    ) -> Result<Result<(), String>, LinkError> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(LinkError("the command is empty".into()));
        };
        let program = program.as_ref();
        let mut process = Command::new(program);
        process
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let status = within(self.timeout, format!("`{program}`"), process.status()).await?;
        Ok(if status.success() { Ok(()) } else { Err(format!("`{program}` ended with {status}")) })
    }

    async fn post(&self, to: &Get) -> Result<Result<(), String>, LinkError> {
        let mut request = http::client()?.post(&to.url);
        for (name, value) in &to.headers {
            request = request.header(name, value);
        }
        let sent = async { request.send().await.map_err(reqwest::Error::without_url) };
        let answer = within(self.timeout, format!("{to:?}"), sent).await?;
        let status = answer.status();
        Ok(if status.is_success() { Ok(()) } else { Err(format!("{to:?} answers {status}")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_command_counts_as_done_only_when_it_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("runs").display().to_string();
        let (start, stop) = (words(&format!("touch {mark}")), words(&format!("rm {mark}")));
        let running = Some(words(&format!("test -e {mark}")));
        let timeout = Duration::from_secs(10);
        let load = |start: &Vec<String>, running: &Option<Vec<String>>| Switch {
            by: By::Command { start: start.clone(), stop: stop.clone(), running: running.clone() },
            timeout,
        };
        let real = load(&start, &running);
        assert!(real.validate().is_ok());
        assert_eq!(real.set(true).await, Outcome::Verified);
        assert_eq!(real.set(false).await, Outcome::Verified);
        assert!(matches!(real.set(false).await, Outcome::Refused(_)));
        let lies = load(&words("true"), &running);
        assert!(matches!(lies.set(true).await, Outcome::Unknown(_)));
        assert_eq!(load(&words("true"), &None).set(true).await, Outcome::Accepted);
        assert!(matches!(load(&words("/nonexistent"), &None).set(true).await, Outcome::Unknown(_)));
        let hangs =
            Switch { timeout: Duration::from_millis(50), ..load(&words("sleep 60"), &None) };
        assert!(matches!(hangs.set(true).await, Outcome::Unknown(_)));
        let unit = Switch { by: By::Systemd("--now".into()), timeout };
        assert!(unit.validate().is_err());
    }
}
