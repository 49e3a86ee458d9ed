//! The chain: whether a line may follow the lines before it. It remembers only the end of what it has
//! seen, so that a record of any length is checked in the same memory.

use super::{
    key::{PublicKey, SecretKey},
    record::{Body, DOMAIN, Hash, Label, MAX_LINE, Record, SIGNATURE},
};
use sha2::{Digest, Sha256};
use units::UnixTime;

/// Why a line may not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Fault {
    #[error("there is no record")]
    Empty,
    #[error("it is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("it does not end with a line break: the record is cut off")]
    CutOff,
    #[error("it is not a signature, a space and a record")]
    NoRecord,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("a file must begin with the key in force")]
    NoBeginning,
    #[error("it announces another key than the one in force")]
    Beginning,
    #[error(
        "sequence number {expected} is due and {found} is here: a record is missing, repeated or out of order"
    )]
    Sequence { expected: u64, found: u64 },
    #[error("it does not follow the record before: that one hashes to another value")]
    Previous,
    #[error("it is signed by key {found}, but {expected} is in force")]
    Key { expected: String, found: String },
    #[error("the signature does not fit: something in it was changed")]
    Signature,
    #[error("it is of another site or meter")]
    Other,
    #[error("its interval begins before the one before it ends")]
    Overlap,
    #[error("the record is signed by {found}, not by the key that you trust")]
    NotTrusted { found: String },
    #[error("it hands over to the key that is in force already")]
    SameKey,
}

/// The end of a chain.
#[derive(Debug, Clone)]
pub struct Chain {
    pub(crate) site: Label,
    pub(crate) meter: Label,
    pub(crate) key: PublicKey,
    pub(crate) next: u64,
    pub(crate) head: Hash,
    pub(crate) until: UnixTime,
}

impl Chain {
    /// Starts with the first line of a file, which names the key that it is signed by.
    pub fn start(line: &[u8]) -> Result<(Self, Record), Fault> {
        let (signature, json) = split(line)?;
        let record = Record::read(json).map_err(Fault::Unreadable)?;
        let Body::Begin { public } = record.body else {
            return Err(Fault::NoBeginning);
        };
        let mut chain = Self {
            site: record.site.clone(),
            meter: record.meter.clone(),
            key: public,
            next: record.seq,
            head: record.prev,
            until: UnixTime(0),
        };
        chain.follow(line, &signature, json, &record)?;
        Ok((chain, record))
    }

    /// Takes the next line, if it may follow; else stays as it is.
    pub fn accept(&mut self, line: &[u8]) -> Result<Record, Fault> {
        let (signature, json) = split(line)?;
        let record = Record::read(json).map_err(Fault::Unreadable)?;
        self.follow(line, &signature, json, &record)?;
        Ok(record)
    }

    /// The line that says this next; the chain has not taken it yet.
    pub(crate) fn line(&self, body: Body, key: &SecretKey) -> Result<String, serde_json::Error> {
        let of = (&self.site, &self.meter);
        let json = Record::new(self.next, self.head, &self.key, of, body).json()?;
        Ok(format!("{} {json}", const_hex::encode(key.sign(&message(json.as_bytes())))))
    }

    fn follow(
        &mut self,
        line: &[u8],
        signature: &[u8; 64],
        json: &[u8],
        record: &Record,
    ) -> Result<(), Fault> {
        // The likelier explanation of what is wrong comes first.
        if record.seq != self.next {
            return Err(Fault::Sequence { expected: self.next, found: record.seq });
        }
        if record.key != self.key.id() {
            return Err(Fault::Key { expected: self.key.id(), found: record.key.clone() });
        }
        if !self.key.verifies(&message(json), signature) {
            return Err(Fault::Signature);
        }
        if record.prev != self.head {
            return Err(Fault::Previous);
        }
        if record.site != self.site || record.meter != self.meter {
            return Err(Fault::Other);
        }
        // A number of 64 bits is never used up.
        let next =
            self.next.checked_add(1).ok_or(Fault::Sequence { expected: 0, found: self.next })?;
        match &record.body {
            Body::Begin { public } if *public != self.key => return Err(Fault::Beginning),
            Body::Begin { .. } => {}
            Body::Rotate { public } if *public == self.key => return Err(Fault::SameKey),
            Body::Rotate { public } => self.key = *public,
            Body::Interval(interval) if interval.start < self.until => return Err(Fault::Overlap),
            Body::Interval(interval) => self.until = interval.end(),
        }
        (self.next, self.head) = (next, Hash(Sha256::digest(line).into()));
        Ok(())
    }
}

fn split(line: &[u8]) -> Result<([u8; 64], &[u8]), Fault> {
    if line.len() > MAX_LINE {
        return Err(Fault::TooLong);
    }
    let (hex, rest) = line.split_at_checked(SIGNATURE).ok_or(Fault::NoRecord)?;
    let json = rest.strip_prefix(b" ").ok_or(Fault::NoRecord)?;
    let lower = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if !hex.iter().all(lower) {
        return Err(Fault::NoRecord);
    }
    let signature = const_hex::decode_to_array(hex).map_err(|_| Fault::NoRecord)?;
    Ok((signature, json))
}

fn message(json: &[u8]) -> Vec<u8> {
    [DOMAIN, json].concat()
}
