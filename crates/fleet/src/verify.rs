//! Whether a command came true: from what the machine said and from what was read before and after.
//! Pure; whoever sends the command reads until this is sure or patience is over.

use crate::{
    command::{Command, WorkMode},
    driver::{DriverError, Reply, State},
    outcome::{Actuation, Outcome, Refusal, Surprise},
    settings::Settings,
};
use std::time::Duration;
use units::Watts;

/// Firmware rounds a power limit to its own steps: this far off is still the same.
const POWER_SLACK: f64 = 0.01;
/// Clock steps of a BM13xx PLL are 6.25 MHz; half of one is rounding.
const CLOCK_SLACK_MHZ: f64 = 3.2;
/// Firmware stores millivolts; a regulator has steps of a few.
const VOLTAGE_SLACK_MV: f64 = 5.0;
/// Percent of fan duty.
const FAN_SLACK: f64 = 0.02;

/// A command's result.
///
/// `reply` is what the machine said, `before` and `after` what was read; `patience_over` says that
/// no later reading will be asked for.
pub fn judge(
    command: &Command,
    reply: &Result<Reply, DriverError>,
    before: Option<&State>,
    after: Option<&State>,
    patience_over: bool,
) -> Actuation {
    let seen = after.and_then(|after| holds(command, before, after));
    let outcome = match (seen, reply) {
        (Some(true), _) => Outcome::Verified,
        (_, Ok(Reply::Refused(words))) => Outcome::Refused(Refusal::Said(words.clone())),
        (_, Err(DriverError::Credentials)) => Outcome::Refused(Refusal::Credentials),
        (_, Err(DriverError::Unsafe(why))) => Outcome::Refused(Refusal::Limit((*why).into())),
        (_, Err(error)) if !error.may_have_arrived() => Outcome::Refused(Refusal::Unreachable),
        (Some(false), _) if patience_over => Outcome::Refused(Refusal::Silent),
        (_, Ok(Reply::Accepted)) => Outcome::Accepted,
        (_, Err(_)) => Outcome::Unknown,
    };
    let surprises = match (before, after) {
        (Some(before), Some(after)) => surprises(command, before, after),
        _ => Vec::new(),
    };
    Actuation { outcome, surprises }
}

/// Whether the machine is as commanded; `None` if it does not tell.
pub fn holds(command: &Command, before: Option<&State>, after: &State) -> Option<bool> {
    let is = &after.settings;
    let near = |value: f64, wanted: f64, slack: f64| (value - wanted).abs() <= slack;
    match command {
        Command::PowerLimit(wanted) => is.power_limit.map(|limit| same_power(limit, *wanted)),
        // Throttling shows in nothing but the power itself, which is not a setting.
        Command::Throttle(_) => None,
        Command::Pause => is.mining.map(|mining| !mining),
        Command::Resume => is.mining,
        Command::Clock { frequency, voltage } => {
            let (f, v) = (is.frequency?, is.voltage?);
            let same = near(f.get(), frequency.get(), CLOCK_SLACK_MHZ)
                && near(v.get(), voltage.get(), VOLTAGE_SLACK_MV);
            Some(same)
        }
        Command::BoardClock { board, frequency } => {
            let own = is.boards.get(usize::from(*board))?;
            Some(near(own.get(), frequency.get(), CLOCK_SLACK_MHZ))
        }
        Command::Fan(None) => is.fan_auto,
        Command::Fan(Some(duty)) => {
            let by_hand = !is.fan_auto.unwrap_or(false);
            is.fan.map(|fan| by_hand && near(fan.get(), duty.get(), FAN_SLACK))
        }
        Command::TargetTemperature(wanted) => {
            is.target.map(|target| near(target.get(), wanted.get(), 0.5))
        }
        Command::Mode(wanted) => is.mode.map(|mode| same_mode(mode, *wanted)),
        Command::Profile(wanted) => is.profile.as_ref().map(|profile| profile == wanted),
        Command::Locate(wanted) => is.locating.map(|locating| locating == *wanted),
        Command::Reboot => {
            let (was, now) = (before?.readings.uptime?, after.readings.uptime?);
            Some(now < was)
        }
    }
}

