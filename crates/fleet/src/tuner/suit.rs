//! Which tuner suits a machine: the one for clock and voltage, the one for profiles, limits and modes,
//! or none, and then why. Pure.

use super::{
    Arm, Envelope, Goal, Prior,
    choose::{CLOCKS, VOLTAGES},
    noise::quiet,
};
use crate::{
    capability::Range,
    command::{Command, Verb, WorkMode},
    device::{Control, Device},
};
use units::{Megahertz, Millivolts, Watts};

/// Power limits that are tried of a range.
const STEPS: u32 = 9;

/// How a machine can be tuned.
#[derive(Debug, Clone, PartialEq)]
pub enum Suit {
    /// By clock and core voltage.
    Clock {
        /// Where it may go.
        envelope: Envelope,
        /// What is known of its model.
        prior: Prior,
    },
    /// Among a few settings.
    Arms {
        /// Them.
        arms: Vec<Arm>,
        /// The one it has now.
        start: usize,
    },
}

/// Why a machine is not tuned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsuited {
    /// It has no interface of its own.
    #[error("it is only switched, not set: there is nothing to tune")]
    Switched,
    /// Its firmware takes nothing that changes its power.
    #[error("its firmware takes no clock, profile, power limit or mode")]
    Fixed,
    /// Nothing is known of its kind.
    #[error(
        "how its power follows clock and voltage is not known for \"{0}\"; only the Bitaxe Gamma is"
    )]
    Model(String),
    /// A goal in decibels needs the noise at one power.
    #[error("nobody has said how loud this model is; use watts= or heat= instead")]
    Noise,
    /// A goal in decibels needs a fan that shows that it turns.
    #[error(
        "it does not tell how fast its fan turns, so that its noise is not known; use watts= instead"
    )]
    FanUntold,
    /// The noise of such a fan does not follow the power.
    #[error("its fan is set by hand and stays as loud as it is; set the fan to automatic first")]
    FanByHand,
    /// It is not known where it is now.
    #[error("it does not tell which profile, limit or mode it has; set one first")]
    Nowhere,
}

/// The tuner for a machine.
pub fn suit(device: &Device, goal: &Goal) -> Result<Suit, Unsuited> {
    if device.control != Control::Firmware {
        return Err(Unsuited::Switched);
    }
    quiet(device, *goal)?;
    let able = &device.capabilities;
    if able.verbs.contains(&Verb::Clock)
        && let (Some(frequency), Some(voltage)) = (able.frequency, able.voltage)
    {
        let told = [device.model.as_deref(), device.identity.model.as_deref()];
        let prior = told.iter().flatten().find_map(|model| Prior::of(model));
        let model = told.into_iter().flatten().next().unwrap_or("a model that it does not tell");
        let prior = prior.ok_or_else(|| Unsuited::Model(model.into()))?;
        let sane = |low: f64, high: f64, sane: (f64, f64)| (low.max(sane.0), high.min(sane.1));
        let (low, high) = sane(frequency.low.get(), frequency.high.get(), CLOCKS);
        let (lowest, highest) = sane(voltage.low.get(), voltage.high.get(), VOLTAGES);
        let mhz = |f| Megahertz::new(f).map_err(|_| Unsuited::Fixed);
        let mv = |v| Millivolts::new(v).map_err(|_| Unsuited::Fixed);
        let frequency = Range::new(mhz(low)?, mhz(high)?).ok_or(Unsuited::Fixed)?;
        let voltage = Range::new(mv(lowest)?, mv(highest)?).ok_or(Unsuited::Fixed)?;
        let envelope = Envelope { frequency, voltage, limits: device.limits };
        return Ok(Suit::Clock { envelope, prior });
    }
    let arms = arms(device);
    if arms.len() < 2 {
        return Err(Unsuited::Fixed);
    }
    let start = now(device, &arms).ok_or(Unsuited::Nowhere)?;
    Ok(Suit::Arms { arms, start })
}

