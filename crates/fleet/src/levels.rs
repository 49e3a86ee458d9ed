//! What a machine can be set to, as levels of power: what a decision in watts is made of. Pure; it sends
//! nothing and believes nobody's hashrate, so a level's rate is the curve's.

use crate::{
    capability::Range,
    command::{Command, Verb, WorkMode},
    curve::Curve,
    device::{Control, Device},
};
use units::{Hashrate, Ratio, Watts};

/// Levels of a range of power limits or throttles.
const STEPS: u32 = 9;
/// Modes as parts of the normal one's power: an assumption that measuring mends.
const MODES: [(WorkMode, f64); 6] = [
    (WorkMode::Low, 0.75),
    (WorkMode::Normal, 1.0),
    (WorkMode::High, 1.15),
    // Eco, standard and super of an Avalon Q: 800, 1300 and 1674 W by dealers' tables; taken for its kin, too.
    (WorkMode::Avalon { mode: 0, level: None }, 800.0 / 1674.0),
    (WorkMode::Avalon { mode: 1, level: None }, 1300.0 / 1674.0),
    (WorkMode::Avalon { mode: 2, level: None }, 1.0),
];
/// A profile at the rated power may be told as a little more than the maker's figure.
const RATED_SLACK: f64 = 1.03;
/// The least that firmware throttles to (VNish 1.3, fleet.md section 3F).
const LEAST_THROTTLE: f64 = 0.2;
/// Power over clock of an S19k Pro, W = a + b f + c f² with f in MHz, and the clock at which the maker
/// runs it (fleet.md section 5). Hashrate follows the clock; so do other machines', scaled.
const LADDER: ([f64; 3], f64) = ([200.0, 2.446, 0.003_304], 590.0);

/// One thing that a machine can be told, and what it then draws and brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// What to tell it.
    pub command: Command,
    /// What it draws there.
    pub power: Watts,
    /// What it hashes at there, by its curve.
    pub rate: Hashrate,
}

/// All levels by power, paused first where it can be paused. Empty while nobody has said what the machine
/// draws; one that can only be switched has two. None lies above what the machine is rated for, unless
/// the owner's limit says that it may.
pub fn levels(device: &Device) -> Vec<Level> {
    let able = &device.capabilities;
    let can = |verb| able.verbs.contains(&verb);
    let Some(curve) = device.curve.as_ref() else { return Vec::new() };
    let full = curve.ceiling();
    let allowed = device.limits.power.unwrap_or(full);
    let mut levels = Vec::new();
    if can(Verb::Pause) && can(Verb::Resume) && device.control != Control::StratumOnly {
        let power = standby(full);
        levels.push(Level { command: Command::Pause, power, rate: Hashrate::ZERO });
    }
    let earns = device.learned.as_ref().unwrap_or(curve);
    let at = |command, power| Level { command, power, rate: rate(earns, power) };
    let between = |low: Watts, high: Watts| {
        let span = (high.get() - low.get()).max(0.0);
        let step = move |i: u32| low.get() + span * f64::from(i) / f64::from(STEPS - 1);
        (0..STEPS).filter_map(move |i| Watts::new(step(i).round()).ok())
    };
    let before = levels.len();
    if can(Verb::PowerLimit)
        && let Some(Range { low, high }) = able.power
    {
        levels.extend(
            between(low, allowed.min(high)).map(|watts| at(Command::PowerLimit(watts), watts)),
        );
    } else if can(Verb::Profile) && able.profiles.iter().any(|(_, told)| told.is_some()) {
        let told = able.profiles.iter().filter_map(|(name, told)| Some((name, (*told)?)));
        levels.extend(told.map(|(name, watts)| at(Command::Profile(name.clone()), watts)));
    } else if can(Verb::Throttle) {
        let parts = between(full.part(ratio(LEAST_THROTTLE)), full);
        levels.extend(parts.map(|watts| {
            at(Command::Throttle(ratio(watts.get() / full.get().max(f64::MIN_POSITIVE))), watts)
        }));
    } else if can(Verb::Mode) {
        let known = MODES.iter().filter(|(mode, _)| able.modes.contains(mode));
        levels.extend(known.filter_map(|(mode, part)| {
            Some(at(Command::Mode(*mode), Watts::new(full.get() * part).ok()?))
        }));
    }
    if levels.len() == before && can(Verb::Resume) {
        levels.push(at(Command::Resume, full));
    }
    let slack = if device.limits.power.is_some() { 1.0 } else { RATED_SLACK };
    levels.retain(|level| level.power.get() <= allowed.get() * slack);
    levels.sort_by(|a, b| a.power.get().total_cmp(&b.power.get()));
    levels.dedup_by(|b, a| a.power == b.power);
    levels
}

