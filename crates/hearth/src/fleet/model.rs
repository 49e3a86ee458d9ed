//! Which machine of the catalogue a firmware means by the model that it tells.

use catalogue::Machine;
use fleet::{Device, Identity, curve::Curve, tuner::Loudness};
use units::{Decibels, Watts};

/// Chips of machines whose firmware tells nothing else.
const CHIPS: [(&str, &str); 4] = [
    ("BM1370", "Bitaxe Gamma"),
    ("BM1368", "Bitaxe Supra"),
    ("BM1366", "Bitaxe Ultra"),
    ("BM1397", "Bitaxe Max"),
];

/// `None` if the model is not told, unknown, or could be several.
pub fn machine(identity: &Identity) -> Option<&'static Machine> {
    named(identity.model.as_deref()?)
}

fn named(model: &str) -> Option<&'static Machine> {
    let all = catalogue::machines();
    let chip = CHIPS.iter().find(|(chip, _)| model.to_uppercase().contains(chip));
    let name = chip.map_or(model, |(_, name)| *name);
    // Whatsminer writes the board's version behind the model: M30S++_VE40.
    let name = name.split('_').next().unwrap_or(name).trim();
    let same = |machine: &&Machine| {
        let whole = machine.model.eq_ignore_ascii_case(name);
        whole || machine.model.split_once(' ').is_some_and(|(_, m)| m.eq_ignore_ascii_case(name))
    };
    let mut found = all.iter().filter(same);
    found.next().filter(|_| found.next().is_none())
}

/// What the catalogue says of a machine is taken where nothing better is known.
pub fn describe(device: &mut Device) {
    let by_name = device.model.as_deref().and_then(named);
    let Some(known) = by_name.or_else(|| machine(&device.identity)) else { return };
    device.model = Some(known.model.as_str().into());
    if let (None, Some(power)) = (&device.curve, known.power) {
        device.curve = Curve::new(vec![(power, known.hashrate)]).ok();
    }
    let noise = known.noise_db.and_then(|level| Decibels::new(level).ok());
    if let (None, Some(level), Some(power)) = (device.loudness, noise, known.power) {
        device.loudness = Some(Loudness { level, power });
    }
}

/// Nameplate power.
pub fn nameplate(device: &Device) -> Option<Watts> {
    named(device.model.as_deref()?)?.power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_as_their_firmware_writes_them() {
        for (told, model) in [
            ("BM1370", "Bitaxe Gamma"),
            ("Antminer S21 Pro", "Antminer S21 Pro"),
            ("ANTMINER S21", "Antminer S21"),
            ("Antminer S19k Pro", "Antminer S19k Pro"),
            ("Avalon Q", "Avalon Q"),
            ("Q", "Avalon Q"),
        ] {
            assert_eq!(named(told).map(|m| m.model.as_str()), Some(model), "{told}");
        }
        for unknown in ["", "toaster", "Antminer"] {
            assert!(named(unknown).is_none(), "{unknown}");
        }
    }
}