/// A level that was not commanded may be any.
fn same_mode(mode: WorkMode, wanted: WorkMode) -> bool {
    match (mode, wanted) {
        (WorkMode::Avalon { mode, .. }, WorkMode::Avalon { mode: wanted, level: None }) => {
            mode == wanted
        }
        _ => mode == wanted,
    }
}

fn same_power(limit: Watts, wanted: Watts) -> bool {
    (limit.get() - wanted.get()).abs() <= 1.0 + POWER_SLACK * wanted.get()
}

fn surprises(command: &Command, before: &State, after: &State) -> Vec<Surprise> {
    let mut found = Vec::new();
    let (was, is) = (&before.settings, &after.settings);
    if changed(&was.pools, &is.pools) {
        found.push(Surprise::PoolsChanged);
    }
    let rebooted = before
        .readings
        .uptime
        .zip(after.readings.uptime)
        .is_some_and(|(was, now)| now + Duration::from_secs(1) < was);
    if rebooted && *command != Command::Reboot {
        found.push(Surprise::Rebooted);
    }
    found.extend(others(command, was, is));
    found
}

/// Settings that changed although the command is not about them: a resume that lost the power mode.
fn others(command: &Command, was: &Settings, is: &Settings) -> Vec<Surprise> {
    use Command as C;
    let mut found = Vec::new();
    let powers = matches!(command, C::PowerLimit(_) | C::Mode(_) | C::Profile(_) | C::Throttle(_));
    if !powers && changed(&was.mode, &is.mode) {
        found.push(Surprise::SettingChanged("mode"));
    }
    if !powers && changed(&was.power_limit, &is.power_limit) {
        found.push(Surprise::SettingChanged("power limit"));
    }
    if !powers && changed(&was.profile, &is.profile) {
        found.push(Surprise::SettingChanged("profile"));
    }
    let clocks = powers || matches!(command, C::Clock { .. });
    if !clocks && changed(&was.frequency, &is.frequency) {
        found.push(Surprise::SettingChanged("frequency"));
    }
    if !clocks && changed(&was.voltage, &is.voltage) {
        found.push(Surprise::SettingChanged("voltage"));
    }
    if !powers && boards_changed(command, was, is) {
        found.push(Surprise::SettingChanged("another board's clock"));
    }
    if !powers
        && !matches!(command, C::Pause | C::Resume | C::Reboot)
        && changed(&was.mining, &is.mining)
    {
        found.push(Surprise::SettingChanged("mining"));
    }
    found
}

/// Whether a board has another clock that was not told one.
fn boards_changed(command: &Command, was: &Settings, is: &Settings) -> bool {
    let told = match command {
        Command::BoardClock { board, .. } => Some(usize::from(*board)),
        // A restart gives every board the profile's clock again.
        Command::Reboot => return false,
        _ => None,
    };
    let mut both = was.boards.iter().zip(&is.boards).enumerate();
    was.boards.len() == is.boards.len() && both.any(|(n, (was, is))| Some(n) != told && was != is)
}

