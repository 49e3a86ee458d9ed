//! Noise as a limit of power. A fan that its firmware steers turns as fast as the heat wants: at equal
//! temperatures the flow of air goes with the power, and the speed with the flow (first fan law). Its noise
//! rises by 50 lg(n2/n1) decibels with its speed (basic fan laws, such as <http://www.cpemma.co.uk/fanlaws.html>).
//! So the leaflet's noise at the leaflet's power says how much power is how quiet. Pure.

use super::{Goal, Unsuited};
use crate::device::Device;
use units::{Decibels, Watts};

/// Decibels for each tenfold speed.
const PER_DECADE: f64 = 50.0;

/// How loud a machine is with its fans at what a power needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// Noise, as its maker or a dealer measured it.
    pub level: Decibels,
    /// Power that it draws then.
    pub power: Watts,
}

impl Loudness {
    /// Noise at another power. Minus infinity makes no decibels: none at no power.
    pub fn at(&self, power: Watts) -> Option<Decibels> {
        let part = power.get() / self.power.get();
        Decibels::new(self.level.get() + PER_DECADE * part.log10()).ok()
    }

    /// The most power at which it is no louder.
    pub fn most(&self, limit: Decibels) -> Option<Watts> {
        let part = 10_f64.powf((limit.get() - self.level.get()) / PER_DECADE);
        Watts::new(self.power.get() * part).ok()
    }
}

/// A goal in decibels as one in watts; every other goal as it is.
pub fn quiet(device: &Device, goal: Goal) -> Result<Goal, Unsuited> {
    let Goal::Noise(limit) = goal else { return Ok(goal) };
    let loud = device.loudness.ok_or(Unsuited::Noise)?;
    if device.known.fan.is_none() {
        return Err(Unsuited::FanUntold);
    }
    let settings = device.settings.as_ref().map(|read| &read.value);
    if settings.is_some_and(|is| is.fan_auto == Some(false)) {
        return Err(Unsuited::FanByHand);
    }
    loud.most(limit).map(Goal::Watts).ok_or(Unsuited::Noise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Control, Identity, Limits, Settings,
        identity::{DeviceId, Firmware},
        readings::{Moment, Reading},
    };
    use units::Rpm;

    fn db(level: f64) -> Decibels {
        Decibels::new(level).unwrap()
    }

    fn s21_plus() -> Device {
        let id = DeviceId::Named("a".into());
        let limits = Limits::usual(Firmware::LuxOs);
        let identity = Identity::of(Firmware::LuxOs);
        let mut device = Device::found(id, identity, Control::Firmware, limits);
        // 76 dB at 3564 W: the catalogue's S21+.
        device.loudness = Some(Loudness { level: db(76.0), power: Watts::new(3564.0).unwrap() });
        device.known.fan = Some(Reading::new(Rpm(5400), Moment::from_secs(1)));
        device
    }

    #[test]
    fn half_the_speed_is_fifteen_decibels_less_and_the_way_back_is_the_same() {
        let loud = s21_plus().loudness.unwrap();
        let half = Watts::new(1782.0).unwrap();
        assert!((loud.at(half).unwrap().get() - 60.95).abs() < 0.01);
        for limit in [50.0, 60.0, 70.0, 76.0] {
            let most = loud.most(db(limit)).unwrap();
            assert!((loud.at(most).unwrap().get() - limit).abs() < 1e-9);
        }
        assert_eq!(loud.at(Watts::ZERO), None);
    }

    #[test]
    fn a_noise_becomes_a_cap_on_power_where_the_fan_follows_the_heat_and_a_sentence_elsewhere() {
        let goal = Goal::Noise(db(70.0));
        let mut device = s21_plus();
        let Ok(Goal::Watts(most)) = quiet(&device, goal) else { panic!("no cap") };
        assert!((most.get() - 3564.0 * 10_f64.powf(-6.0 / 50.0)).abs() < 1e-6);
        assert_eq!(quiet(&device, Goal::Hashrate), Ok(Goal::Hashrate));
        let by_hand = Settings { fan_auto: Some(false), ..Settings::default() };
        device.settings = Some(Reading::new(by_hand, Moment::default()));
        assert_eq!(quiet(&device, goal), Err(Unsuited::FanByHand));
        device.known.fan = None;
        assert_eq!(quiet(&device, goal), Err(Unsuited::FanUntold));
        device.loudness = None;
        assert_eq!(quiet(&device, goal), Err(Unsuited::Noise));
    }
}
