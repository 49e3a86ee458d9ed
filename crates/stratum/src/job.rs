//! Jobs: a template made ready to be sent to any session and to check what comes back.

use crate::coinbase::{Coinbase, EXTRANONCE1_SIZE, Payout};
use bitcoin::hashes::Hash;
use chain::Template;
use std::{fmt::Write, sync::Arc};
use units::Difficulty;

/// One job, shared by all sessions. Its notify is rendered once; a session adds the generation of
/// its difficulty, its payee's script and whether older work is void.
#[derive(Debug)]
pub(crate) struct Job {
    /// Counts up from 1.
    pub(crate) number: u32,
    pub(crate) template: Arc<Template>,
    pub(crate) coinbase: Coinbase,
    /// Difficulty of the network target.
    pub(crate) network_difficulty: Difficulty,
    head: String,
    body: String,
    tail: String,
}

/// The bytes that tell a server's jobs apart from all others', its own included: two templates may be
/// alike to the last byte, and a share must count for one of them only.
pub(crate) fn instance_of(mut server: [u8; 8], number: u32) -> [u8; 8] {
    server[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, own)| *byte ^= own);
    server
}

impl Job {
    pub(crate) fn new(number: u32, template: Arc<Template>, coinbase: Coinbase) -> Self {
        let head = format!(r#"{{"id":null,"method":"mining.notify","params":["{number:x}"#);
        // Stratum sends the previous hash as eight 32-bit words, each with its bytes turned round.
        let mut previous = template.prev_hash.to_byte_array();
        previous.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        let body = format!(
            r#"","{}","{}","{}"#,
            const_hex::encode(previous),
            coinbase.prefix_hex(),
            coinbase.before_script_hex(),
        );
        let mut tail = coinbase.after_script_hex();
        tail.push_str("\",[");
        for (i, sibling) in template.merkle_branch.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(tail, "{comma}\"{}\"", const_hex::encode(sibling));
        }
        let _ = write!(
            tail,
            "],\"{:08x}\",\"{:08x}\",\"{:08x}\",",
            template.version,
            template.bits.to_consensus(),
            template.time
        );
        let network_difficulty =
            Difficulty::new(template.target.difficulty_float()).unwrap_or(Difficulty::ONE);
        Self { number, template, coinbase, network_difficulty, head, body, tail }
    }

    /// Appends the `mining.notify` line for one session.
    pub(crate) fn notify(&self, generation: u8, payout: &Payout, clean: bool, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(self.head.as_bytes());
        out.push(HEX[usize::from(generation >> 4)]);
        out.push(HEX[usize::from(generation & 15)]);
        out.extend_from_slice(self.body.as_bytes());
        out.extend_from_slice(payout.script_hex().as_bytes());
        out.extend_from_slice(self.tail.as_bytes());
        out.extend_from_slice(if clean { b"true]}\n" } else { b"false]}\n" });
    }

    /// The id of the coinbase that a share was made with.
    pub(crate) fn txid(&self, share: &Claim, payout: &Payout, scratch: &mut Vec<u8>) -> [u8; 32] {
        let extranonce2 = &share.extranonce2[..usize::from(share.extranonce2_size)];
        self.coinbase.txid(share.extranonce1, extranonce2, payout, scratch)
    }

    /// The header that a share claims to have hashed, over the root of its merkle tree.
    pub(crate) fn header(&self, share: &Claim, root: &[u8; 32]) -> [u8; 80] {
        let mut header = [0; 80];
        header[..4].copy_from_slice(&share.version.to_le_bytes());
        header[4..36].copy_from_slice(self.template.prev_hash.as_ref());
        header[36..68].copy_from_slice(root);
        header[68..72].copy_from_slice(&share.time.to_le_bytes());
        header[72..76].copy_from_slice(&self.template.bits.to_consensus().to_le_bytes());
        header[76..].copy_from_slice(&share.nonce.to_le_bytes());
        header
    }
}

/// The fields of a header that a share chooses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) extranonce1: [u8; EXTRANONCE1_SIZE],
    pub(crate) extranonce2: [u8; 8],
    pub(crate) extranonce2_size: u8,
    pub(crate) version: u32,
    pub(crate) time: u32,
    pub(crate) nonce: u32,
}
