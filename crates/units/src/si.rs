//! SI prefixes, read and written.

use std::fmt;

const PREFIXES: [(&str, f64); 8] = [
    ("", 1.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Z", 1e21),
];

/// Three significant digits with a prefix; below 1 as many decimals as three digits need.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, value: f64, unit: &str) -> fmt::Result {
    let space = if unit.is_empty() { "" } else { " " };
    if value == 0.0 {
        return write!(f, "0{space}{unit}");
    }
    if value < 1.0 {
        let decimals = (2.0 - value.log10().floor()).clamp(2.0, 12.0) as usize;
        return write!(f, "{value:.decimals$}{space}{unit}");
    }
    // 999.6 must become "1.00 k", not "1000": the rounded number chooses the prefix.
    let (prefix, scale) =
        PREFIXES.iter().rev().find(|(_, scale)| value >= scale * 0.999_5).unwrap_or(&PREFIXES[0]);
    let scaled = value / scale;
    let decimals = match scaled {
        s if s >= 99.95 => 0,
        s if s >= 9.995 => 1,
        _ => 2,
    };
    let space = if prefix.is_empty() { space } else { " " };
    write!(f, "{scaled:.decimals$}{space}{prefix}{unit}")
}

/// A finite number, an optional prefix and one of `units`.
pub(crate) fn read(text: &str, units: &[&str]) -> Option<f64> {
    let text = text.trim();
    let stem = units.iter().find_map(|unit| text.strip_suffix(unit))?.trim_end();
    let plain = |number: &str| number.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let letters = |number: &str| number.contains(|c: char| c.is_alphabetic() && c != 'e');
    PREFIXES
        .iter()
        .skip(1)
        .find_map(|(prefix, scale)| {
            let number = stem.strip_suffix(prefix)?;
            (!letters(number)).then(|| plain(number))?.map(|n| n * scale)
        })
        .or_else(|| (!letters(stem)).then(|| plain(stem))?)
        .filter(|number| number.is_finite())
}