/// What is to be sent for a machine to come to a level, in order: one that is paused hashes again after
/// it was told how much it may draw.
pub fn orders(device: &Device, level: &Level) -> Vec<Command> {
    let mining = device.settings.as_ref().and_then(|read| read.value.mining);
    let mut orders = vec![level.command.clone()];
    let stays = matches!(level.command, Command::Pause | Command::Resume);
    if !stays && mining != Some(true) && device.capabilities.verbs.contains(&Verb::Resume) {
        orders.push(Command::Resume);
    }
    orders
}

/// Hashrate at a power. A curve of a single point, as a nameplate is, is drawn out along the ladder.
pub(crate) fn rate(curve: &Curve, power: Watts) -> Hashrate {
    let (full, best) = (curve.ceiling(), curve.rate_at(curve.ceiling()));
    if curve.points().len() > 1 || full == Watts::ZERO {
        return curve.rate_at(power);
    }
    let ([fixed, linear, square], nominal) = LADDER;
    let whole = fixed + linear * nominal + square * nominal * nominal;
    // The clock at which the ladder's machine would draw this part of its power.
    let below = fixed - whole * power.get() / full.get();
    let root = (linear * linear - 4.0 * square * below).max(0.0).sqrt();
    let clock = ((root - linear) / (2.0 * square)).max(0.0);
    Hashrate::from_hashes_per_second(best.hashes_per_second() * clock / nominal)
}

/// What sleeps still draws: as long as the machine has not told, a twentieth and ten watts, as the
/// circuits count it.
fn standby(full: Watts) -> Watts {
    Watts::new(full.get() * 0.05 + 10.0).map_or(full, |standby| standby.min(full))
}

