//! Solved blocks on disk, from the moment they are found until the chain has settled them.
//! Knows nothing of nodes. A file holds one line of JSON and then the block as the network
//! knows it.

use crate::{BlockReport, BlockState, SolvedBlock, check::unix_now};
use bitcoin::{BlockHash, block::Header};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};
use tracing::warn;
use units::Sats;

/// A folder of solved blocks.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// What is known of a solved block besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub hash: BlockHash,
    pub height: u32,
    pub worker: String,
    pub address: String,
    pub value: Sats,
    pub found_at: u64,
}

/// Settled blocks that stay on disk.
const SETTLED_KEPT: usize = 100;
/// No block file is longer.
const LARGEST_FILE: u64 = 8 << 20;

impl Store {
    /// Makes the folder if it is not there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let store = Self { folder: folder.into() };
        fs::create_dir_all(store.settled())?;
        // Shows now, not when a block is found, that the folder can be written to.
        let probe = folder.join(".probe");
        File::create(&probe)?.write_all(b"hearth")?;
        fs::remove_file(probe)?;
        Ok(store)
    }

    /// Writes a block; it survives a power cut once this returns.
    pub(crate) fn write(&self, facts: &Facts, block: &[u8]) -> io::Result<()> {
        let path = self.path(facts.hash);
        let unfinished = path.with_extension(UNFINISHED);
        let line = serde_json::to_vec(&Line::new(facts, block.len()))?;
        let mut file = File::create(&unfinished)?;
        file.write_all(&line)?;
        file.write_all(b"\n")?;
        file.write_all(block)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// All blocks that are not settled. What cannot be read is put aside with a warning.
    pub(crate) fn load(&self) -> io::Result<Vec<Facts>> {
        let mut blocks = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|e| e.to_str());
            let finished = match extension {
                Some(FINISHED) => true,
                Some(UNFINISHED) => false,
                _ => continue,
            };
            match read(&path) {
                Ok((facts, _)) => {
                    // A power cut between the last byte and the new name.
                    if !finished {
                        fs::rename(&path, self.path(facts.hash))?;
                    }
                    blocks.push(facts);
                }
                Err(error) => {
                    let aside = path.with_extension("corrupt");
                    warn!(
                        "{} is no whole block ({error}): renamed to {}",
                        path.display(),
                        aside.display()
                    );
                    fs::rename(&path, &aside)?;
                }
            }
        }
        Ok(blocks)
    }

    /// The block's bytes.
    pub(crate) fn block(&self, hash: BlockHash) -> io::Result<Vec<u8>> {
        read(&self.path(hash)).map(|(_, block)| block)
    }

    /// Puts a block away for good; only the last hundred stay.
    pub(crate) fn settle(&self, hash: BlockHash) -> io::Result<()> {
        let from = self.path(hash);
        if let Some(name) = from.file_name() {
            fs::rename(&from, self.settled().join(name))?;
        }
        let mut settled: Vec<(SystemTime, PathBuf)> = fs::read_dir(self.settled())?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.metadata()?.modified()?, entry.path()))
            })
            .collect::<io::Result<_>>()?;
        settled.sort();
        let surplus = settled.len().saturating_sub(SETTLED_KEPT);
        for (_, path) in settled.iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn settled(&self) -> PathBuf {
        self.folder.join("settled")
    }

    fn path(&self, hash: BlockHash) -> PathBuf {
        self.folder.join(format!("{hash}.{FINISHED}"))
    }
}

const FINISHED: &str = "block";
const UNFINISHED: &str = "unfinished";

impl Facts {
    /// Of a block that is found now.
    pub(crate) fn of(block: &SolvedBlock) -> Self {
        Self {
            hash: block.hash,
            height: block.template.height,
            worker: block.worker.clone(),
            address: block.address.clone(),
            value: block.template.coinbase_value,
            found_at: unix_now(),
        }
    }

