use super::*;
use crate::SolvedBlock;
use bitcoin::{
    Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime,
    consensus::{deserialize, serialize},
    hashes::Hash,
    transaction::Version,
};
use proptest::prelude::*;
use std::sync::Arc;

/// `witness` and `script` in bytes; different `id`s make different transactions.
fn transaction(id: usize, witness: usize, script: usize) -> Transaction {
    let items = [vec![7; witness]];
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::all_zeros(), id as u32),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: if witness > 0 { Witness::from_slice(&items) } else { Witness::new() },
        }],
        output: vec![TxOut {
            value: Amount::from_sat(1000),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51; script]),
        }],
    }
}

const FEE: u64 = 250;
const SUBSIDY: u64 = 312_500_000;

fn answer(transactions: &[Transaction], limit: u64) -> String {
    let wtxids = transactions.iter().map(|t| t.compute_wtxid().to_byte_array()).collect();
    let listed: Vec<Value> = transactions
        .iter()
        .map(|t| {
            json!({
                "data": const_hex::encode(serialize(t)),
                "txid": t.compute_txid().to_string(),
                "hash": t.compute_wtxid().to_string(),
                "depends": [], "fee": FEE, "sigops": 4,
                "weight": t.weight().to_wu(),
            })
        })
        .collect();
    json!({"id": 0, "error": null, "result": {
        "version": 0x2000_0000,
        "rules": ["csv", "!segwit", "taproot"],
        "previousblockhash": "00000000000000000001b2b9f6e6b6a5b8c7b3a4e0d6c1f2a3b4c5d6e7f80912",
        "transactions": listed,
        "coinbasevalue": SUBSIDY + FEE * transactions.len() as u64,
        "longpollid": "an id",
        "mintime": 1_700_000_000, "curtime": 1_700_000_600,
        "bits": "17034219", "height": 870_000, "weightlimit": limit,
        "default_witness_commitment": const_hex::encode(merkle::witness_commitment(wtxids)),
    }})
    .to_string()
}

/// The block that a miner would make of the template, read back by the `bitcoin` crate.
fn block_of(template: Template) -> Block {
    let mut output = vec![TxOut {
        value: Amount::from_sat(template.coinbase_value.0),
        script_pubkey: ScriptBuf::from_bytes(vec![0x51; 34]),
    }];
    if let Some(script) = &template.witness_commitment {
        output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes(script.clone()),
        });
    }
    let coinbase = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(vec![3, 0x70, 0x46, 0x0d, 4, 1, 2, 3, 4]),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output,
    };
    let id = coinbase.compute_txid().to_byte_array();
    let header = bitcoin::block::Header {
        version: bitcoin::block::Version::from_consensus(template.version as i32),
        prev_blockhash: template.prev_hash,
        merkle_root: bitcoin::TxMerkleNode::from_byte_array(merkle::root(
            id,
            &template.merkle_branch,
        )),
        time: template.time,
        bits: template.bits,
        nonce: 0,
    };
    let solved = SolvedBlock {
        hash: header.block_hash(),
        header: serialize(&header).try_into().unwrap(),
        coinbase: serialize(&coinbase),
        worker: "w".into(),
        address: "a".into(),
        template: Arc::new(template),
    };
    deserialize(&solved.serialize()).unwrap()
}

