//! SHA-256 as mining uses it: double hashes, midstates, merkle steps.
//!
//! The compression function is the `sha2` crate's (SHA extensions where the processor has them). Where
//! there are none, what can be hashed side by side is.

use crate::lanes::{self, LANES};
use sha2::block_api::compress256;

/// SHA-256's initial state (FIPS 180-4, 5.3.3).
pub(crate) const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// SHA-256 of SHA-256.
pub fn sha256d(data: &[u8]) -> [u8; 32] {
    Midstate::default().finish(data)
}

/// SHA-256d of two 32-byte nodes: one step up a merkle tree.
pub fn merkle_step(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut blocks = [[0u8; 64]; 2];
    blocks[0][..32].copy_from_slice(left);
    blocks[0][32..].copy_from_slice(right);
    blocks[1][0] = 0x80;
    blocks[1][56..].copy_from_slice(&512u64.to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    again(&state)
}

/// Root of a merkle tree from its first leaf and that leaf's siblings, bottom up.
pub fn merkle_root(leaf: [u8; 32], branch: &[[u8; 32]]) -> [u8; 32] {
    branch.iter().fold(leaf, |node, sibling| merkle_step(&node, sibling))
}

/// Turns each leaf into the root of its merkle tree; the siblings are the same for all.
pub fn merkle_roots(leaves: &mut [[u8; 32]], branch: &[[u8; 32]]) {
    if leaves.len() > 1 && lanes::worth_it() {
        leaves.chunks_mut(LANES).for_each(|some| lanes::merkle_roots(some, branch));
    } else {
        leaves.iter_mut().for_each(|leaf| *leaf = merkle_root(*leaf, branch));
    }
}

/// SHA-256d of block headers, into as many places.
pub fn header_hashes(headers: &[[u8; 80]], hashes: &mut [[u8; 32]]) {
    if headers.len() > 1 && lanes::worth_it() {
        let places = hashes.chunks_mut(LANES);
        headers.chunks(LANES).zip(places).for_each(|(some, to)| lanes::header_hashes(some, to));
    } else {
        headers.iter().zip(hashes).for_each(|(header, to)| *to = header_hash(header));
    }
}

/// SHA-256d of a block header.
pub fn header_hash(header: &[u8; 80]) -> [u8; 32] {
    let mut blocks = [[0u8; 64]; 2];
    blocks[0].copy_from_slice(&header[..64]);
    blocks[1][..16].copy_from_slice(&header[64..]);
    blocks[1][16] = 0x80;
    blocks[1][56..].copy_from_slice(&640u64.to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    again(&state)
}

/// The state after some whole 64-byte blocks, kept so that a shared beginning is hashed once.
#[derive(Debug, Clone, Copy)]
pub struct Midstate {
    state: [u32; 8],
    length: u64,
}

impl Default for Midstate {
    fn default() -> Self {
        Self { state: INITIAL, length: 0 }
    }
}

impl Midstate {
    /// Takes in as many whole blocks as `data` begins with; gives the rest back.
    pub fn absorb<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let (blocks, rest) = data.as_chunks::<64>();
        compress256(&mut self.state, blocks);
        self.length += (blocks.len() * 64) as u64;
        rest
    }

    /// SHA-256d of what was taken in, followed by `data`.
    pub fn finish(mut self, data: &[u8]) -> [u8; 32] {
        let rest = self.absorb(data);
        let bits = (self.length + rest.len() as u64) * 8;
        let mut last = [[0u8; 64]; 2];
        let (flat, used) = (last.as_flattened_mut(), if rest.len() < 56 { 1 } else { 2 });
        flat[..rest.len()].copy_from_slice(rest);
        flat[rest.len()] = 0x80;
        flat[used * 64 - 8..used * 64].copy_from_slice(&bits.to_be_bytes());
        compress256(&mut self.state, &last[..used]);
        again(&self.state)
    }
}

/// SHA-256 of a digest held as a state.
fn again(digest: &[u32; 8]) -> [u8; 32] {
    let mut block = [[0u8; 64]];
    for (bytes, word) in block[0].chunks_exact_mut(4).zip(digest) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    block[0][32] = 0x80;
    block[0][56..].copy_from_slice(&256u64.to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &block);
    let mut out = [0u8; 32];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::{Hash, sha256d as reference};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn double_hashes_agree_with_the_bitcoin_crate(data: Vec<u8>, cut in 0usize..400) {
            let want = reference::Hash::hash(&data).to_byte_array();
            prop_assert_eq!(sha256d(&data), want);
            let (head, tail) = data.split_at(cut.min(data.len()));
            let mut midstate = Midstate::default();
            let rest = [midstate.absorb(head), tail].concat();
            prop_assert_eq!(midstate.finish(&rest), want);
        }

        #[test]
        fn a_header_and_a_merkle_step_are_plain_double_hashes(
            header: [u8; 32], more: [u8; 32], end: [u8; 16]
        ) {
            let bytes = [&header[..], &more, &end].concat();
            prop_assert_eq!(header_hash(bytes.as_slice().try_into().unwrap()), sha256d(&bytes));
            prop_assert_eq!(merkle_step(&header, &more), sha256d(&bytes[..64]));
        }
    }
}
