//! How much a machine can draw as it is set, and what a command makes of that. Pure. Takes the higher
//! figure wherever two are known, and none where none is: nobody's guess feeds a breaker.

use crate::{
    command::{Command, WorkMode},
    control::staging::Step,
    device::{Control, Device, Presence},
    power::FRESH,
    readings::{Moment, Reading},
};
use std::time::Duration;
use units::{Millivolts, Watts};

/// Firmware keeps to its limit within its own estimate's error (5 %, [`crate::power::Source`]).
const MARGIN: f64 = 1.05;
/// Above that on a cold start: fans at full speed, chips trained at full voltage. An assumption.
const START: f64 = 1.1;
/// What sleeps still feeds a control board and fans: 25 W of an S19k Pro under LuxOS, 3 W of a Gamma.
/// Until the machine tells, a twentieth of its full power and ten watts.
const STANDBY: (f64, f64) = (0.05, 10.0);
/// Until a power reading shows that it arrived: time to fall asleep, and time to ramp up.
const FALL: Duration = Duration::from_secs(10);
/// To turn down without stopping takes 5 s under LuxOS, and up to a minute elsewhere (fleet.md, ramp times).
const EASE: Duration = Duration::from_secs(60);
const RAMP: Duration = Duration::from_secs(120);

/// The most that a machine can draw as it is set; `None` if nobody has said.
pub fn bound(device: &Device, now: Moment) -> Option<Watts> {
    // One that is curtailed by getting no work may idle at any power, and one that has fallen silent may
    // have been switched on again.
    let tells = device.control != Control::StratumOnly && device.presence != Presence::Offline;
    let most = match mining(device) {
        Some(false) if tells => standby(device)?,
        _ => set_to(device)?,
    };
    let fresh = |told: Reading<Watts>| told.fresh(now, FRESH).copied();
    let told = [device.known.power, device.metered_power].into_iter().flatten().filter_map(fresh);
    Some(told.map(|drawn| times(drawn, MARGIN)).fold(most, larger))
}

/// What a machine draws: by its own meter, as it last told, else the most that it can. `None` if nobody
/// has said.
pub fn drawn(device: &Device, now: Moment) -> Option<Watts> {
    if let Some(metered) = device.metered_power.and_then(|told| told.fresh(now, FRESH).copied()) {
        return Some(metered);
    }
    let told = device.known.power;
    // Of one that does not answer nothing later is known.
    let told =
        told.filter(|told| device.presence != Presence::Online || told.fresh(now, FRESH).is_some());
    told.map(|told| told.value).or_else(|| bound(device, now))
}

/// What a machine gives up when it is paused; `None` if that is not known.
pub fn sheds(device: &Device, now: Moment) -> Option<Watts> {
    let left = drawn(device, now)?.get() - standby(device)?.get();
    Watts::new(left).ok().filter(|left| device.control != Control::StratumOnly && left.get() > 0.0)
}

/// A command to a machine that has been granted this bound. Turning down does not start it anew, so it
/// draws no more on its way than it may already; and to stop a machine needs nobody's leave.
pub fn eased(step: Step, command: &Command, granted: Watts) -> Step {
    match command {
        Command::Pause => Step {
            target: smaller(step.target, granted),
            peak: smaller(step.peak, granted),
            ..step
        },
        Command::Resume | Command::Reboot => step,
        _ if step.target <= granted => {
            Step { peak: smaller(step.peak, granted), settle: EASE, ..step }
        }
        _ => step,
    }
}

