//! 256-bit share targets: from a difficulty, from a header's compact bits, and against a hash.
//! Exact integer arithmetic; it never rounds through a float.

use units::Difficulty;

/// A 256-bit number, most significant word first, so that the derived order is the numeric one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target([u64; 4]);

impl Target {
    /// The easiest target there is: every hash meets it.
    pub const MAX: Self = Self([u64::MAX; 4]);

    /// `floor((0xffff << 208) / difficulty)`, at most 2^256 - 1.
    pub fn from_difficulty(difficulty: Difficulty) -> Self {
        // difficulty = mantissa * 2^exponent, exactly.
        let bits = difficulty.get().to_bits();
        let raw_exponent = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = match raw_exponent {
            0 => (fraction, -1074),
            e => (fraction | 1 << 52, e - 1075),
        };
        let shift = 208 - exponent;
        if mantissa == 0 {
            return Self::MAX;
        }
        // Long division of 0xffff << shift by the mantissa, one bit of the shift at a time.
        let mut quotient = Self([0, 0, 0, 0xffff / mantissa]);
        let mut rest = 0xffff % mantissa;
        for _ in 0..shift {
            if quotient.0[0] >> 63 == 1 {
                return Self::MAX;
            }
            rest <<= 1; // below 2^54, as the mantissa is below 2^53
            let bit = u64::from(rest >= mantissa);
            rest -= mantissa * bit;
            quotient = quotient.doubled_plus(bit);
        }
        if shift < 0 { Self([0; 4]) } else { quotient }
    }

    /// The target that a header's `nBits` stands for; `None` if it is negative, zero or too large,
    /// as Bitcoin Core's `CheckProofOfWork` refuses those too.
    pub fn from_bits(bits: u32) -> Option<Self> {
        let size = (bits >> 24) as usize;
        let mantissa = bits & 0x00ff_ffff;
        if mantissa == 0 || mantissa & 0x0080_0000 != 0 {
            return None;
        }
        // The mantissa's three bytes end `size` bytes above the number's least significant end.
        let mut bytes = [0; 32];
        for (i, byte) in mantissa.to_be_bytes()[1..].iter().enumerate() {
            let place = size as isize - 1 - i as isize;
            match usize::try_from(place) {
                Ok(place) if place < 32 => bytes[31 - place] = *byte,
                Ok(_) if *byte != 0 => return None,
                _ => {}
            }
        }
        let target = Self::from_be_bytes(bytes);
        (target != Self([0; 4])).then_some(target)
    }

    /// The number that a double SHA-256 stands for: its bytes in digest order, least significant
    /// first.
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        let mut bytes = *hash;
        bytes.reverse();
        Self::from_be_bytes(bytes)
    }

    /// Whether a hash in digest order is at or below this target.
    pub fn met_by(self, hash: &[u8; 32]) -> bool {
        Self::of_hash(hash) <= self
    }

    /// The most significant 32 bits: a hash whose own are greater cannot meet the target.
    pub fn top(self) -> u32 {
        (self.0[0] >> 32) as u32
    }

    /// The difficulty of exactly this target, to the precision of a float.
    pub fn difficulty(self) -> f64 {
        let value = self.0.iter().fold(0.0, |sum, word| sum * 2f64.powi(64) + *word as f64);
        65535.0 * 2f64.powi(208) / value.max(1.0)
    }

    fn from_be_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*chunk);
        }
        Self(words)
    }

    fn doubled_plus(self, bit: u64) -> Self {
        let [a, b, c, d] = self.0;
        Self([a << 1 | b >> 63, b << 1 | c >> 63, c << 1 | d >> 63, d << 1 | bit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(difficulty: f64) -> Target {
        Target::from_difficulty(Difficulty::new(difficulty).unwrap())
    }

    #[test]
    fn difficulty_one_is_0xffff_shifted_by_208() {
        assert_eq!(at(1.0), Target([0x0000_0000_ffff_0000, 0, 0, 0]));
    }

    #[test]
    fn targets_are_the_floor_of_the_exact_quotient() {
        for (difficulty, words) in [
            (2.0, [0x0000_0000_7fff_8000, 0, 0, 0]),
            (0.5, [0x0000_0001_fffe_0000, 0, 0, 0]),
            // (0xffff << 208) / 3 = 0x5555 << 208
            (3.0, [0x0000_0000_5555_0000, 0, 0, 0]),
            // 0xffff / 7 = 9362 remainder 1, and 1/7 = 0.001001...b
            (
                7.0,
                [
                    0x0000_0000_2492_2492,
                    0x4924_9249_2492_4924,
                    0x9249_2492_4924_9249,
                    0x2492_4924_9249_2492,
                ],
            ),
        ] {
            assert_eq!(at(difficulty), Target(words), "{difficulty}");
        }
    }

    #[test]
    fn extreme_difficulties_saturate_instead_of_wrapping() {
        assert_eq!(at(f64::MIN_POSITIVE), Target::MAX);
        assert_eq!(at(5e-324), Target::MAX);
        assert_eq!(at(1e-12), Target::MAX);
        assert_eq!(at(f64::MAX), Target([0; 4]));
        assert!(at(1e-9) < Target::MAX && at(1e-9).top() > 1 << 29);
    }

    #[test]
    fn a_target_gives_its_difficulty_back() {
        for difficulty in [1e-9, 0.001, 0.3, 1.0, 7.0, 1024.0, 1.5e14] {
            let back = at(difficulty).difficulty();
            assert!((back / difficulty - 1.0).abs() < 1e-14, "{difficulty} {back}");
        }
    }

    #[test]
    fn compact_bits_expand_as_bitcoin_core_does() {
        assert_eq!(Target::from_bits(0x1d00_ffff), Some(at(1.0)));
        assert_eq!(Target::from_bits(0x207f_ffff), Some(Target([0x7fff_ff00_0000_0000, 0, 0, 0])));
        assert_eq!(Target::from_bits(0x0300_0001), Some(Target([0, 0, 0, 1])));
        assert_eq!(Target::from_bits(0x0201_2345), Some(Target([0, 0, 0, 0x123])));
        for bad in [0, 0x1d00_0000, 0x1d80_0001, 0xff00_ffff, 0x2201_0000, 0x0100_0012] {
            assert_eq!(Target::from_bits(bad), None, "{bad:08x}");
        }
    }

    #[test]
    fn a_hash_equal_to_the_target_meets_it_and_one_more_does_not() {
        let target = at(1.0);
        let mut hash = [0; 32];
        hash[26] = 0xff;
        hash[27] = 0xff;
        assert!(target.met_by(&hash));
        hash[0] = 1;
        assert!(!target.met_by(&hash));
    }
}
