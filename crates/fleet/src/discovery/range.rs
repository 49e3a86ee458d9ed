//! Addresses to be asked, as people write them. Public ones are not asked unless that is meant.

use std::{collections::BTreeSet, net::Ipv4Addr};

/// Most addresses of one scan.
pub const MOST: usize = 65_536;

/// Why a text is no range of addresses to scan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// Not readable.
    #[error("\"{0}\" is no range; write 10.0.0.0/24, 10.0.0.5-40, 10.0.0.5-10.0.1.40 or 10.0.0.7")]
    Unreadable(String),
    /// Too many.
    #[error("more than 65,536 addresses; take a smaller range")]
    TooMany,
    /// Somebody else's.
    #[error("{0} is a public address; add --public if these machines are yours")]
    Public(Ipv4Addr),
}

/// The addresses of all ranges, each once, in an order that spreads them over the network's switches
/// and is the same for the same seed. The first and last of a `/n` name no machine and are left out.
pub fn addresses(ranges: &[String], public: bool, seed: u64) -> Result<Vec<Ipv4Addr>, BadRange> {
    let mut all = BTreeSet::new();
    for range in ranges {
        let (first, last) = ends(range).ok_or_else(|| BadRange::Unreadable(range.clone()))?;
        if (last - first) as usize >= MOST + 2 {
            return Err(BadRange::TooMany);
        }
        all.extend(first..=last);
    }
    if all.len() > MOST {
        return Err(BadRange::TooMany);
    }
    let mut all: Vec<_> = all.into_iter().map(Ipv4Addr::from).collect();
    if let Some(other) = all.iter().find(|ip| !public && !local(**ip)) {
        return Err(BadRange::Public(*other));
    }
    shuffle(&mut all, seed);
    Ok(all)
}

fn ends(range: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.trim().parse::<Ipv4Addr>().ok().map(u32::from);
    if let Some((ip, bits)) = range.split_once('/') {
        let bits: u32 = bits.trim().parse().ok().filter(|bits| *bits <= 32)?;
        let size = u32::MAX.checked_shr(bits).unwrap_or(0);
        let (first, last) = (number(ip)? & !size, number(ip)? | size);
        return Some(if bits >= 31 { (first, last) } else { (first + 1, last - 1) });
    }
    let Some((from, to)) = range.split_once('-') else {
        return number(range).map(|one| (one, one));
    };
    let from = number(from)?;
    let to = match to.trim().parse::<u8>() {
        Ok(last) => from & !0xff | u32::from(last),
        Err(_) => number(to)?,
    };
    (from <= to).then_some((from, to))
}

/// Of a home's, a company's or a carrier's inner network, link-local, or this computer.
fn local(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let carrier = a == 100 && (64..128).contains(&b);
    ip.is_private() || ip.is_loopback() || ip.is_link_local() || carrier
}

/// Fisher and Yates with SplitMix64 (Steele, Lea, Flood 2014): only the order depends on it.
fn shuffle(all: &mut [Ipv4Addr], seed: u64) {
    let mut state = seed;
    for last in (1..all.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        all.swap(last, ((mixed ^ (mixed >> 31)) % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(range: &str) -> Result<Vec<Ipv4Addr>, BadRange> {
        let mut all = addresses(&[range.to_owned()], false, 1)?;
        all.sort();
        Ok(all)
    }

    #[test]
    fn ranges_are_read_as_people_write_them() {
        for (range, first, last, count) in [
            ("10.0.0.0/24", "10.0.0.1", "10.0.0.254", 254),
            ("10.0.0.77/30", "10.0.0.77", "10.0.0.78", 2),
            ("10.0.0.4/31", "10.0.0.4", "10.0.0.5", 2),
            ("10.0.0.4/32", "10.0.0.4", "10.0.0.4", 1),
            ("192.168.1.5-40", "192.168.1.5", "192.168.1.40", 36),
            ("10.0.0.250-10.0.1.3", "10.0.0.250", "10.0.1.3", 10),
            ("127.0.7.1", "127.0.7.1", "127.0.7.1", 1),
            ("10.1.0.0/16", "10.1.0.1", "10.1.255.254", 65_534),
        ] {
            let all = read(range).unwrap();
            let ends = (all[0].to_string(), all[all.len() - 1].to_string(), all.len());
            assert_eq!(ends, (first.into(), last.into(), count), "{range}");
        }
    }

    #[test]
    fn a_range_that_is_too_large_or_not_ours_is_refused() {
        for range in ["10.0.0.0/8", "0.0.0.0/0", "10.0.0.0-10.255.255.255"] {
            assert_eq!(read(range), Err(BadRange::TooMany), "{range}");
        }
        for range in ["", "10.0.0", "10.0.0.9-3", "10.0.0.0/33", "example.org", "10.0.0.1-300"] {
            assert!(matches!(read(range), Err(BadRange::Unreadable(_))), "{range}");
        }
        assert!(matches!(read("8.8.8.0/24"), Err(BadRange::Public(_))));
        assert_eq!(addresses(&["8.8.8.8".into()], true, 1).unwrap().len(), 1);
    }

    #[test]
    fn neighbours_are_not_asked_one_after_the_other() {
        let all = addresses(&["10.0.0.0/24".into()], false, 7).unwrap();
        let pairs =
            all.windows(2).filter(|w| u32::from(w[0]).abs_diff(u32::from(w[1])) == 1).count();
        assert!(pairs < 10, "{pairs}");
        assert_eq!(all, addresses(&["10.0.0.0/24".into()], false, 7).unwrap());
    }
}
