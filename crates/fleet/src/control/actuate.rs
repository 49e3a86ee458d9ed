//! One command to one machine: check, send, read back until sure, judge.

use crate::{
    command::{Command, WorkMode},
    device::Device,
    driver::{Driver, DriverError, Pending, Reply, State},
    drivers::READ_DEADLINE,
    identity::DeviceId,
    outcome::{Actuation, Outcome, Refusal},
    verify::{holds, judge},
};
use std::time::Duration;
use tokio::sync::Semaphore;
use units::Watts;

use super::{Clock, load};

/// The first look after a command; each later one comes after twice the time.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// Looks are never further apart than this.
const LAST_LOOK: Duration = Duration::from_secs(16);
/// Some firmware restarts a few seconds after it took a target temperature and said that all is well:
/// it is looked at for this long.
const RESTART_SHOWS: Duration = Duration::from_secs(10);

/// A command's result, and what was last read.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What became of it.
    pub actuation: Actuation,
    /// What was read last, after it was sent; before, if it was not sent. `None` if the machine was not
    /// read since.
    pub state: Option<State>,
}

impl Done {
    /// Not sent.
    pub fn refused(refusal: Refusal) -> Self {
        let actuation = Actuation { outcome: Outcome::Refused(refusal), surprises: Vec::new() };
        Self { actuation, state: None }
    }
}

/// What can be said of a command before anything is sent.
pub fn check(device: &Device, command: &Command) -> Result<(), Refusal> {
    device.capabilities.check(command)?;
    let limits = &device.limits;
    match command {
        Command::PowerLimit(watts) => match limits.power {
            Some(most) if *watts > most => Err(Refusal::Limit(format!(
                "power {watts} is more than the {most} that this machine may draw"
            ))),
            _ => Ok(()),
        },
        Command::TargetTemperature(target) if *target >= limits.chip => {
            Err(Refusal::Limit(format!(
                "a target of {target} is not below the {} at which its chips are too hot",
                limits.chip
            )))
        }
        _ => Ok(()),
    }
}

/// Whether the machine that answers is the one that is meant: addresses change hands. One that does not
/// say who it is cannot be told from another; one that says nothing at all is no other.
pub async fn is_it(link: &dyn Driver, id: &DeviceId, sockets: &Semaphore) -> Result<(), Refusal> {
    if !matches!(id, DeviceId::Mac(_) | DeviceId::Serial(_)) {
        return Ok(());
    }
    let other = || Refusal::Limit("another machine answers at its address".into());
    match exchange(sockets, READ_DEADLINE, link.identify()).await {
        Ok(who) => {
            let same = match id {
                DeviceId::Mac(mac) => who.mac.is_none_or(|own| own == *mac),
                DeviceId::Serial(serial) => who.serial.is_none_or(|own| own == *serial),
                _ => true,
            };
            if same { Ok(()) } else { Err(other()) }
        }
        Err(DriverError::Unreachable(_)) => Err(Refusal::Unreachable),
        Err(DriverError::Garbage(_)) => Err(other()),
        Err(_) => Ok(()),
    }
}

/// Whether a command may make a machine hotter or draw more than it does, as far as is known.
fn raises(command: &Command, device: &Device, state: &State) -> bool {
    let is = &state.settings;
    let drawn = state.readings.power;
    // What cannot be compared may be more.
    let more = |wanted: Option<Watts>, now: Option<Watts>| {
        wanted.zip(now).is_none_or(|(wanted, now)| wanted > now)
    };
    match command {
        Command::Pause | Command::Locate(_) | Command::Reboot | Command::Fan(None) => false,
        Command::Mode(WorkMode::Low) => false,
        Command::Mode(WorkMode::Normal) => is.mode != Some(WorkMode::High),
        Command::PowerLimit(watts) => more(Some(*watts), is.power_limit),
        Command::Throttle(part) => more(load::full(device).map(|full| full.part(*part)), drawn),
        Command::Profile(name) => {
            let own = is.profile.as_ref().and_then(|own| load::profile(device, own));
            more(load::profile(device, name), own.or(is.power_limit).or(drawn))
        }
        Command::Clock { frequency, voltage } => {
            is.frequency.is_none_or(|f| *frequency > f) || is.voltage.is_none_or(|v| *voltage > v)
        }
        Command::BoardClock { board, frequency } => {
            is.boards.get(usize::from(*board)).is_none_or(|own| frequency > own)
        }
        Command::Fan(Some(duty)) => is.fan.is_none_or(|fan| *duty < fan),
        Command::TargetTemperature(target) => is.target.is_none_or(|t| *target > t),
        Command::Resume | Command::Mode(_) => true,
    }
}

