//! What `channels_sv2`, the Stratum V2 reference implementation, makes of our jobs, targets and
//! shares. It speaks no Stratum V1: a notify is handed to it as the extended job of the same parts.

use super::*;
use crate::{Reject, hash, job::Claim};
use binary_sv2::Sv2OptionOwned;
use channels_sv2::{
    chain_tip::ChainTip,
    client::{
        extended::ExtendedChannel,
        share_accounting::{ShareValidationError, ShareValidationResult},
    },
    extranonce_manager::ExtranoncePrefix,
    merkle_root::merkle_root_from_path,
    target::{hash_rate_from_target, hash_rate_to_target},
};
use mining_sv2::{NewExtendedMiningJobOwned, SubmitSharesExtendedOwned};
use proptest::prelude::*;
use std::time::Duration;
use units::Hashrate;

/// What a notify says, as bytes.
struct Parts {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    path: Vec<[u8; 32]>,
}

impl Parts {
    fn of(notify: &Value) -> Self {
        let bytes = |at: &Value| const_hex::decode(at.as_str().unwrap()).unwrap();
        let path = notify[4].as_array().unwrap().iter();
        Self {
            prefix: bytes(&notify[2]),
            suffix: bytes(&notify[3]),
            path: path.map(|sibling| bytes(sibling).try_into().unwrap()).collect(),
        }
    }
}

/// An extended channel with the miner's extranonce, its difficulty and its job.
fn channel(miner: &Miner, template: &Template) -> ExtendedChannel {
    let prefix = ExtranoncePrefix::from_wire(const_hex::decode(&miner.extranonce1).unwrap());
    let target = target_of(Difficulty::new(miner.difficulty).unwrap());
    let (prefix, size) = (prefix.unwrap(), miner.size as u16);
    let mut channel =
        ExtendedChannel::new(1, String::new(), prefix, target, 0.0, true, size, None).unwrap();
    let (bits, min_time) = (template.bits.to_consensus(), template.min_time);
    channel.set_chain_tip(ChainTip::new(template.prev_hash.to_byte_array().into(), bits, min_time));
    let parts = Parts::of(&miner.notify);
    let path: Vec<_> = parts.path.into_iter().map(Into::into).collect();
    let job = NewExtendedMiningJobOwned {
        channel_id: 1,
        job_id: 1,
        min_ntime: Sv2OptionOwned::new(Some(min_time)),
        version: miner.job_version(),
        version_rolling_allowed: true,
        merkle_path: path.try_into().unwrap(),
        coinbase_tx_prefix: parts.prefix.try_into().unwrap(),
        coinbase_tx_suffix: parts.suffix.try_into().unwrap(),
    };
    channel.on_new_extended_mining_job(job).unwrap();
    channel
}

/// The code that we have for what the channel says, and the hash where it accepts.
fn verdict(
    said: Result<ShareValidationResult, ShareValidationError>,
) -> (i64, Option<sha256d::Hash>) {
    match said {
        Ok(ShareValidationResult::Valid(hash) | ShareValidationResult::BlockFound(hash)) => {
            (0, Some(hash))
        }
        Err(ShareValidationError::DoesNotMeetTarget(_)) => {
            (Reject::LowDifficulty.code().into(), None)
        }
        Err(ShareValidationError::DuplicateShare(_)) => (Reject::Duplicate.code().into(), None),
        Err(other) => panic!("{other:?}"),
    }
}

/// A 256-bit number as an `f64`, off by at most some units in the last place.
fn float(target: Target) -> f64 {
    target.to_be_bytes().iter().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}

