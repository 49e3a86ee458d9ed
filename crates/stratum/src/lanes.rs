//! SHA-256 of several messages side by side, one in each lane of a vector register, for processors
//! that have wide registers and no SHA extensions.
//!
//! Plain loops over arrays, which the compiler turns into vector instructions where
//! `#[target_feature]` lets it; no intrinsics. Knows blocks and states as words, and nothing of what
//! is hashed.

use crate::hash::INITIAL;

/// Messages hashed together: eight words of 32 bits fill a register of AVX2.
pub(crate) const LANES: usize = 8;

/// One word of each message.
type Lane = [u32; LANES];

/// Round constants (FIPS 180-4, 4.2.2).
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Whether hashing side by side is faster here than one after the other.
#[inline]
pub(crate) fn worth_it() -> bool {
    #[cfg(target_arch = "x86_64")]
    let worth_it = is_x86_feature_detected!("avx2") && !is_x86_feature_detected!("sha");
    #[cfg(not(target_arch = "x86_64"))]
    let worth_it = false;
    worth_it
}

/// Turns each leaf into the root of its merkle tree; `branch` is the same for all, bottom up.
/// At most [`LANES`] leaves.
pub(crate) fn merkle_roots(leaves: &mut [[u8; 32]], branch: &[[u8; 32]]) {
    let mut nodes = load::<8>(leaves.iter().map(|leaf| &leaf[..]));
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature that the function is compiled for.
        unsafe { avx2::climb(&mut nodes, branch) };
        return store(&nodes, leaves);
    }
    climb(&mut nodes, branch);
    store(&nodes, leaves);
}

/// SHA-256d of block headers, at most [`LANES`] of them, into as many places.
pub(crate) fn header_hashes(headers: &[[u8; 80]], hashes: &mut [[u8; 32]]) {
    let first = load::<16>(headers.iter().map(|header| &header[..64]));
    let rest = load::<4>(headers.iter().map(|header| &header[64..]));
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature that the function is compiled for.
        let digests = unsafe { avx2::hash_headers(&first, &rest) };
        return store(&digests, hashes);
    }
    store(&hash_headers(&first, &rest), hashes);
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::Lane;

    #[target_feature(enable = "avx2")]
    pub(super) fn climb(nodes: &mut [Lane; 8], branch: &[[u8; 32]]) {
        super::climb(nodes, branch);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn hash_headers(first: &[Lane; 16], rest: &[Lane; 4]) -> [Lane; 8] {
        super::hash_headers(first, rest)
    }
}

#[inline(always)]
fn climb(nodes: &mut [Lane; 8], branch: &[[u8; 32]]) {
    for sibling in branch {
        let mut block = [[0; LANES]; 16];
        block[..8].copy_from_slice(nodes);
        for (word, bytes) in block[8..].iter_mut().zip(sibling.as_chunks::<4>().0) {
            *word = [u32::from_be_bytes(*bytes); LANES];
        }
        let mut state = INITIAL.map(|word| [word; LANES]);
        compress(&mut state, &block);
        compress(&mut state, &padded(&[], 512));
        *nodes = again(&state);
    }
}

#[inline(always)]
fn hash_headers(first: &[Lane; 16], rest: &[Lane; 4]) -> [Lane; 8] {
    let mut state = INITIAL.map(|word| [word; LANES]);
    compress(&mut state, first);
    compress(&mut state, &padded(rest, 640));
    again(&state)
}

/// SHA-256 of digests.
#[inline(always)]
fn again(digests: &[Lane; 8]) -> [Lane; 8] {
    let mut state = INITIAL.map(|word| [word; LANES]);
    compress(&mut state, &padded(digests, 256));
    state
}

/// The last block of messages that end with these words and are so many bits long.
#[inline(always)]
fn padded(words: &[Lane], bits: u32) -> [Lane; 16] {
    let mut block = [[0; LANES]; 16];
    block[..words.len()].copy_from_slice(words);
    block[words.len()] = [0x8000_0000; LANES];
    block[15] = [bits; LANES];
    block
}