fn read_text(answer: &str, reserve: u64) -> Result<Offer, RpcError> {
    read(answer.as_bytes(), reserve, Instant::now())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_block_made_of_a_template_is_one_to_the_bitcoin_crate(
        sizes in prop::collection::vec((0_usize..300, 1_usize..300), 0..60),
        limit in 4_000_u64..60_000,
    ) {
        let transactions: Vec<Transaction> = sizes
            .iter()
            .enumerate()
            .map(|(id, (witness, script))| transaction(id, *witness, *script))
            .collect();
        let offer = read_text(&answer(&transactions, limit), 4000).unwrap();
        let kept = offer.template.transaction_count;
        prop_assert_eq!(offer.template.coinbase_value, Sats(SUBSIDY + FEE * kept as u64));
        // As many as fit, and not one fewer.
        let weight = |count: usize| -> u64 {
            4000 + transactions[..count].iter().map(|t| t.weight().to_wu()).sum::<u64>()
        };
        prop_assert!(weight(kept) <= limit);
        prop_assert!(kept == transactions.len() || weight(kept + 1) > limit);

        let block = block_of(offer.template);
        prop_assert!(block.check_merkle_root());
        prop_assert!(block.check_witness_commitment());
        prop_assert_eq!(&block.txdata[1..], &transactions[..kept]);
        prop_assert!(block.weight().to_wu() <= limit);
    }
}

#[test]
fn a_template_without_commitment_makes_a_block_without_witness() {
    let offer = read_text(&answer(&[], 4_000_000), 4000).unwrap();
    let mut template = offer.template;
    template.witness_commitment = None;
    let block = block_of(template);
    assert!(block.check_merkle_root());
    assert!(block.txdata[0].input[0].witness.is_empty());
}

#[test]
fn an_offer_keeps_what_the_node_says() {
    let offer = read_text(&answer(&[transaction(1, 0, 9)], 4_000_000), 4000).unwrap();
    let template = &offer.template;
    assert_eq!(template.height, 870_000);
    assert_eq!(template.version, 0x2000_0000);
    assert_eq!(template.bits.to_consensus(), 0x1703_4219);
    assert_eq!(template.target, Target::from_compact(template.bits));
    assert_eq!(template.min_time, 1_700_000_000);
    assert_eq!(template.time, 1_700_000_600);
    assert_eq!(template.transaction_count, 1);
    assert_eq!(offer.long_poll.as_deref(), Some("an id"));
    assert!(!template.is_empty());
}

#[test]
fn a_signet_node_is_asked_with_the_signet_rule() {
    for (network, poll, want) in [
        (Network::Mainnet, None, json!([{"rules": ["segwit"]}])),
        (Network::Signet, None, json!([{"rules": ["segwit", "signet"]}])),
        (Network::Regtest, Some("x"), json!([{"rules": ["segwit"], "longpollid": "x"}])),
    ] {
        assert_eq!(request(network, poll), want);
    }
}

#[test]
fn a_nonsense_template_is_an_error_and_names_the_field() {
    let good = answer(&[transaction(1, 10, 9)], 4_000_000);
    for (from, to, named) in [
        ("\"17034219\"", "\"xx\"", "bits"),
        ("\"bits\"", "\"bats\"", "bits"),
        ("\"previousblockhash\":\"00", "\"previousblockhash\":\"zz", "previousblockhash"),
        ("\"data\":\"02", "\"data\":\"0", "data"),
        ("\"txid\":\"", "\"txid\":\"00", "txid"),
        ("\"height\":870000", "\"height\":-1", "u32"),
        ("\"weight\":", "\"weight\":1e99,\"x\":", "u64"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        let error = read_text(&bad, 4000).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    for bad in ["", "{}", "[]", "null", "{\"result\":null}", "\u{0}\u{1}"] {
        assert!(matches!(read_text(bad, 4000), Err(RpcError::Answer(_))));
    }
    let refused = r#"{"result":null,"error":{"code":-28,"message":"Loading"},"id":0}"#;
    assert_eq!(
        read_text(refused, 4000).unwrap_err(),
        RpcError::Node { code: -28, message: "Loading".into() }
    );
}

#[test]
fn fees_above_the_whole_value_are_an_error_and_no_overflow() {
    let one = answer(&[transaction(1, 10, 900)], 4_000);
    let poor = one.replace(&format!("\"coinbasevalue\":{}", SUBSIDY + FEE), "\"coinbasevalue\":1");
    assert_ne!(one, poor);
    assert!(read_text(&poor, 4000).is_err());
}
