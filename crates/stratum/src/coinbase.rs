//! The coinbase transaction: one beginning for all miners, one end for each payee.
//!
//! ```text
//!  version inputs outpoint  scriptSig:                          sequence outputs value
//!  │                        height tag instance │ en1   en2 │    │                    script │ commitment locktime
//!  └──────────── prefix, hashed once ───────────┘ session  share └────── suffix, of the payee ─────────────────┘
//! ```

use crate::hash::Midstate;
use bitcoin::{Address, ScriptBuf, script::PushBytesBuf};
use chain::{Network, Template};
use std::sync::Arc;

/// Bytes of extranonce1, which the server gives each session.
pub(crate) const EXTRANONCE1_SIZE: usize = 4;

/// A sequence that leaves the locktime in force. With a locktime of height - 1 the coinbase is ready
/// for BIP 54, which wants every coinbase's id to be unique for ever.
const SEQUENCE: u32 = 0xffff_fffe;

/// Where a session's blocks pay: the address, and the output script behind its length.
#[derive(Debug, PartialEq, Eq)]
pub struct Payout {
    /// The address as text.
    pub address: Arc<str>,
    script: Vec<u8>,
    script_hex: String,
}

impl Payout {
    /// Reads an address and checks its network; the error is a sentence for the miner's owner.
    pub fn parse(text: &str, network: Network) -> Result<Arc<Self>, PayoutError> {
        let address: Address<_> = text.parse().map_err(|_| PayoutError::NotAnAddress {
            text: text.chars().take(100).collect(),
            truncated: text.len() >= 63,
        })?;
        if !address.is_valid_for_network(network.to_bitcoin()) {
            let other =
                [bitcoin::Network::Bitcoin, bitcoin::Network::Testnet4, bitcoin::Network::Regtest]
                    .into_iter()
                    .find(|other| address.is_valid_for_network(*other));
            return Err(PayoutError::WrongNetwork {
                text: text.to_string(),
                theirs: match other {
                    Some(bitcoin::Network::Bitcoin) => "mainnet",
                    Some(bitcoin::Network::Regtest) => "regtest",
                    _ => "a test network",
                },
                ours: network.to_string(),
            });
        }
        let address = address.assume_checked();
        // Witness programs that no rule protects yet, pay-to-anchor among them.
        if address.witness_program().is_some_and(|program| {
            let version = program.version().to_num();
            version > 1 || (version == 1 && program.program().len() != 32)
        }) {
            return Err(PayoutError::AnyoneCanSpend { text: text.into() });
        }
        let script = address.script_pubkey();
        let mut bytes = vec![script.len() as u8];
        bytes.extend_from_slice(script.as_bytes());
        let script_hex = const_hex::encode(&bytes);
        Ok(Arc::new(Self { address: text.into(), script: bytes, script_hex }))
    }

    /// The output script with its length byte, in hex, as a notify carries it.
    pub(crate) fn script_hex(&self) -> &str {
        &self.script_hex
    }
}

/// Why a text is not where a block could pay.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PayoutError {
    /// The text is no Bitcoin address.
    #[error("\"{text}\" is not a bitcoin address: check it for typing errors{}", if *.truncated {
        " (some machines cut user names off after 63 characters: use a shorter address)"
    } else { "" })]
    NotAnAddress {
        /// The text, cut to a printable length.
        text: String,
        /// Long enough for firmware to have cut it.
        truncated: bool,
    },
    /// An address whose coins the first to come could take.
    #[error("the address {text} protects its coins by no rule of today: use another one")]
    AnyoneCanSpend {
        /// The address.
        text: String,
    },
    /// A good address of another network.
    #[error("the address {text} belongs to {theirs}, but this server mines on {ours}")]
    WrongNetwork {
        /// The address.
        text: String,
        /// Its network.
        theirs: &'static str,
        /// The server's.
        ours: String,
    },
}

