//! A Stratum V1 job as `mining.notify` carries it, and the header it makes with an extranonce.
//! Used by the miner and by the load generator; it does no I/O.

use crate::hash::sha256d;
use serde_json::Value;

/// Longest coinbase half, in bytes, that is taken from a server.
const MAX_COINBASE_HALF: usize = 64 * 1024;
const MAX_BRANCHES: usize = 32;
const MAX_JOB_ID: usize = 256;

/// What a server asks to be hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The server's name for it; goes back with each share.
    pub id: String,
    /// Previous block's hash as it stands in the header.
    pub previous: [u8; 32],
    /// Coinbase before the extranonces.
    pub coinbase1: Vec<u8>,
    /// Coinbase after the extranonces.
    pub coinbase2: Vec<u8>,
    /// Merkle branches, in digest order, lowest first.
    pub branches: Vec<[u8; 32]>,
    /// Header version.
    pub version: u32,
    /// Header target in compact form.
    pub bits: u32,
    /// Header time, Unix seconds.
    pub time: u32,
    /// Whether all older jobs are void.
    pub clean: bool,
}

/// What is wrong with a `mining.notify`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server's job has no usable {0}")]
pub struct BadJob(&'static str);

impl Job {
    /// Reads the parameters of `mining.notify`.
    pub fn from_params(params: &[Value]) -> Result<Self, BadJob> {
        let text = |i: usize, what| {
            params.get(i).and_then(Value::as_str).map(str::trim).ok_or(BadJob(what))
        };
        let bytes = |i, what| {
            let hex = text(i, what)?;
            if hex.len() > 2 * MAX_COINBASE_HALF {
                return Err(BadJob(what));
            }
            const_hex::decode(hex).map_err(|_| BadJob(what))
        };
        let number = |i, what| hex_u32(text(i, what)?).ok_or(BadJob(what));

        let id = text(0, "job id")?;
        if id.len() > MAX_JOB_ID {
            return Err(BadJob("job id"));
        }
        let mut previous: [u8; 32] = const_hex::decode_to_array(text(1, "previous block hash")?)
            .map_err(|_| BadJob("previous block hash"))?;
        // On the wire every four bytes of it are the other way round.
        for word in previous.as_chunks_mut::<4>().0 {
            word.reverse();
        }
        let branches = params
            .get(4)
            .and_then(Value::as_array)
            .filter(|list| list.len() <= MAX_BRANCHES)
            .ok_or(BadJob("merkle branches"))?
            .iter()
            .map(|branch| {
                let hex = branch.as_str()?;
                const_hex::decode_to_array(hex).ok()
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(BadJob("merkle branches"))?;
        Ok(Self {
            id: id.to_owned(),
            previous,
            coinbase1: bytes(2, "first coinbase half")?,
            coinbase2: bytes(3, "second coinbase half")?,
            branches,
            version: number(5, "version")?,
            bits: number(6, "target bits")?,
            time: number(7, "time")?,
            clean: params.get(8).is_some_and(|flag| *flag == Value::Bool(true)),
        })
    }

    /// The merkle root, in header order, of this job's block with these extranonces.
    pub fn merkle_root(&self, extranonce1: &[u8], extranonce2: &[u8]) -> [u8; 32] {
        let coinbase =
            [self.coinbase1.as_slice(), extranonce1, extranonce2, &self.coinbase2].concat();
        self.branches.iter().fold(sha256d(&coinbase), |node, branch| {
            let mut pair = [0; 64];
            pair[..32].copy_from_slice(&node);
            pair[32..].copy_from_slice(branch);
            sha256d(&pair)
        })
    }

    /// The 80-byte header with a nonce of zero.
    pub fn header(&self, merkle_root: &[u8; 32], version: u32, time: u32) -> [u8; 80] {
        let mut header = [0; 80];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..36].copy_from_slice(&self.previous);
        header[36..68].copy_from_slice(merkle_root);
        header[68..72].copy_from_slice(&time.to_le_bytes());
        header[72..76].copy_from_slice(&self.bits.to_le_bytes());
        header
    }
}

/// Eight or fewer hexadecimal digits, as versions, times, bits and masks are written.
pub fn hex_u32(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    (plain && !digits.is_empty()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Writes the lowest bits of `value` into the set bits of `mask`, lowest first.
pub fn spread(value: u64, mask: u32) -> u32 {
    let mut rest = mask;
    let mut bits = 0;
    for i in 0..mask.count_ones() {
        let lowest = rest & rest.wrapping_neg();
        if value >> i & 1 == 1 {
            bits |= lowest;
        }
        rest ^= lowest;
    }
    bits
}

/// An extranonce2 of `size` bytes: the counter's low bytes, big end first, zeros before them.
pub fn extranonce2(counter: u64, size: usize) -> Vec<u8> {
    let bytes = counter.to_be_bytes();
    let kept = size.min(bytes.len());
    let mut extranonce = vec![0; size - kept];
    extranonce.extend_from_slice(&bytes[bytes.len() - kept..]);
    extranonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Block 1's job, as a server would have sent it: its coinbase cut open around "extranonces".
    fn block_one() -> Value {
        json!([
            "job",
            "0a8ce26f72b3f1b646a2a6c14ff763ae65831e939c085ae10019d66800000000".to_owned(),
            "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff07",
            "ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec11600ae1390813a627c66fb8be7947be63c52da7589379515d4e0a604f8141781e62294721166bf621e73a82cbf2342c858eeac00000000",
            [],
            "00000001",
            "1d00ffff",
            "4966bc61",
            true
        ])
    }

    #[test]
    fn block_one_is_rebuilt_from_its_job() {
        let job = Job::from_params(block_one().as_array().unwrap()).unwrap();
        let root = job.merkle_root(
            &const_hex::decode("04ffff00").unwrap(),
            &const_hex::decode("1d0104").unwrap(),
        );
        let mut header = job.header(&root, job.version, job.time);
        header[76..].copy_from_slice(&2_573_394_689_u32.to_le_bytes());
        let mut hash = sha256d(&header);
        hash.reverse();
        assert_eq!(
            const_hex::encode(hash),
            "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
        );
    }

    #[test]
    fn each_spoiled_field_is_named_and_nothing_panics() {
        for (index, bad, what) in [
            (0, json!(7), "job id"),
            (0, json!("j".repeat(300)), "job id"),
            (1, json!("00ff"), "previous block hash"),
            (2, json!("0"), "first coinbase half"),
            (3, json!("zz"), "second coinbase half"),
            (3, json!("00".repeat(MAX_COINBASE_HALF + 1)), "second coinbase half"),
            (4, json!("none"), "merkle branches"),
            (4, json!(["00"]), "merkle branches"),
            (4, json!(vec!["00".repeat(32); 40]), "merkle branches"),
            (5, json!("-1"), "version"),
            (6, json!(null), "target bits"),
            (7, json!("123456789"), "time"),
        ] {
            let mut params = block_one();
            params[index] = bad;
            let got = Job::from_params(params.as_array().unwrap());
            assert_eq!(got, Err(BadJob(what)));
        }
        assert_eq!(Job::from_params(&[]), Err(BadJob("job id")));
    }

    #[test]
    fn bits_spread_over_a_mask_stay_inside_it_and_differ() {
        let mask = 0x1fff_e000;
        let mut seen = std::collections::HashSet::new();
        for value in 0..1 << 16 {
            let bits = spread(value, mask);
            assert_eq!(bits & !mask, 0);
            assert!(seen.insert(bits));
        }
        assert_eq!(spread(0b101, 0b1011_0000), 0b1001_0000);
        assert_eq!(spread(u64::MAX, 0), 0);
    }

    #[test]
    fn an_extranonce2_has_the_size_that_the_server_asked_for() {
        for (counter, size, hex) in [
            (0x0102, 4, "00000102"),
            (0x0102, 1, "02"),
            (0x0102, 0, ""),
            (1, 8, "0000000000000001"),
            (1, 12, "000000000000000000000001"),
        ] {
            assert_eq!(const_hex::encode(extranonce2(counter, size)), hex);
        }
    }
}