fn changed<T: PartialEq>(was: &Option<T>, is: &Option<T>) -> bool {
    matches!((was, is), (Some(was), Some(is)) if was != is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Pool, Pools};

    fn watts(w: f64) -> Watts {
        Watts::new(w).unwrap()
    }

    fn limited(w: f64) -> State {
        State {
            settings: Settings { power_limit: Some(watts(w)), ..Settings::default() },
            ..State::default()
        }
    }

    fn yes() -> Result<Reply, DriverError> {
        Ok(Reply::Accepted)
    }

    #[test]
    fn only_what_is_read_back_is_verified() {
        let command = Command::PowerLimit(watts(3000.0));
        let silent = Err(DriverError::Silent(Duration::from_secs(5)));
        let refused = Ok(Reply::Refused("busy".into()));
        let gone = Err(DriverError::Unreachable("refused".into()));
        for (reply, after, over, outcome) in [
            (yes(), Some(limited(3000.0)), true, Outcome::Verified),
            (silent.clone(), Some(limited(3001.0)), true, Outcome::Verified),
            (yes(), Some(limited(3500.0)), false, Outcome::Accepted),
            (yes(), Some(limited(3500.0)), true, Outcome::Refused(Refusal::Silent)),
            (yes(), None, true, Outcome::Accepted),
            (yes(), Some(State::default()), true, Outcome::Accepted),
            (silent, None, true, Outcome::Unknown),
            (refused, None, true, Outcome::Refused(Refusal::Said("busy".into()))),
            (gone, None, true, Outcome::Refused(Refusal::Unreachable)),
        ] {
            let got = judge(&command, &reply, Some(&limited(3500.0)), after.as_ref(), over);
            assert_eq!(got.outcome, outcome, "{reply:?} {after:?} {over}");
        }
    }

    #[test]
    fn a_mode_without_a_level_leaves_the_level_alone() {
        let avalon = |mode, level| WorkMode::Avalon { mode, level };
        let is = State {
            settings: Settings { mode: Some(avalon(1, Some(-1))), ..Settings::default() },
            ..State::default()
        };
        for (wanted, seen) in
            [(avalon(1, None), true), (avalon(1, Some(-1)), true), (avalon(1, Some(0)), false)]
        {
            assert_eq!(holds(&Command::Mode(wanted), None, &is), Some(seen), "{wanted:?}");
        }
    }

    #[test]
    fn a_power_limit_that_wiped_the_pools_is_noticed() {
        let pools = |url: &str| Some(Pools(vec![Pool { url: url.into(), user: "a.b".into() }]));
        let mut before = limited(3500.0);
        before.settings.pools = pools("stratum+tcp://hearth:3333");
        let mut after = limited(3000.0);
        after.settings.pools = pools("stratum+tcp://vendor.example:3333");
        let command = Command::PowerLimit(watts(3000.0));
        let got = judge(&command, &yes(), Some(&before), Some(&after), true);
        assert_eq!(got.outcome, Outcome::Verified);
        assert_eq!(got.surprises, [Surprise::PoolsChanged]);
    }

    #[test]
    fn a_resume_that_lost_the_power_limit_is_noticed() {
        let state = |mining, w| State {
            settings: Settings { mining: Some(mining), ..limited(w).settings },
            ..State::default()
        };
        let got = judge(
            &Command::Resume,
            &yes(),
            Some(&state(false, 2500.0)),
            Some(&state(true, 3500.0)),
            true,
        );
        assert_eq!(got.outcome, Outcome::Verified);
        assert_eq!(got.surprises, [Surprise::SettingChanged("power limit")]);
    }

    #[test]
    fn a_resume_that_lost_the_power_mode_is_noticed() {
        let state = |mining, mode| State {
            settings: Settings { mining: Some(mining), mode: Some(mode), ..Settings::default() },
            ..State::default()
        };
        let (before, after) = (state(false, WorkMode::Low), state(true, WorkMode::Normal));
        let got = judge(&Command::Resume, &yes(), Some(&before), Some(&after), true);
        assert_eq!(got.outcome, Outcome::Verified);
        assert_eq!(got.surprises, [Surprise::SettingChanged("mode")]);
    }

    #[test]
    fn a_reboot_shows_in_the_uptime_alone() {
        let up = |secs| {
            let mut state = State::default();
            state.readings.uptime = Some(Duration::from_secs(secs));
            state
        };
        let judge = |after: &State| {
            judge(&Command::Reboot, &yes(), Some(&up(9000)), Some(after), true).outcome
        };
        assert_eq!(judge(&up(20)), Outcome::Verified);
        assert_eq!(judge(&up(9005)), Outcome::Refused(Refusal::Silent));
    }
}