fn ratio(part: f64) -> Ratio {
    Ratio::new(part.clamp(0.0, 1.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Capabilities, Identity, Limits, Settings,
        identity::{DeviceId, Firmware},
        readings::{Moment, Reading},
    };

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    fn device(capabilities: Capabilities, nameplate: (f64, f64)) -> Device {
        let limits = Limits::usual(Firmware::Other);
        let identity = Identity::of(Firmware::Other);
        let id = DeviceId::Named("a".into());
        let mut device = Device::found(id, identity, Control::Firmware, limits);
        device.capabilities = capabilities;
        let rate = Hashrate::from_hashes_per_second(nameplate.1 * 1e12);
        device.curve = Curve::new(vec![(w(nameplate.0), rate)]).ok();
        device
    }

    #[test]
    fn a_nameplate_drawn_out_along_the_ladder_gives_back_the_ladders_own_points() {
        // S19k Pro under LuxOS: (W, TH/s) of its profiles, fleet.md section 5.
        let s19k = device(Capabilities::default(), (2794.0, 121.8));
        let curve = s19k.curve.as_ref().unwrap();
        for (watts, terahashes) in [(784.0, 39.2), (1414.0, 70.2), (2794.0, 121.8)] {
            let told = rate(curve, w(watts)).terahashes_per_second();
            assert!((told / terahashes - 1.0).abs() < 0.01, "{watts} W: {told}");
        }
        assert_eq!(rate(curve, w(100.0)), Hashrate::ZERO);
    }

    #[test]
    fn a_power_limit_gives_levels_within_what_the_machine_may_draw() {
        let verbs = [Verb::PowerLimit, Verb::Pause, Verb::Resume];
        let range = Range::new(w(1000.0), w(3600.0));
        let mut s21 =
            device(Capabilities { power: range, ..Capabilities::of(verbs) }, (3510.0, 234.0));
        s21.limits.power = Some(w(3000.0));
        let levels = levels(&s21);
        assert_eq!(levels.len(), 10);
        assert_eq!(levels[0].command, Command::Pause);
        assert_eq!(levels.last().unwrap().command, Command::PowerLimit(w(3000.0)));
        assert!(levels.windows(2).all(|pair| pair[0].power < pair[1].power));
        assert!(levels.windows(2).all(|pair| pair[0].rate < pair[1].rate));
    }

    #[test]
    fn a_level_brings_what_was_learned_of_the_machine_and_not_what_its_leaflet_says() {
        let verbs = [Verb::PowerLimit];
        let range = Range::new(w(1000.0), w(3600.0));
        let mut s21 =
            device(Capabilities { power: range, ..Capabilities::of(verbs) }, (3510.0, 234.0));
        let leaflet = levels(&s21).pop().unwrap().rate;
        let point = |watts, ths: f64| (w(watts), Hashrate::from_hashes_per_second(ths * 1e12));
        s21.learned = Curve::new(vec![point(900.0, 60.0), point(3600.0, 220.0)]).ok();
        let Level { power, rate: learned, .. } = levels(&s21).pop().unwrap();
        assert_eq!((power, Some(learned)), (w(3510.0), s21.earns().map(|own| own.rate_at(power))));
        assert!(leaflet.terahashes_per_second() > 1.05 * learned.terahashes_per_second());
    }

    #[test]
    fn nothing_runs_above_its_rating_unless_its_owner_allows_it() {
        let verbs = [Verb::PowerLimit, Verb::Pause, Verb::Resume];
        let range = Range::new(w(1000.0), w(5265.0));
        let able = Capabilities { power: range, ..Capabilities::of(verbs) };
        let mut s21 = device(able, (3510.0, 234.0));
        let most = |device: &Device| levels(device).pop().unwrap().power;
        assert_eq!(most(&s21), w(3510.0));
        s21.limits.power = Some(w(4500.0));
        assert_eq!(most(&s21), w(4500.0));
        let modes = Capabilities {
            modes: vec![WorkMode::Low, WorkMode::Normal, WorkMode::High],
            ..Capabilities::of([Verb::Mode, Verb::Pause, Verb::Resume])
        };
        let mut m30 = device(modes, (3472.0, 112.0));
        assert_eq!(most(&m30), w(3472.0));
        m30.limits.power = Some(w(4000.0));
        assert_eq!(most(&m30), w(3472.0 * 1.15));
    }

    #[test]
    fn a_home_unit_has_its_three_modes_as_levels() {
        let mode = |mode| WorkMode::Avalon { mode, level: None };
        let modes = Capabilities {
            modes: vec![mode(0), mode(1), mode(2)],
            ..Capabilities::of([Verb::Mode, Verb::Pause, Verb::Resume])
        };
        let told = levels(&device(modes, (1674.0, 90.0)));
        let commands: Vec<_> = told.iter().map(|level| level.command.clone()).collect();
        assert_eq!(
            commands,
            [
                Command::Pause,
                Command::Mode(mode(0)),
                Command::Mode(mode(1)),
                Command::Mode(mode(2))
            ]
        );
        assert_eq!(told[1].power.get().round(), 800.0);
        // 52 TH/s in eco by the same tables: the ladder is near that.
        assert!((told[1].rate.terahashes_per_second() / 52.0 - 1.0).abs() < 0.08, "{told:?}");
    }

    #[test]
    fn a_paused_machine_hears_its_limit_before_it_may_hash() {
        let verbs = [Verb::PowerLimit, Verb::Pause, Verb::Resume];
        let range = Range::new(w(1000.0), w(3600.0));
        let mut s21 =
            device(Capabilities { power: range, ..Capabilities::of(verbs) }, (3510.0, 234.0));
        let level = levels(&s21).pop().unwrap();
        let read = |mining| Settings { mining: Some(mining), ..Settings::default() };
        s21.settings = Some(Reading::new(read(false), Moment::default()));
        assert_eq!(orders(&s21, &level), [level.command.clone(), Command::Resume]);
        s21.settings = Some(Reading::new(read(true), Moment::default()));
        assert_eq!(orders(&s21, &level), [level.command]);
    }

    #[test]
    fn what_is_only_switched_is_off_or_on_and_what_has_no_figure_has_no_level() {
        let on_off = Capabilities::of([Verb::Pause, Verb::Resume]);
        let mut plug = device(on_off, (1400.0, 14.0));
        let commands: Vec<_> = levels(&plug).into_iter().map(|level| level.command).collect();
        assert_eq!(commands, [Command::Pause, Command::Resume]);
        plug.curve = None;
        assert_eq!(levels(&plug), []);
    }
}
