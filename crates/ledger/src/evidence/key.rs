//! The signing key: a file of its own that only its owner reads. It never leaves this module.

use super::log::EvidenceError;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::{TryRngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    str::FromStr,
};

/// Others than the owner may read, write or run it.
const OTHERS: u32 = 0o077;

/// An Ed25519 public key, in 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PublicKey(VerifyingKey);

/// An Ed25519 secret key (RFC 8032).
pub(crate) struct SecretKey(SigningKey);

impl PublicKey {
    /// First 8 bytes of the SHA-256 of the key, in hex: what records name it by.
    pub fn id(&self) -> String {
        const_hex::encode(&Sha256::digest(self.0.as_bytes())[..8])
    }

    /// RFC 8032 with the strict checks of "Taming the many EdDSAs": no weak key, one signature per
    /// message only.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl SecretKey {
    /// Makes one and writes it to a file that must not be there yet.
    pub(crate) fn make(path: &Path) -> Result<Self, EvidenceError> {
        let failed = |e| EvidenceError::io(path, e);
        let mut seed = [0; 32];
        OsRng.try_fill_bytes(&mut seed).map_err(|e| failed(io::Error::other(e)))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let written = writeln!(file, "{}", const_hex::encode(seed)).and_then(|()| file.sync_all());
        written.map_err(failed)?;
        sync_folder(path)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads the file; `None` if there is none, or if it was cut off while it was made.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, EvidenceError> {
        let failed = |e| EvidenceError::io(path, e);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if fs::metadata(path).map_err(failed)?.permissions().mode() & OTHERS != 0 {
            return Err(EvidenceError::OpenKey { path: path.to_owned() });
        }
        let seed = const_hex::decode_to_array(text.trim());
        Ok(seed.ok().map(|seed| Self(SigningKey::from_bytes(&seed))))
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Makes what was created, renamed or removed in the folder of this file survive a power cut.
pub(crate) fn sync_folder(file: &Path) -> Result<(), EvidenceError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| EvidenceError::io(folder, e))
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const_hex::decode_to_array(text)
            .ok()
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            .filter(|key| !key.is_weak())
            .map(Self)
            .ok_or_else(|| {
                format!("\"{text}\" is no Ed25519 public key; it has 64 hex digits, as `hearth evidence key` prints it")
            })
    }
}