fn arms(device: &Device) -> Vec<Arm> {
    let able = &device.capabilities;
    if able.verbs.contains(&Verb::Profile) && able.profiles.len() > 1 {
        let arm = |(name, told): &(String, Option<Watts>)| Arm {
            command: Command::Profile(name.clone()),
            told: *told,
        };
        return able.profiles.iter().map(arm).collect();
    }
    if able.verbs.contains(&Verb::PowerLimit)
        && let Some(Range { low, high }) = able.power
    {
        let most = device.limits.power.map_or(high, |limit| limit.min(high));
        let span = most.get() - low.get();
        let limit = |i: u32| {
            let watts = low.get() + span * f64::from(i) / f64::from(STEPS - 1);
            let watts = Watts::new(watts.round()).ok()?;
            Some(Arm { command: Command::PowerLimit(watts), told: Some(watts) })
        };
        let mut arms: Vec<Arm> =
            if span > 0.0 { (0..STEPS).filter_map(limit).collect() } else { Vec::new() };
        // The limit that it has is where it begins, on whatever figure that stands.
        if let Some(has) = device.settings.as_ref().and_then(|read| read.value.power_limit)
            && !arms.iter().any(|arm| arm.told == Some(has))
        {
            arms.push(Arm { command: Command::PowerLimit(has), told: Some(has) });
        }
        return arms;
    }
    if able.verbs.contains(&Verb::Mode) {
        let avalon = |mode: &&WorkMode| !matches!(mode, WorkMode::Avalon { level: Some(_), .. });
        let modes = able.modes.iter().filter(avalon);
        return modes.map(|mode| Arm { command: Command::Mode(*mode), told: None }).collect();
    }
    Vec::new()
}

fn now(device: &Device, arms: &[Arm]) -> Option<usize> {
    let is = &device.settings.as_ref()?.value;
    arms.iter().position(|arm| match &arm.command {
        Command::Profile(name) => is.profile.as_ref() == Some(name),
        Command::PowerLimit(watts) => is.power_limit == Some(*watts),
        Command::Mode(mode) => is.mode == Some(*mode),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        capability::Capabilities,
        identity::{DeviceId, Firmware, Identity},
        limits::Limits,
        readings::{Moment, Reading},
        settings::Settings,
    };
    use units::{Celsius, Ratio};

    fn device(model: &str, capabilities: Capabilities, settings: Settings) -> Device {
        let identity = Identity { model: Some(model.into()), ..Identity::of(Firmware::AxeOs) };
        let limits = Limits {
            chip: Celsius::new(70.0).unwrap(),
            regulator: None,
            inlet: None,
            outlet: None,
            input_low: None,
            input_high: None,
            power: None,
        };
        let id = DeviceId::Named("a".into());
        let mut device = Device::found(id, identity, Control::Firmware, limits);
        device.capabilities = capabilities;
        device.settings = Some(Reading::new(settings, Moment::from_secs(0)));
        device
    }

    #[test]
    fn each_firmware_gets_the_tuner_that_it_can_take() {
        let goal = Goal::Efficiency { keep: Ratio::new(0.75).unwrap() };
        let watts = |w| Watts::new(w).unwrap();
        let clock = Capabilities {
            frequency: Range::new(Megahertz::new(400.0).unwrap(), Megahertz::new(625.0).unwrap()),
            voltage: Range::new(Millivolts::new(1000.0).unwrap(), Millivolts::new(1250.0).unwrap()),
            ..Capabilities::of([Verb::Clock])
        };
        let gamma = device("Bitaxe Gamma", clock.clone(), Settings::default());
        assert!(matches!(suit(&gamma, &goal), Ok(Suit::Clock { .. })));
        let hostile = Capabilities {
            frequency: Range::new(Megahertz::new(0.0).unwrap(), Megahertz::new(1e9).unwrap()),
            voltage: Range::new(Millivolts::new(0.0).unwrap(), Millivolts::new(1e9).unwrap()),
            ..clock.clone()
        };
        let Ok(Suit::Clock { envelope, .. }) =
            suit(&device("Bitaxe Gamma", hostile, Settings::default()), &goal)
        else {
            panic!("no clock")
        };
        assert_eq!(envelope.frequency.high, Megahertz::new(1000.0).unwrap());
        assert_eq!(envelope.voltage.high, Millivolts::new(1400.0).unwrap());
        let other = device("Something", clock, Settings::default());
        assert_eq!(suit(&other, &goal), Err(Unsuited::Model("Something".into())));
        let limited = Capabilities {
            power: Range::new(watts(1000.0), watts(3500.0)),
            ..Capabilities::of([Verb::PowerLimit])
        };
        let has = Settings { power_limit: Some(watts(3333.0)), ..Settings::default() };
        let braiins = device("S21 Pro", limited.clone(), has);
        let Ok(Suit::Arms { arms, start }) = suit(&braiins, &goal) else { panic!("no arms") };
        assert_eq!((arms.len(), arms[start].told), (10, Some(watts(3333.0))));
        let unread = device("S21 Pro", limited, Settings::default());
        assert_eq!(suit(&unread, &goal), Err(Unsuited::Nowhere));
        let none = device("S9", Capabilities::of([Verb::Pause]), Settings::default());
        assert_eq!(suit(&none, &goal), Err(Unsuited::Fixed));
        let quiet = Goal::Noise(units::Decibels::new(40.0).unwrap());
        assert_eq!(suit(&gamma, &quiet), Err(Unsuited::Noise));
    }
}
