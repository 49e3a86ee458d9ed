//! A machine without an interface: curtailed by giving it no work. What it draws meanwhile is unknown,
//! and a machine with a backup pool mines there: paused means only that it proves no work here.

use crate::{
    capability::Capabilities,
    command::{Command, Verb},
    control::{Clock, Meter, Who},
    driver::{Driver, Pending, Reply, State},
    identity::{Firmware, Identity},
    readings::Moment,
    settings::Settings,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Intervals without a share before it counts as paused: by chance once in e³ = 20 times.
const INTERVALS: u32 = 3;
/// And at least this long, because a job under way is finished first.
const AT_LEAST: Duration = Duration::from_secs(30);

/// A link that is our own Stratum server's.
pub struct StratumOnly {
    meter: Arc<dyn Meter>,
    who: Who,
    interval: Duration,
    clock: Clock,
    seen: Mutex<Seen>,
}

/// What was seen of its shares.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    accepted: u64,
    /// When the number of shares last changed, or work was last given or taken.
    since: Moment,
    /// `None` while nothing has been commanded and no share seen.
    hashes: Option<bool>,
}

impl StratumOnly {
    /// `interval`: how often its shares are expected.
    pub fn new(meter: Arc<dyn Meter>, who: Who, interval: Duration, clock: Clock) -> Self {
        let seen = Mutex::new(Seen { since: clock.now(), ..Seen::default() });
        Self { meter, who, interval, clock, seen }
    }

    /// Whether it proves work; unknown while the server does not answer.
    async fn look(&self, now: Moment) -> Option<bool> {
        let (meter, who) = (self.meter.clone(), self.who.clone());
        // The server may take a second, and others wait on this thread.
        let ours =
            tokio::task::spawn_blocking(move || meter.tallies_of(&who, now)).await.ok()??;
        let accepted = ours.iter().map(|one| one.tally.accepted).sum();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.look(accepted, now, quiet(self.interval));
        seen.hashes
    }

    fn curtail(&self, curtailed: bool) -> Reply {
        if !self.meter.curtail(&self.who, curtailed) {
            return Reply::Refused("the Stratum server cannot set it apart now".into());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.hashes, seen.since) = (None, self.clock.now());
        Reply::Accepted
    }
}

fn quiet(interval: Duration) -> Duration {
    (interval * INTERVALS).max(AT_LEAST)
}

impl Seen {
    fn look(&mut self, accepted: u64, now: Moment, quiet: Duration) {
        if accepted > self.accepted {
            (self.hashes, self.since) = (Some(true), now);
        } else if now.since(self.since) >= quiet {
            self.hashes = Some(false);
        }
        // Fewer after a reconnect: sessions take their counts with them.
        self.accepted = accepted;
    }
}

impl Driver for StratumOnly {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async { Ok(Identity::of(Firmware::None)) })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async { Ok(Capabilities::of([Verb::Pause, Verb::Resume])) })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async {
            let mining = self.look(self.clock.now()).await;
            Ok(State { settings: Settings { mining, ..Settings::default() }, ..State::default() })
        })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(async move {
            Ok(match command {
                Command::Pause => self.curtail(true),
                Command::Resume => self.curtail(false),
                _ => Reply::Refused("it has no interface of its own".into()),
            })
        })
    }

    fn patience(&self, _: &Command) -> Duration {
        2 * quiet(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Worked;

    #[test]
    fn only_three_intervals_and_half_a_minute_of_silence_are_a_pause() {
        let at = Moment::from_secs;
        let quiet = super::quiet(Duration::from_secs(2));
        assert_eq!(quiet, AT_LEAST);
        let mut seen = Seen::default();
        for (accepted, secs, hashes) in [
            (0, 1, None),
            (1, 2, Some(true)),
            (1, 20, Some(true)),
            (2, 25, Some(true)),
            (2, 54, Some(true)),
            (2, 55, Some(false)),
            // The session ended and another began.
            (0, 60, Some(false)),
            (1, 61, Some(true)),
        ] {
            seen.look(accepted, at(secs), quiet);
            assert_eq!(seen.hashes, hashes, "{accepted} shares at {secs} s");
        }
    }

    /// A server that answers while it is not busy, and has room for none or for all.
    struct Server {
        busy: Mutex<bool>,
        room: bool,
    }

    impl Meter for Server {
        fn tallies(&self, _: Moment) -> Option<Vec<Worked>> {
            (!*self.busy.lock().unwrap()).then(Vec::new)
        }

        fn share_interval(&self, _: &Who, _: Option<Duration>) {}

        fn curtail(&self, _: &Who, _: bool) -> bool {
            self.room
        }
    }

    #[tokio::test]
    async fn silence_of_the_server_is_not_silence_of_the_machine() {
        let server = Arc::new(Server { busy: Mutex::new(true), room: true });
        // Three minutes in a hundredth of a second.
        let clock = Clock::start(20_000.0);
        let who = Who::Worker("a.b".into());
        let link = StratumOnly::new(server.clone(), who, Duration::from_secs(2), clock);
        assert_eq!(link.apply(&Command::Pause).await, Ok(Reply::Accepted));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(link.read().await.unwrap().settings.mining, None);
        *server.busy.lock().unwrap() = false;
        assert_eq!(link.read().await.unwrap().settings.mining, Some(false));
    }

    #[tokio::test]
    async fn a_server_that_has_no_room_for_it_has_not_paused_it() {
        let server = Arc::new(Server { busy: Mutex::new(false), room: false });
        let who = Who::Worker("a.b".into());
        let link = StratumOnly::new(server, who, Duration::from_secs(2), Clock::start(1.0));
        let told = link.apply(&Command::Pause).await.unwrap();
        assert!(matches!(told, Reply::Refused(_)), "{told:?}");
    }
}