/// What a command makes of a machine's power. `Ok(None)`: nothing; `Err`: more, and nobody has said
/// how much that can be.
pub fn step(device: &Device, command: &Command, now: Moment) -> Result<Option<Step>, Unsaid> {
    let up = |target: Watts| Step { target, peak: times(target, START), settle: RAMP };
    let step = match command {
        Command::Pause => {
            let target = match device.control {
                Control::StratumOnly => set_to(device),
                _ => standby(device),
            };
            let target = target.ok_or(Unsaid)?;
            Step { target, peak: target, settle: FALL }
        }
        Command::PowerLimit(limit) => up(times(*limit, MARGIN)),
        Command::Resume | Command::Reboot => up(set_to(device).ok_or(Unsaid)?),
        Command::Throttle(part) => {
            up(times(full(device).ok_or(Unsaid)?, MARGIN * part.get().max(STANDBY.0)))
        }
        Command::Profile(name) => {
            let told = profile(device, name).or_else(|| full(device));
            up(times(told.ok_or(Unsaid)?, MARGIN))
        }
        // It draws no more than as it is set.
        Command::Mode(WorkMode::Low) => up(set_to(device).ok_or(Unsaid)?),
        Command::Mode(_) => up(times(full(device).ok_or(Unsaid)?, MARGIN)),
        Command::Clock { frequency, voltage } => {
            let switching = |f: f64, v: Millivolts| f * v.volts() * v.volts();
            let at = device.settings.as_ref().map(|settings| &settings.value);
            let now_set = at.and_then(|at| Some(switching(at.frequency?.get(), at.voltage?)));
            let drawn = device.known.power.and_then(|told| told.fresh(now, FRESH).copied());
            let wanted = switching(frequency.get(), *voltage);
            // Not all of it is switching: leakage rises less. So this is the most.
            let scaled = drawn
                .zip(now_set.filter(|set| *set > 0.0))
                .filter(|_| mining(device) == Some(true));
            let target = scaled.map(|(drawn, set)| times(drawn, MARGIN * (wanted / set).max(0.2)));
            up(target.or_else(|| Some(times(full(device)?, MARGIN))).ok_or(Unsaid)?)
        }
        Command::BoardClock { board, frequency } => {
            let own =
                device.settings.as_ref().and_then(|at| at.value.boards.get(usize::from(*board)));
            let drawn = device.known.power.and_then(|told| told.fresh(now, FRESH).copied());
            // As if all of it were this board's: the most.
            let part = own.map(|own| (frequency.get() / own.get().max(1.0)).max(1.0));
            let target = drawn.zip(part).map(|(drawn, part)| times(drawn, MARGIN * part));
            up(target.or_else(|| Some(times(full(device)?, MARGIN))).ok_or(Unsaid)?)
        }
        Command::Fan(_) | Command::TargetTemperature(_) | Command::Locate(_) => return Ok(None),
    };
    Ok(Some(step))
}

/// Nobody has said how much a machine can draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "nobody has said how much this machine can draw: set its model or power under [[fleet.device]]"
)]
pub struct Unsaid;

fn mining(device: &Device) -> Option<bool> {
    device.settings.as_ref().and_then(|settings| settings.value.mining)
}

/// The most that it can draw at all: the highest figure that anybody has said.
pub(super) fn full(device: &Device) -> Option<Watts> {
    let curve = device.curve.as_ref().map(|curve| curve.ceiling());
    let said = [device.declared_power, curve];
    let firmware = device.capabilities.power.map(|range| range.high);
    let profiles = device.capabilities.profiles.iter().filter_map(|(_, watts)| *watts);
    said.into_iter().flatten().chain(firmware).chain(profiles).reduce(larger)
}

/// The most that it can draw while it hashes as it is set.
pub(super) fn set_to(device: &Device) -> Option<Watts> {
    let settings = device.settings.as_ref().map(|settings| &settings.value);
    let limit = settings.and_then(|settings| settings.power_limit);
    let profile = settings.and_then(|settings| profile(device, settings.profile.as_deref()?));
    limit.or(profile).or_else(|| full(device)).map(|watts| times(watts, MARGIN))
}

/// The power limit at which a machine draws no more than this.
pub(super) fn limit_within(most: Watts) -> Watts {
    times(most, MARGIN.recip())
}

fn standby(device: &Device) -> Option<Watts> {
    let most = full(device).or_else(|| set_to(device))?;
    Watts::new(most.get() * STANDBY.0 + STANDBY.1).ok()
}

pub(super) fn profile(device: &Device, name: &str) -> Option<Watts> {
    device.capabilities.profiles.iter().find(|(own, _)| own == name).and_then(|(_, watts)| *watts)
}

fn times(watts: Watts, factor: f64) -> Watts {
    // Finite times finite and both small: this cannot fail, and if it did, nothing changes.
    Watts::new(watts.get() * factor).unwrap_or(watts)
}

fn larger(a: Watts, b: Watts) -> Watts {
    if a < b { b } else { a }
}

