//! A link to a source: whether it is up, what went wrong, how long to wait before trying again. It
//! never knows what the source says.

use crate::Hub;
use std::{future::Future, sync::Arc, time::Duration};
use units::Moment;

/// Why a source told nothing, as one sentence with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

impl From<crate::BadSetting> for LinkError {
    fn from(bad: crate::BadSetting) -> Self {
        Self(bad.0)
    }
}

/// How a link stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Link {
    /// Nothing heard yet.
    #[default]
    Waiting,
    /// The last try succeeded.
    Up,
    /// It failed, for this reason.
    Down(Arc<str>),
}

/// What the status page says of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// How it stands.
    pub link: Link,
    /// Since when.
    pub since: Moment,
    /// When it last told something good.
    pub last_good: Option<Moment>,
    /// Times the link failed.
    pub failures: u64,
    /// Messages refused as unreadable, out of range or out of order.
    pub refused: u64,
    /// Why the last one was refused.
    pub last_refused: Option<Arc<str>>,
}

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs a session again and again, for ever. A session ends when its link fails; the wait doubles
/// from half a second to a minute, with up to a quarter more so that many sites do not knock at once,
/// and starts afresh after a session that told something.
pub(crate) async fn keep<F, S>(hub: Hub, source: Arc<str>, session: F)
where
    F: Fn() -> S,
    S: Future<Output = Result<(), LinkError>>,
{
    let mut wait = FIRST_WAIT;
    loop {
        let good_before = hub.health_of(&source).last_good;
        let end = session().await;
        if let Err(LinkError(sentence)) = end {
            hub.down(&source, sentence.into());
        }
        if hub.health_of(&source).last_good != good_before {
            wait = FIRST_WAIT;
        }
        tokio::time::sleep(wait.mul_f64(1.0 + 0.25 * rand::random::<f64>())).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// One step of a session, ended when it takes too long.
pub(crate) async fn within<T, E: std::fmt::Display>(
    limit: Duration,
    what: impl std::fmt::Display,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, LinkError> {
    match tokio::time::timeout(limit, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(LinkError(format!("{what}: {error}"))),
        Err(_) => Err(LinkError(format!("{what}: no answer within {} s", limit.as_secs_f64()))),
    }
}
