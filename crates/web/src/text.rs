//! How numbers and names are written for people.

use api::units::{Difficulty, Hashrate, Sats};

pub(crate) const UNKNOWN: &str = "–";

/// `1.25 TH/s`.
pub(crate) fn hashrate(ths: Option<f64>) -> String {
    ths.map_or(UNKNOWN.into(), |ths| Hashrate::from_hashes_per_second(ths * 1e12).to_string())
}

/// `4.10 k`.
pub(crate) fn difficulty(value: Option<f64>) -> String {
    let value = value.and_then(|value| Difficulty::new(value).ok());
    value.map_or(UNKNOWN.into(), |value| value.to_string())
}

/// `12,345`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 connection`, `2 connections`.
pub(crate) fn plural(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// `3.125 BTC`: rounded down to three decimals, exact below a thousandth.
pub(crate) fn money(sats: u64) -> String {
    const THOUSANDTH: u64 = 100_000;
    let shown = if sats < THOUSANDTH { sats } else { sats - sats % THOUSANDTH };
    let exact = Sats(shown).to_btc();
    format!("{} BTC", exact.trim_end_matches('0').trim_end_matches('.'))
}

/// `42 s`, `5 min`, `3 h 20 min`, `2 d 4 h`, `9 d`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => match minutes % 60 {
            0 => format!("{hours} h"),
            rest => format!("{hours} h {rest} min"),
        },
        _ => match hours % 24 {
            rest if rest == 0 || days > 6 => format!("{days} d"),
            rest => format!("{days} d {rest} h"),
        },
    }
}

/// Milliseconds with two or three digits.
pub(crate) fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.into(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 10_000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.1} s", ms / 1000.0),
    }
}

/// `99.9 %`; nearly all is not 100 % and nearly nothing is not 0 %.
pub(crate) fn share_of(part: u64, whole: u64) -> String {
    if whole == 0 {
        return UNKNOWN.into();
    }
    let percent = part as f64 / whole as f64 * 100.0;
    match part {
        0 => "0 %".into(),
        _ if part == whole => "100 %".into(),
        _ if percent < 0.1 => "< 0.1 %".into(),
        _ if percent > 99.9 => "> 99.9 %".into(),
        _ => format!("{percent:.1} %"),
    }
}

/// Begin and end of a long address or hash.
pub(crate) fn shortened(text: &str, begin: usize, end: usize) -> String {
    let length = text.chars().count();
    if length <= begin + end + 1 {
        return text.into();
    }
    let head: String = text.chars().take(begin).collect();
    let tail: String = text.chars().skip(length - end).collect();
    format!("{head}…{tail}")
}

/// A reason's code in words: `low_difficulty` is "low difficulty".
pub(crate) fn words(code: &str) -> String {
    code.replace(['_', '-'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (sats, text) in [
            (312_500_000, "3.125 BTC"),
            (5_000_000_000, "50 BTC"),
            (0, "0 BTC"),
            (312_599_999, "3.125 BTC"),
            (12_345, "0.00012345 BTC"),
        ] {
            assert_eq!(money(sats), text);
        }
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7200, "2 h"),
            (12_000, "3 h 20 min"),
            (86_400, "1 d"),
            (187_200, "2 d 4 h"),
            (7 * 86_400 + 7200, "7 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (part, whole, text) in [
            (0, 0, "–"),
            (0, 5, "0 %"),
            (5, 5, "100 %"),
            (1, 1_000_000, "< 0.1 %"),
            (999_999, 1_000_000, "> 99.9 %"),
            (1, 8, "12.5 %"),
        ] {
            assert_eq!(share_of(part, whole), text);
        }
    }

    #[test]
    fn unknown_is_a_dash_and_not_zero() {
        assert_eq!(hashrate(None), UNKNOWN);
        assert_eq!(hashrate(Some(0.0)), "0 H/s");
        assert_eq!(difficulty(None), UNKNOWN);
        assert_eq!(milliseconds(None), UNKNOWN);
    }

    #[test]
    fn a_long_text_is_shortened_by_characters_not_bytes() {
        assert_eq!(shortened("abcdefgh", 3, 2), "abc…gh");
        assert_eq!(shortened("abcdef", 3, 2), "abcdef");
        assert_eq!(shortened("🔥🔥🔥🔥🔥🔥🔥", 2, 1), "🔥🔥…🔥");
    }
}
