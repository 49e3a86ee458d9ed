//! Merkle trees as blocks use them, seen from the coinbase.

use bitcoin::hashes::{Hash, sha256d};

/// The coinbase's siblings from the bottom up: all that is needed to get from any coinbase to the
/// root. `ids` are the other transactions' in block order and in the byte order that is hashed.
pub fn branch(mut ids: Vec<[u8; 32]>) -> Vec<[u8; 32]> {
    let mut siblings = Vec::new();
    while let Some((&sibling, rest)) = ids.split_first() {
        siblings.push(sibling);
        ids = rest
            .chunks(2)
            // The last one of an odd number is its own partner.
            .map(|pair| parent(&pair[0], pair.last().unwrap_or(&pair[0])))
            .collect();
    }
    siblings
}

/// The root of the tree whose first leaf is `coinbase`.
pub(crate) fn root(coinbase: [u8; 32], branch: &[[u8; 32]]) -> [u8; 32] {
    branch.iter().fold(coinbase, |node, sibling| parent(&node, sibling))
}

/// scriptPubKey of the output that commits to all witnesses (BIP 141), for the usual reserved
/// value of 32 zero bytes. `ids` are the wtxids of all transactions but the coinbase.
pub(crate) fn witness_commitment(ids: Vec<[u8; 32]>) -> Vec<u8> {
    let root = root([0; 32], &branch(ids));
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(&parent(&root, &WITNESS_RESERVED));
    script
}

/// What the coinbase's only witness item holds.
pub(crate) const WITNESS_RESERVED: [u8; 32] = [0; 32];

fn parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(left);
    both[32..].copy_from_slice(right);
    sha256d::Hash::hash(&both).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_branch_leads_to_the_root_that_the_bitcoin_crate_computes(
            ids in prop::collection::vec(any::<[u8; 32]>(), 1..70),
        ) {
            let want = bitcoin::merkle_tree::calculate_root(
                ids.iter().map(|id| sha256d::Hash::from_byte_array(*id)),
            );
            let got = root(ids[0], &branch(ids[1..].to_vec()));
            prop_assert_eq!(want.map(|root| root.to_byte_array()), Some(got));
        }
    }
}
