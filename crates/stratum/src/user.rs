//! User names and passwords as miners send them: `address[.worker]` and `d=1024`.

use units::{Difficulty, Hashrate};

/// Longest user name that is kept; Whatsminer's own limit is 127.
const MAX_NAME: usize = 128;

/// A user name taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The part that should be an address; empty when the name has none.
    pub(crate) address: String,
    /// The part behind the first dot; may be empty.
    pub(crate) worker: String,
}

impl User {
    /// Percent-escapes are undone, white space and control characters dropped, `NULL` is no name.
    pub(crate) fn parse(name: &str) -> Self {
        let name: String =
            unescape(name).chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
        let end = name.floor_char_boundary(MAX_NAME);
        let name = &name[..end];
        let (address, worker) = name.split_once('.').unwrap_or((name, ""));
        let address = if matches!(address, "NULL" | "null" | "(null)") { "" } else { address };
        Self { address: address.into(), worker: worker.into() }
    }

    /// `address.worker`, or the address alone; what the work is booked under.
    pub(crate) fn full_name(&self, address: &str) -> String {
        if self.worker.is_empty() { address.into() } else { format!("{address}.{}", self.worker) }
    }
}

/// What a miner asks for in its password.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Hint {
    /// `d=` or `diff=`: a difficulty to start with and never to go below.
    Difficulty(Difficulty),
    /// `th=`: a hashrate in TH/s.
    Rate(Hashrate),
}

impl Hint {
    /// The first hint that makes sense in a password such as `x,d=1024` or `th=0.5;x`.
    pub(crate) fn find(password: &str) -> Option<Self> {
        password.split([',', ';', ' ', '&']).find_map(|word| {
            let (key, value) = word.split_once('=')?;
            let number = value.trim().parse::<f64>().ok()?;
            match key.trim().to_ascii_lowercase().as_str() {
                "d" | "diff" => Difficulty::new(number).ok().map(Self::Difficulty),
                "th" => {
                    let rate = Hashrate::from_hashes_per_second(number * 1e12);
                    (rate > Hashrate::ZERO).then_some(Self::Rate(rate))
                }
                _ => None,
            }
        })
    }
}

/// Undoes `%2E` and the like; leaves what is no escape as it is.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_read_however_firmware_writes_them() {
        for (name, address, worker) in [
            ("bc1qabc.rig1", "bc1qabc", "rig1"),
            ("bc1qabc", "bc1qabc", ""),
            ("bc1qabc.", "bc1qabc", ""),
            ("bc1qabc.rig.7", "bc1qabc", "rig.7"),
            (" bc1qabc.rig1\r", "bc1qabc", "rig1"),
            ("bc1qabc%2Erig1", "bc1qabc", "rig1"),
            ("bc1qabc.r%zz%4", "bc1qabc", "r%zz%4"),
            (".rig1", "", "rig1"),
            ("", "", ""),
            ("NULL", "", ""),
            ("NULL.rig", "", "rig"),
            ("bc1q\u{0}abc", "bc1qabc", ""),
        ] {
            let user = User::parse(name);
            assert_eq!((user.address.as_str(), user.worker.as_str()), (address, worker), "{name}");
        }
        assert_eq!(User::parse(&"ä".repeat(300)).address.len(), 128);
    }

    #[test]
    fn passwords_may_hint_at_a_difficulty_or_a_hashrate() {
        let difficulty = |d| Some(Hint::Difficulty(Difficulty::new(d).unwrap()));
        for (password, hint) in [
            ("x", None),
            ("d=1024", difficulty(1024.0)),
            ("x,diff=0.5", difficulty(0.5)),
            ("D=16 x", difficulty(16.0)),
            ("d=NaN", None),
            ("d=-1", None),
            ("d=0,diff=8", difficulty(8.0)),
            ("th=0.5", Some(Hint::Rate(Hashrate::from_hashes_per_second(0.5e12)))),
            ("th=-3", None),
            ("=,d=,==", None),
        ] {
            assert_eq!(Hint::find(password), hint, "{password}");
        }
    }
}