/// Sends a command that [`check`] let through and reads back until it is sure or patience is over.
/// Each exchange takes one of `sockets`.
pub async fn carry_out(
    link: &dyn Driver,
    device: &Device,
    command: &Command,
    clock: &Clock,
    sockets: &Semaphore,
) -> Done {
    let before = match exchange(sockets, READ_DEADLINE, link.read()).await {
        Ok(state) => Some(state),
        Err(DriverError::Unreachable(_)) => return Done::refused(Refusal::Unreachable),
        Err(DriverError::Credentials) => return Done::refused(Refusal::Credentials),
        Err(_) => None,
    };
    // Writing it restarts some firmware: what is so already is left alone.
    if let (Command::TargetTemperature(_), Some(state)) = (command, &before)
        && holds(command, None, state) == Some(true)
    {
        let actuation = Actuation { outcome: Outcome::Verified, surprises: Vec::new() };
        return Done { actuation, state: before };
    }
    if let Some(state) = &before {
        let breach = device.limits.breaches(&state.readings).into_iter().next();
        if let Some(breach) = breach.filter(|_| raises(command, device, state)) {
            let why = format!("{breach}, which is beyond its limit");
            return Done { state: before, ..Done::refused(Refusal::Limit(why)) };
        }
    } else if raises(command, device, &State::default()) {
        return Done::refused(Refusal::Limit("its sensors could not be read".into()));
    }
    let patience = link.patience(command);
    let deadline = READ_DEADLINE + clock.real(patience);
    let reply = exchange(sockets, deadline, link.apply(command)).await;
    if reply.as_ref().is_err_and(|error| !error.may_have_arrived()) {
        let actuation = judge(command, &reply, before.as_ref(), None, true);
        return Done { actuation, state: before };
    }
    let sent = clock.now();
    let settle = match command {
        Command::TargetTemperature(_) => RESTART_SHOWS.min(patience),
        _ => Duration::ZERO,
    };
    let mut wait = FIRST_LOOK;
    loop {
        let left = patience.saturating_sub(clock.now().since(sent));
        tokio::time::sleep(clock.real(wait.min(left))).await;
        wait = (2 * wait).min(LAST_LOOK);
        let after = exchange(sockets, READ_DEADLINE, link.read()).await.ok();
        let passed = clock.now().since(sent);
        // A machine that said no is looked at once: perhaps it was so already.
        let over = passed >= patience || matches!(reply, Ok(Reply::Refused(_)));
        let actuation = judge(command, &reply, before.as_ref(), after.as_ref(), over);
        let sure = actuation.outcome == Outcome::Verified && passed >= settle;
        if sure || over {
            return Done { actuation, state: after };
        }
    }
}

/// One question to a machine, in its turn for a socket.
pub async fn exchange<T>(
    sockets: &Semaphore,
    deadline: Duration,
    question: Pending<'_, T>,
) -> Result<T, DriverError> {
    // The semaphore is never closed.
    let _turn = sockets.acquire().await;
    match tokio::time::timeout(deadline, question).await {
        Ok(answer) => answer,
        Err(_) => Err(DriverError::Silent(deadline)),
    }
}
