//! Double SHA-256 of coinbases, merkle branches and block headers.
//! Deliberately not the server's own: a mistake there must not cancel out against this one.

use crate::target::Target;
use sha2::{Digest, Sha256, block_api::compress256};

const START: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// SHA-256 of the SHA-256, in digest order.
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// A header whose nonce varies: the first of its two blocks is hashed once, so a nonce costs two
/// compressions.
pub struct HeaderScan {
    midstate: [u32; 8],
    tail: [u8; 64],
    second: [u8; 64],
}

impl HeaderScan {
    /// Prepares a header; its own nonce is ignored.
    pub fn new(header: &[u8; 80]) -> Self {
        let mut first = [0; 64];
        first.copy_from_slice(&header[..64]);
        let mut midstate = START;
        compress256(&mut midstate, &[first]);
        let mut tail = [0; 64];
        tail[..16].copy_from_slice(&header[64..]);
        tail[16] = 0x80;
        tail[62..].copy_from_slice(&(80u16 * 8).to_be_bytes());
        let mut second = [0; 64];
        second[32] = 0x80;
        second[62..].copy_from_slice(&(32u16 * 8).to_be_bytes());
        Self { midstate, tail, second }
    }

    /// The header's hash in digest order with this nonce.
    #[cfg(test)]
    pub fn hash(&mut self, nonce: u32) -> [u8; 32] {
        bytes(&self.state(nonce))
    }

    /// Tries `count` nonces from `from` on, wrapping, and stops at the first that meets the target.
    /// Gives how many were tried, and the hit.
    pub fn search(
        &mut self,
        from: u32,
        count: u32,
        target: Target,
    ) -> (u32, Option<(u32, [u8; 32])>) {
        let top = target.top();
        for i in 0..count {
            let nonce = from.wrapping_add(i);
            let state = self.state(nonce);
            if state[7].swap_bytes() <= top {
                let hash = bytes(&state);
                if target.met_by(&hash) {
                    return (i + 1, Some((nonce, hash)));
                }
            }
        }
        (count, None)
    }

    #[inline]
    fn state(&mut self, nonce: u32) -> [u32; 8] {
        self.tail[12..16].copy_from_slice(&nonce.to_le_bytes());
        let mut state = self.midstate;
        compress256(&mut state, std::slice::from_ref(&self.tail));
        for (to, word) in self.second.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *to = word.to_be_bytes();
        }
        let mut state = START;
        compress256(&mut state, std::slice::from_ref(&self.second));
        state
    }
}

fn bytes(state: &[u32; 8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version, previous block, merkle root, time, bits, nonce, hash; as explorers show them.
    type Known = (u32, &'static str, &'static str, u32, u32, u32, &'static str);

    const GENESIS: Known = (
        1,
        "0000000000000000000000000000000000000000000000000000000000000000",
        "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
        1_231_006_505,
        0x1d00_ffff,
        2_083_236_893,
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    );
    const BLOCK_125552: Known = (
        1,
        "00000000000008a3a41b85b8b29ad444def299fee21793cd8b9e567eab02cd81",
        "2b12fcf1b09288fcaff797d71e950e71ae42b91e8bdb2304758dfcffc2b620e3",
        1_305_998_791,
        0x1a44_b9f2,
        2_504_433_986,
        "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d",
    );

    fn reversed(hex: &str) -> [u8; 32] {
        let mut bytes: [u8; 32] = const_hex::decode_to_array(hex).unwrap();
        bytes.reverse();
        bytes
    }

    fn header(known: &Known) -> [u8; 80] {
        let mut header = [0; 80];
        header[..4].copy_from_slice(&known.0.to_le_bytes());
        header[4..36].copy_from_slice(&reversed(known.1));
        header[36..68].copy_from_slice(&reversed(known.2));
        header[68..72].copy_from_slice(&known.3.to_le_bytes());
        header[72..76].copy_from_slice(&known.4.to_le_bytes());
        header
    }

    #[test]
    fn real_blocks_have_the_hashes_that_the_network_knows() {
        for known in [GENESIS, BLOCK_125552] {
            let hash = HeaderScan::new(&header(&known)).hash(known.5);
            assert_eq!(hash, reversed(known.6));
            let mut whole = header(&known);
            whole[76..].copy_from_slice(&known.5.to_le_bytes());
            assert_eq!(sha256d(&whole), hash);
            assert!(Target::from_bits(known.4).unwrap().met_by(&hash));
        }
    }

    #[test]
    fn a_search_finds_the_nonce_of_a_real_block_and_stops_there() {
        for known in [GENESIS, BLOCK_125552] {
            let target = Target::from_bits(known.4).unwrap();
            let mut scan = HeaderScan::new(&header(&known));
            let (tried, hit) = scan.search(known.5 - 1000, 4096, target);
            assert_eq!(tried, 1001);
            assert_eq!(hit, Some((known.5, reversed(known.6))));
            assert_eq!(scan.search(known.5 + 1, 500, target), (500, None));
        }
    }
}
