//! Difficulty and the 256-bit targets behind it.

use bitcoin::Target;
use std::cmp::Ordering;
use units::Difficulty;

/// `0xffff << 208`, the target of difficulty 1, as an `f64`: exact.
const DIFFICULTY_ONE: f64 = 65535.0 * TWO_TO_208;
const TWO_TO_208: f64 = (1u128 << 104) as f64 * (1u128 << 104) as f64;
const TWO_TO_64: f64 = (1u128 << 64) as f64;

/// A double hash read as the number that proof of work compares, most significant limb first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HashNumber([u64; 4]);

impl HashNumber {
    /// From the bytes in the order SHA-256 gives them: the number is little-endian.
    pub(crate) fn new(hash: &[u8; 32]) -> Self {
        let (limbs, _) = hash.as_chunks::<8>();
        Self(std::array::from_fn(|i| u64::from_le_bytes(limbs[3 - i])))
    }

    pub(crate) fn meets(&self, target: &Target) -> bool {
        let bytes = target.to_be_bytes();
        let (limbs, _) = bytes.as_chunks::<8>();
        self.0 <= std::array::from_fn(|i| u64::from_be_bytes(limbs[i]))
    }

    /// The hardest difficulty this hash meets, rounded to an `f64`.
    pub(crate) fn difficulty(&self) -> f64 {
        let number = self.0.iter().fold(0.0, |sum, limb| sum * TWO_TO_64 + *limb as f64);
        DIFFICULTY_ONE / number.max(1.0)
    }

    /// Whether this hash is at or below the target of `wanted`: exact, and cheap unless the two are
    /// within a hair of each other.
    pub(crate) fn reaches(&self, reached: f64, wanted: Difficulty) -> bool {
        let ratio = reached / wanted.get();
        if (ratio - 1.0).abs() > 1e-9 {
            return ratio > 1.0;
        }
        self.0.cmp(&target_limbs(wanted)) != Ordering::Greater
    }

    /// Bits that tell shares apart: those that proof of work leaves random.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.0[3]
    }
}

/// The target of a difficulty: `(0xffff << 208) / difficulty`, rounded down, exact for every `f64`;
/// the largest number where the quotient needs more than 256 bits.
pub fn target_of(difficulty: Difficulty) -> Target {
    let limbs = target_limbs(difficulty);
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    Target::from_be_bytes(bytes)
}

fn target_limbs(difficulty: Difficulty) -> [u64; 4] {
    let (mantissa, exponent) = split(difficulty.get());
    // (0xffff << 208) / (mantissa << exponent) = (0xffff << shift) / mantissa.
    let shift = 208 - exponent;
    if shift > 309 {
        // The dividend is at least 2^309 and the mantissa below 2^53: the quotient has no room.
        return [u64::MAX; 4];
    }
    let mut limbs = [0u64; 6];
    for bit in (0..16).map(|bit| bit + shift).filter(|bit| *bit >= 0) {
        limbs[5 - (bit / 64) as usize] |= 1 << (bit % 64);
    }
    let mut rest = 0u128;
    for limb in &mut limbs {
        let dividend = (rest << 64) | u128::from(*limb);
        *limb = (dividend / mantissa) as u64;
        rest = dividend % mantissa;
    }
    if limbs[0] != 0 || limbs[1] != 0 {
        return [u64::MAX; 4];
    }
    [limbs[2], limbs[3], limbs[4], limbs[5]]
}

/// A positive finite `f64` as `mantissa * 2^exponent`.
fn split(value: f64) -> (u128, i32) {
    let bits = value.to_bits();
    let (fraction, raised) = (bits & ((1 << 52) - 1), (bits >> 52) as i32);
    if raised == 0 {
        (u128::from(fraction), -1074)
    } else {
        (u128::from(fraction | 1 << 52), raised - 1075)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn difficulty(value: f64) -> Difficulty {
        Difficulty::new(value).unwrap()
    }

    #[test]
    fn whole_and_half_difficulties_have_the_targets_everyone_knows() {
        let one = Target::MAX_ATTAINABLE_MAINNET.to_be_bytes();
        assert_eq!(target_of(Difficulty::ONE).to_be_bytes(), one);
        for (value, shift) in [(2.0, 1), (1024.0, 10), (0.5, -1), (1.0 / 4096.0, -12)] {
            let mut want = [0u8; 32];
            // 0xffff stands at bits 208..224; shifting moves it down for positive shifts.
            for bit in 208 - shift..224 - shift {
                want[31 - (bit / 8) as usize] |= 1 << (bit % 8);
            }
            assert_eq!(target_of(difficulty(value)).to_be_bytes(), want, "{value}");
        }
    }

    #[test]
    fn an_absurdly_easy_difficulty_takes_every_hash_and_an_absurdly_hard_one_none() {
        for easy in [1e-10, 1e-20, 1e-300, f64::MIN_POSITIVE, 5e-324] {
            assert_eq!(target_of(difficulty(easy)).to_be_bytes(), [255; 32], "{easy}");
        }
        for hard in [1e70, 1e300, f64::MAX] {
            assert_eq!(target_of(difficulty(hard)).to_be_bytes(), [0; 32], "{hard}");
        }
    }

    #[test]
    fn the_genesis_block_meets_its_difficulty_of_about_2536() {
        let hash = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin).block_hash();
        let bytes = bitcoin::hashes::Hash::to_byte_array(hash);
        let number = HashNumber::new(&bytes);
        let reached = number.difficulty();
        assert!((reached - 2536.4).abs() < 0.1, "{reached}");
        assert!(number.meets(&Target::MAX_ATTAINABLE_MAINNET));
        assert!(number.reaches(reached, difficulty(2536.0)));
        assert!(!number.reaches(reached, difficulty(2537.0)));
    }

    proptest! {
        #[test]
        fn targets_agree_with_a_long_division_of_whole_difficulties(value in 1u64..u64::MAX >> 11) {
            // Independent big-number division: long division of 0xffff << 208 in base 2^16.
            let mut rest: u128 = 0;
            let mut want = [0u8; 32];
            for (i, chunk) in want.chunks_exact_mut(2).enumerate() {
                rest = (rest << 16) | if i == 2 { 0xffff } else { 0 };
                chunk.copy_from_slice(&((rest / u128::from(value)) as u16).to_be_bytes());
                rest %= u128::from(value);
            }
            prop_assert_eq!(target_of(difficulty(value as f64)).to_be_bytes(), want);
        }

        #[test]
        fn a_hash_reaches_a_difficulty_exactly_when_it_is_at_most_the_target(
            exponent in -40.0f64..60.0, nudge in -3i64..=3
        ) {
            let wanted = difficulty(exponent.exp2());
            let mut bytes = target_of(wanted).to_be_bytes();
            let low = u64::from_be_bytes(bytes[24..].try_into().unwrap());
            let Some(moved) = low.checked_add_signed(nudge) else { return Ok(()) };
            bytes[24..].copy_from_slice(&moved.to_be_bytes());
            bytes.reverse();
            let number = HashNumber::new(&bytes);
            prop_assert_eq!(number.reaches(number.difficulty(), wanted), nudge <= 0);
        }
    }
}