fn smaller(a: Watts, b: Watts) -> Watts {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Control, DeviceId, Identity, Limits, Settings, identity::Firmware, readings::Reading,
    };
    use units::{Celsius, Megahertz};

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    fn machine(declared: Option<f64>) -> Device {
        let limits = Limits {
            chip: Celsius::new(90.0).unwrap(),
            regulator: None,
            inlet: None,
            outlet: None,
            input_low: None,
            input_high: None,
            power: None,
        };
        let identity = Identity::of(Firmware::WhatsminerV2);
        let mut device =
            Device::found(DeviceId::Named("m".into()), identity, Control::Firmware, limits);
        device.declared_power = declared.map(w);
        device.presence = Presence::Online;
        device
    }

    fn set(device: &mut Device, settings: Settings) {
        device.settings = Some(Reading::new(settings, Moment::default()));
    }

    #[test]
    fn what_nobody_has_said_is_not_guessed() {
        let device = machine(None);
        let now = Moment::default();
        assert_eq!(bound(&device, now), None);
        assert_eq!(step(&device, &Command::Resume, now), Err(Unsaid));
        assert_eq!(step(&device, &Command::Locate(true), now), Ok(None));
        let limited = step(&device, &Command::PowerLimit(w(2000.0)), now).unwrap().unwrap();
        assert_eq!((limited.target, limited.peak.get().round()), (w(2100.0), 2310.0));
    }

    #[test]
    fn a_seven_kilowatt_machine_is_taken_as_it_is() {
        let device = machine(Some(7000.0));
        let step = step(&device, &Command::PowerLimit(w(7360.0)), Moment::default()).unwrap();
        assert_eq!(step.unwrap().target, w(7360.0 * 1.05));
        assert_eq!(bound(&device, Moment::default()), Some(w(7350.0)));
    }

    #[test]
    fn a_machine_that_draws_more_than_it_is_set_to_counts_with_what_it_draws() {
        let mut device = machine(Some(3500.0));
        set(&mut device, Settings { mining: Some(false), ..Settings::default() });
        assert_eq!(bound(&device, Moment::default()), Some(w(185.0)));
        device.known.power = Some(Reading::new(w(2000.0), Moment::default()));
        assert_eq!(bound(&device, Moment::default()), Some(w(2100.0)));
        assert_eq!(
            bound(&device, Moment::from_secs(61)),
            Some(w(185.0)),
            "old readings say nothing"
        );
    }

    #[test]
    fn a_clock_change_scales_with_frequency_and_the_square_of_voltage() {
        let mut device = machine(None);
        let mhz = |f| Megahertz::new(f).unwrap();
        let mv = |v| Millivolts::new(v).unwrap();
        set(
            &mut device,
            Settings {
                mining: Some(true),
                frequency: Some(mhz(500.0)),
                voltage: Some(mv(1000.0)),
                ..Settings::default()
            },
        );
        device.known.power = Some(Reading::new(w(20.0), Moment::default()));
        let command = Command::Clock { frequency: mhz(600.0), voltage: mv(1100.0) };
        let step = step(&device, &command, Moment::default()).unwrap().unwrap();
        assert!((step.target.get() - 20.0 * 1.2 * 1.21 * 1.05).abs() < 1e-9);
    }

    #[test]
    fn silence_at_the_stratum_port_says_nothing_of_power() {
        let mut device = machine(Some(3500.0));
        set(&mut device, Settings { mining: Some(false), ..Settings::default() });
        device.control = Control::StratumOnly;
        let now = Moment::default();
        assert_eq!(bound(&device, now), Some(w(3675.0)));
        assert_eq!(step(&device, &Command::Pause, now).unwrap().unwrap().target, w(3675.0));
        assert_eq!(sheds(&device, now), None);
    }

    #[test]
    fn a_machine_that_was_paused_and_is_given_up_counts_as_if_it_ran() {
        let mut device = machine(Some(3500.0));
        set(&mut device, Settings { mining: Some(false), ..Settings::default() });
        device.presence = Presence::Offline;
        assert_eq!(bound(&device, Moment::default()), Some(w(3675.0)));
    }

    #[test]
    fn to_turn_down_takes_no_room_and_to_start_takes_a_start() {
        let mut device = machine(Some(3500.0));
        let limit = Some(w(3000.0));
        set(&mut device, Settings { power_limit: limit, ..Settings::default() });
        let now = Moment::default();
        let granted = bound(&device, now).unwrap();
        let most = |command: &Command| {
            let step = eased(step(&device, command, now).unwrap().unwrap(), command, granted);
            step.peak.get().max(step.target.get())
        };
        assert_eq!(granted, w(3150.0));
        assert_eq!(most(&Command::PowerLimit(w(2900.0))), 3150.0);
        assert_eq!(most(&Command::Mode(WorkMode::Low)), 3150.0);
        assert!(most(&Command::PowerLimit(w(3100.0))) > 3255.0);
        assert!(most(&Command::Resume) > 3150.0);
    }

    #[test]
    fn the_highest_figure_that_anybody_has_said_counts_and_the_firmwares_error_above_it() {
        let mut device = machine(Some(3000.0));
        device.capabilities.profiles = vec![("hot".into(), Some(w(3600.0))), ("x".into(), None)];
        let target = |command| {
            step(&device, &command, Moment::default()).unwrap().unwrap().target.get().round()
        };
        assert_eq!(target(Command::Mode(WorkMode::High)), 3780.0);
        assert_eq!(target(Command::Profile("x".into())), 3780.0);
        assert_eq!(target(Command::Profile("hot".into())), 3780.0);
    }
}