/// SHA-256's compression function (FIPS 180-4, 6.2.2) in each lane.
#[inline(always)]
fn compress(state: &mut [Lane; 8], block: &[Lane; 16]) {
    let mut w = *block;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (round, constant) in K.into_iter().enumerate() {
        let at = round % 16;
        if round >= 16 {
            let (w1, w9, w14) = (w[(at + 1) % 16], w[(at + 9) % 16], w[(at + 14) % 16]);
            let w0 = w[at];
            w[at] = lanes(|i| {
                let s0 = w1[i].rotate_right(7) ^ w1[i].rotate_right(18) ^ (w1[i] >> 3);
                let s1 = w14[i].rotate_right(17) ^ w14[i].rotate_right(19) ^ (w14[i] >> 10);
                w0[i].wrapping_add(s0).wrapping_add(w9[i]).wrapping_add(s1)
            });
        }
        let word = w[at];
        let t1: Lane = lanes(|i| {
            let s1 = e[i].rotate_right(6) ^ e[i].rotate_right(11) ^ e[i].rotate_right(25);
            let choice = g[i] ^ (e[i] & (f[i] ^ g[i]));
            let sum = h[i].wrapping_add(s1).wrapping_add(choice);
            sum.wrapping_add(constant).wrapping_add(word[i])
        });
        let t2: Lane = lanes(|i| {
            let s0 = a[i].rotate_right(2) ^ a[i].rotate_right(13) ^ a[i].rotate_right(22);
            let majority = (a[i] & b[i]) | (c[i] & (a[i] | b[i]));
            s0.wrapping_add(majority)
        });
        (h, g, f) = (g, f, e);
        e = lanes(|i| d[i].wrapping_add(t1[i]));
        (d, c, b) = (c, b, a);
        a = lanes(|i| t1[i].wrapping_add(t2[i]));
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = lanes(|i| word[i].wrapping_add(more[i]));
    }
}

#[inline(always)]
fn lanes(word: impl Fn(usize) -> u32) -> Lane {
    let mut all = [0; LANES];
    for (i, lane) in all.iter_mut().enumerate() {
        *lane = word(i);
    }
    all
}

/// Messages of so many words, each into its lane; lanes without a message stay zero.
fn load<'a, const WORDS: usize>(messages: impl Iterator<Item = &'a [u8]>) -> [Lane; WORDS] {
    let mut words = [[0; LANES]; WORDS];
    for (lane, message) in messages.take(LANES).enumerate() {
        for (word, bytes) in words.iter_mut().zip(message.as_chunks::<4>().0) {
            word[lane] = u32::from_be_bytes(*bytes);
        }
    }
    words
}

fn store(digests: &[Lane; 8], places: &mut [[u8; 32]]) {
    for (lane, place) in places.iter_mut().take(LANES).enumerate() {
        for (bytes, word) in place.as_chunks_mut::<4>().0.iter_mut().zip(digests) {
            *bytes = word[lane].to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn side_by_side_gives_what_one_after_the_other_gives(
            leaves in vec(any::<[u8; 32]>(), 1..=LANES),
            branch in vec(any::<[u8; 32]>(), 0..14),
            ends: [u8; 16],
        ) {
            let mut roots = leaves.clone();
            merkle_roots(&mut roots, &branch);
            let one_by_one: Vec<_> =
                leaves.iter().map(|leaf| hash::merkle_root(*leaf, &branch)).collect();
            prop_assert_eq!(&roots, &one_by_one);

            let headers: Vec<[u8; 80]> = leaves
                .iter()
                .zip(&roots)
                .map(|(leaf, root)| [&leaf[..], root, &ends].concat().try_into().unwrap())
                .collect();
            let mut hashes = vec![[0; 32]; headers.len()];
            header_hashes(&headers, &mut hashes);
            let one_by_one: Vec<_> = headers.iter().map(hash::header_hash).collect();
            prop_assert_eq!(hashes, one_by_one);
        }

        /// Processors without AVX2 never come here by themselves.
        #[test]
        fn the_loops_are_right_however_they_are_compiled(
            leaf: [u8; 32], branch in vec(any::<[u8; 32]>(), 0..4), block: [u8; 80]
        ) {
            let mut nodes = load::<8>([&leaf[..]].into_iter());
            climb(&mut nodes, &branch);
            let mut root = [[0; 32]];
            store(&nodes, &mut root);
            prop_assert_eq!(root[0], hash::merkle_root(leaf, &branch));
            let (first, rest) = block.split_at(64);
            let digests = hash_headers(&load([first].into_iter()), &load([rest].into_iter()));
            store(&digests, &mut root);
            prop_assert_eq!(root[0], hash::header_hash(&block));
        }
    }
}