/// The parts of one template's coinbase that all payees share.
#[derive(Debug)]
pub(crate) struct Coinbase {
    /// Everything before extranonce1.
    prefix: Vec<u8>,
    midstate: Midstate,
    /// What of the prefix the midstate has not taken in.
    pending: Vec<u8>,
    /// Sequence, number of outputs, value of the first.
    before_script: Vec<u8>,
    /// Commitment output and locktime.
    after_script: Vec<u8>,
}

impl Coinbase {
    /// `instance` tells servers that pay the same address apart, so that they never do the same work.
    pub(crate) fn new(
        template: &Template,
        tag: &str,
        instance: [u8; 8],
        extranonce: usize,
    ) -> Self {
        let mut push = PushBytesBuf::new();
        // Neither can fail: PushBytes takes up to 4 GiB, the configuration bounds the tag.
        let _ = push.extend_from_slice(tag.as_bytes());
        let _ = push.extend_from_slice(&instance);
        let script = ScriptBuf::builder()
            .push_int(i64::from(template.height))
            .push_slice(push)
            .into_script();

        let mut prefix = Vec::with_capacity(128);
        prefix.extend_from_slice(&2u32.to_le_bytes());
        prefix.push(1);
        prefix.extend_from_slice(&[0; 32]);
        prefix.extend_from_slice(&u32::MAX.to_le_bytes());
        prefix.push((script.len() + 1 + extranonce) as u8);
        prefix.extend_from_slice(script.as_bytes());
        prefix.push(extranonce as u8);

        let commitment = template.witness_commitment.as_deref();
        let mut before_script = SEQUENCE.to_le_bytes().to_vec();
        before_script.push(1 + u8::from(commitment.is_some()));
        before_script.extend_from_slice(&template.coinbase_value.0.to_le_bytes());

        let mut after_script = Vec::new();
        if let Some(commitment) = commitment {
            after_script.extend_from_slice(&[0; 8]);
            after_script.push(commitment.len() as u8);
            after_script.extend_from_slice(commitment);
        }
        after_script.extend_from_slice(&template.height.saturating_sub(1).to_le_bytes());

        let mut midstate = Midstate::default();
        let pending = midstate.absorb(&prefix).to_vec();
        Self { prefix, midstate, pending, before_script, after_script }
    }

    /// The coinbase's id. `scratch` is overwritten; it spares an allocation per share.
    pub(crate) fn txid(
        &self,
        extranonce1: [u8; EXTRANONCE1_SIZE],
        extranonce2: &[u8],
        payout: &Payout,
        scratch: &mut Vec<u8>,
    ) -> [u8; 32] {
        scratch.clear();
        scratch.extend_from_slice(&self.pending);
        self.end(extranonce1, extranonce2, payout, scratch);
        self.midstate.finish(scratch)
    }

    /// The whole transaction, without witness.
    pub(crate) fn serialize(
        &self,
        extranonce1: [u8; EXTRANONCE1_SIZE],
        extranonce2: &[u8],
        payout: &Payout,
    ) -> Vec<u8> {
        let mut bytes = self.prefix.clone();
        self.end(extranonce1, extranonce2, payout, &mut bytes);
        bytes
    }

    fn end(
        &self,
        extranonce1: [u8; EXTRANONCE1_SIZE],
        extranonce2: &[u8],
        payout: &Payout,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&extranonce1);
        out.extend_from_slice(extranonce2);
        out.extend_from_slice(&self.before_script);
        out.extend_from_slice(&payout.script);
        out.extend_from_slice(&self.after_script);
    }

    /// `coinb1` of a notify.
    pub(crate) fn prefix_hex(&self) -> String {
        const_hex::encode(&self.prefix)
    }

    /// `coinb2` of a notify up to the payee's script.
    pub(crate) fn before_script_hex(&self) -> String {
        const_hex::encode(&self.before_script)
    }

    /// `coinb2` of a notify behind the payee's script.
    pub(crate) fn after_script_hex(&self) -> String {
        const_hex::encode(&self.after_script)
    }
}
