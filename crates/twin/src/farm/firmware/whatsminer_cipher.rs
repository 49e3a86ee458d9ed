//! How Whatsminer's API version 2 seals commands: AES-256-ECB under a key made of the password, and a
//! sign that proves knowledge of it for one token.

use aes::{
    Aes256,
    cipher::{BlockDecryptMut, BlockEncryptMut, KeyInit, block_padding::ZeroPadding},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a client needs to sign a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Four digits.
    pub(super) time: String,
    /// Salt of the sign.
    pub(super) salt: String,
}

/// The administrator's password, salted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Password {
    salt: String,
    /// Fourth field of md5crypt.
    hash: String,
}

impl Password {
    pub(super) fn new(password: &str, salt: &str) -> Self {
        Self { salt: salt.to_owned(), hash: crypt(password, salt) }
    }

    pub(super) fn salt(&self) -> &str {
        &self.salt
    }

    /// What a client must send with this token.
    pub(super) fn sign(&self, token: &Token) -> String {
        crypt(&format!("{}{}", self.hash, token.time), &token.salt)
    }

    /// The JSON within base64; `None` if it is none, as under a wrong password.
    pub(super) fn open(&self, data: &str) -> Option<Value> {
        let mut sealed = BASE64_STANDARD.decode(data).ok()?;
        let cipher = ecb::Decryptor::<Aes256>::new(&self.key());
        let plain = cipher.decrypt_padded_mut::<ZeroPadding>(&mut sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }

    /// Base64 of the sealed text.
    pub(super) fn seal(&self, text: &str) -> String {
        let cipher = ecb::Encryptor::<Aes256>::new(&self.key());
        let mut block = text.as_bytes().to_vec();
        block.resize(text.len().next_multiple_of(16), 0);
        let sealed = cipher.encrypt_padded_mut::<ZeroPadding>(&mut block, text.len());
        BASE64_STANDARD.encode(sealed.unwrap_or_default())
    }

    fn key(&self) -> aes::cipher::Key<Aes256> {
        Sha256::digest(self.hash.as_bytes()).as_slice().iter().copied().collect()
    }
}

fn crypt(word: &str, salt: &str) -> String {
    let whole = md5crypt::md5crypt(word.as_bytes(), salt.as_bytes());
    let text = String::from_utf8_lossy(&whole).into_owned();
    text.split('$').nth(3).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_sealed_opens_with_the_same_password_only() {
        let right = Password::new("admin", "BQ5hoXV9");
        let sealed = right.seal(r#"{"cmd": "power_on"}"#);
        assert_eq!(right.open(&sealed), Some(json!({ "cmd": "power_on" })));
        assert_eq!(Password::new("root", "BQ5hoXV9").open(&sealed), None);
        assert_eq!(right.open("not base64!"), None);
    }

    #[test]
    fn hash_and_sign_are_those_of_openssl() {
        // openssl passwd -1 -salt BQ5hoXV9 admin; then of the hash and "5626" with salt jbzkfQls
        let password = Password::new("admin", "BQ5hoXV9");
        assert_eq!(password.hash, "RxmaDUO33TS7O26yeMHZ81");
        let token = Token { time: "5626".into(), salt: "jbzkfQls".into() };
        assert_eq!(password.sign(&token), "w.BNbkCV6n1aNWgiBWLzT/");
    }
}