    pub(crate) fn report(&self, state: BlockState, confirmations: u32) -> BlockReport {
        BlockReport {
            hash: self.hash,
            height: self.height,
            worker: self.worker.clone(),
            address: self.address.clone(),
            value: self.value,
            found_at: self.found_at,
            state,
            confirmations,
        }
    }
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Line {
    hash: String,
    height: u32,
    worker: String,
    address: String,
    value_sats: u64,
    found_at: u64,
    bytes: usize,
}

impl Line {
    fn new(facts: &Facts, bytes: usize) -> Self {
        Self {
            hash: facts.hash.to_string(),
            height: facts.height,
            worker: facts.worker.clone(),
            address: facts.address.clone(),
            value_sats: facts.value.0,
            found_at: facts.found_at,
            bytes,
        }
    }
}

fn read(path: &Path) -> io::Result<(Facts, Vec<u8>)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if fs::metadata(path)?.len() > LARGEST_FILE {
        return Err(wrong("it is too long"));
    }
    let bytes = fs::read(path)?;
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| wrong("its first line does not end"))?;
    let line: Line = serde_json::from_slice(&bytes[..end])?;
    let block = bytes[end + 1..].to_vec();
    if block.len() != line.bytes {
        return Err(wrong("it is cut short"));
    }
    let hash: BlockHash = line.hash.parse().map_err(|_| wrong("its hash is not one"))?;
    let header: Header = block
        .get(..80)
        .and_then(|header| bitcoin::consensus::deserialize(header).ok())
        .ok_or_else(|| wrong("it has no header"))?;
    if header.block_hash() != hash {
        return Err(wrong("its hash is another"));
    }
    let facts = Facts {
        hash,
        height: line.height,
        worker: line.worker,
        address: line.address,
        value: Sats(line.value_sats),
        found_at: line.found_at,
    };
    Ok((facts, block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;
    use tempfile::TempDir;

    fn block(nonce: u32) -> (Facts, Vec<u8>) {
        let header = Header {
            version: bitcoin::block::Version::TWO,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: bitcoin::TxMerkleNode::all_zeros(),
            time: 1,
            bits: bitcoin::CompactTarget::from_consensus(0x207f_ffff),
            nonce,
        };
        let mut bytes = bitcoin::consensus::serialize(&header);
        // New lines inside must not matter.
        bytes.extend_from_slice(b"\n\ntransactions\n");
        let facts = Facts {
            hash: header.block_hash(),
            height: 7,
            worker: "bc1q…\n\"quoted\".rig".into(),
            address: "bc1q".into(),
            value: Sats(5),
            found_at: 9,
        };
        (facts, bytes)
    }

    fn store() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a/b")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_block_is_read_back_as_it_was_written() {
        let (_folder, store) = store();
        let (facts, bytes) = block(1);
        store.write(&facts, &bytes).unwrap();
        store.write(&facts, &bytes).unwrap();
        assert_eq!(store.load().unwrap(), std::slice::from_ref(&facts));
        assert_eq!(store.block(facts.hash).unwrap(), bytes);
    }

    #[test]
    fn a_file_that_is_no_whole_block_is_put_aside() {
        let (_folder, store) = store();
        let (facts, bytes) = block(1);
        store.write(&facts, &bytes).unwrap();
        let path = store.path(facts.hash);
        let whole = fs::read(&path).unwrap();
        let start = whole.len() - bytes.len();
        let mut flipped = whole.clone();
        flipped[start + 4] ^= 1;
        for bad in [
            &[][..],
            b"\n",
            b"{}\n",
            b"\xff\xfe\x00",
            &whole[..whole.len() - 1],
            &whole[..start],
            &flipped,
        ] {
            fs::write(&path, bad).unwrap();
            assert_eq!(store.load().unwrap(), []);
            assert!(!path.exists());
            assert_eq!(fs::read(path.with_extension("corrupt")).unwrap(), bad);
            assert!(store.block(facts.hash).is_err());
        }
    }

    #[test]
    fn a_file_that_lacks_only_its_name_is_taken_and_half_a_file_is_not() {
        let (_folder, store) = store();
        let ((whole, bytes), (half, _)) = (block(1), block(2));
        store.write(&whole, &bytes).unwrap();
        let path = store.path(whole.hash);
        let written = fs::read(&path).unwrap();
        fs::rename(&path, path.with_extension(UNFINISHED)).unwrap();
        let other = store.path(half.hash).with_extension(UNFINISHED);
        fs::write(other, &written[..written.len() / 2]).unwrap();
        assert_eq!(store.load().unwrap(), std::slice::from_ref(&whole));
        assert!(path.exists());
    }

    #[test]
    fn only_the_last_hundred_settled_blocks_stay() {
        let (_folder, store) = store();
        for nonce in 0..103 {
            let (facts, bytes) = block(nonce);
            store.write(&facts, &bytes).unwrap();
            store.settle(facts.hash).unwrap();
        }
        assert_eq!(store.load().unwrap(), []);
        let names: Vec<_> = fs::read_dir(store.settled()).unwrap().collect();
        assert_eq!(names.len(), SETTLED_KEPT);
        let newest = store.path(block(102).0.hash);
        assert!(store.settled().join(newest.file_name().unwrap()).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_at_once() {
        let (folder, _) = store();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Store::open(&file.join("blocks")).is_err());
    }
}