proptest! {
    #[test]
    fn the_merkle_root_of_a_header_is_what_channels_sv2_makes_of_the_notify(
        height in 1u32..5_000_000, committed: bool, tag in "[ -~]{0,40}",
        branches in prop::collection::vec(any::<[u8; 32]>(), 0..16),
        extranonce1: [u8; EXTRANONCE1_SIZE], extranonce2: [u8; 8], size in 2usize..=8,
    ) {
        let mut template = template(height, 1, u8::from(committed), SIGNET_BITS);
        template.merkle_branch = branches;
        let coinbase = Coinbase::new(&template, &tag, *b"instance", EXTRANONCE1_SIZE + size);
        let job = Job::new(1, Arc::new(template), coinbase);
        let payout = Payout::parse(ADDRESS, chain::Network::Regtest).unwrap();
        let (mut line, mut scratch) = (Vec::new(), Vec::new());
        job.notify(0, &payout, true, &mut line);
        let notify: Value = serde_json::from_slice(&line).unwrap();
        let parts = Parts::of(&notify["params"]);

        let extranonce = [&extranonce1[..], &extranonce2[..size]].concat();
        let want = merkle_root_from_path(&parts.prefix, &parts.suffix, &extranonce, &parts.path);
        let claim = Claim {
            extranonce1, extranonce2, extranonce2_size: size as u8, version: 0, time: 0, nonce: 0,
        };
        let mut root = [job.txid(&claim, &payout, &mut scratch)];
        hash::merkle_roots(&mut root, &job.template.merkle_branch);
        let header = job.header(&claim, &root[0]);
        prop_assert_eq!(Some(&header[36..68]), want.as_ref().map(|root| &root[..]));
    }

    /// channels_sv2 gives (2^256 - 1 - h) / (h + 1) for a share every h hashes, with h cut to a whole
    /// number. That is 2^256 / h up to two parts in h: one for the cut, one for the two ones. The rest
    /// of the tolerance is for the handful of `f64` roundings on the way to the two targets.
    #[test]
    fn a_hashrates_target_is_that_of_channels_sv2(
        rate in 14.0f64..70.0, per_minute in 0.5f64..600.0,
    ) {
        let rate = rate.exp2();
        let interval = Duration::from_secs_f64(60.0 / per_minute);
        // A Duration has whole nanoseconds.
        let per_minute = 60.0 / interval.as_secs_f64();
        let hashes = rate * 60.0 / per_minute;
        let difficulty = Difficulty::for_interval(Hashrate::from_hashes_per_second(rate), interval).unwrap();
        let ours = float(target_of(difficulty));
        let theirs = float(hash_rate_to_target(rate, per_minute).unwrap());
        let tolerance = 2.0 / hashes + 16.0 * f64::EPSILON;
        prop_assert!((ours / theirs - 1.0).abs() <= tolerance, "{ours:e} {theirs:e} {tolerance:e}");
    }

    /// channels_sv2 gives floor((2^256 - t) / (t + 1)) hashes for a target, which is 2^256 / (t + 1) - 1
    /// rounded down: up to two hashes below the expected number, beside the roundings of the `f64`s.
    #[test]
    fn a_targets_work_is_that_of_channels_sv2(exponent in -20.0f64..80.0) {
        let difficulty = Difficulty::new(exponent.exp2()).unwrap();
        let target = target_of(difficulty).to_le_bytes();
        let theirs = hash_rate_from_target(target.into(), 60.0).unwrap();
        let ours = difficulty.work().hashes();
        let tolerance = 2.0 + ours * 4.0 * f64::EPSILON;
        prop_assert!((ours - theirs).abs() <= tolerance, "{ours:e} {theirs:e} {tolerance:e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Every nonce is tried at both: one in some sixty-four is a share.
    #[test]
    fn a_share_is_judged_as_channels_sv2_judges_it(
        height in 1u32..5_000_000, branches in 0u8..16, size in 2usize..=8, extranonce2: [u8; 8],
        first: u32, time in NOW as u32 - 600..=NOW as u32 + 6600, bits: u32,
    ) {
        let template = template(height, 1, branches, SIGNET_BITS);
        let mut rig = Rig::new(Config { extranonce2_size: size, ..config() });
        rig.job(template.clone(), true);
        let (miner, _) = rig.miner();
        let mut channel = channel(&miner, &template);

        let bits = bits & 0x1fff_e000;
        let mut share = miner.share(0);
        share.extranonce2 = const_hex::encode(&extranonce2[..size]);
        share.time = json!(format!("{time:08x}"));
        share.version = Some(json!(format!("{bits:08x}")));
        let version = (miner.job_version() & !0x1fff_e000) | bits;
        let mut accepted = 0;
        // The nonces come round, so that every share is sent twice.
        for turn in 0..400u32 {
            let nonce = first.wrapping_add(turn % 200);
            share.nonce = json!(format!("{nonce:08x}"));
            let ours = code(&rig.submit(&miner, &share));
            let (theirs, hash) = verdict(channel.validate_share(SubmitSharesExtendedOwned {
                channel_id: 1,
                sequence_number: turn,
                job_id: 1,
                nonce,
                ntime: time,
                version,
                extranonce: extranonce2[..size].to_vec().try_into().unwrap(),
            }));
            prop_assert_eq!(ours, theirs, "nonce {}", nonce);
            if let Some(hash) = hash {
                let header = miner.header(&share.extranonce2, time, nonce, version);
                prop_assert_eq!(header.block_hash().to_raw_hash(), hash);
                accepted += 1;
            }
        }
        // Both have counted the same work, in units of difficulty.
        rig.engine.now.ms += 40;
        rig.engine.hand_over();
        let work = rig.sink.work.lock().unwrap();
        let credited: f64 = work.iter().map(|delta| delta.work.hashes()).sum();
        let theirs = channel.get_share_accounting().get_validated_work_sum();
        let ours = credited / Difficulty::HASHES_PER_UNIT;
        prop_assert!((ours - theirs).abs() <= 1e-12 * theirs, "{ours:e} {theirs:e}");
        prop_assert_eq!(channel.get_share_accounting().get_validated_shares(), accepted);
    }
}
