//! HTTP digest authentication (RFC 2617: MD5, `qop=auth`) as stock Antminers ask for it.

use super::{Answer, View, reply::Plate};
use std::{collections::VecDeque, time::Duration};

const REALM: &str = "antMiner Configuration";
const USER: &str = "root";
const PASSWORD: &str = "root";
/// How long a nonce is good, and how many are.
const LIFE: Duration = Duration::from_secs(300);
const NONCES: usize = 256;

/// The nonces given out.
#[derive(Debug, Clone)]
pub(super) struct Digest {
    nonces: VecDeque<(String, Duration)>,
    random: Plate,
}

impl Digest {
    pub(super) fn new(random: Plate) -> Self {
        Self { nonces: VecDeque::new(), random }
    }

    pub(super) fn forget(&mut self) {
        self.nonces.clear();
    }

    /// The refusal with a new nonce.
    pub(super) fn challenge(&mut self, view: &View<'_>) -> Answer {
        let nonce = self.random.hex(32);
        if self.nonces.len() >= NONCES {
            self.nonces.pop_front();
        }
        let header = format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\"");
        self.nonces.push_back((nonce, view.uptime));
        let headers = vec![("www-authenticate", header), ("content-type", "text/html".to_owned())];
        let body = b"<html><body><h1>401 Unauthorized</h1></body></html>".to_vec();
        Answer::Http { status: 401, headers, body }
    }

    /// Whether this header answers one of the nonces rightly for this request.
    pub(super) fn admits(&self, header: Option<&str>, method: &str, view: &View<'_>) -> bool {
        let Some(rest) = header.and_then(|header| header.strip_prefix("Digest ")) else {
            return false;
        };
        let field = |name: &str| {
            let mut parts = parts(rest).filter_map(|part| part.trim().split_once('='));
            parts.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
        };
        let get = |name| field(name).unwrap_or_default();
        let live = |made: &Duration| view.uptime < *made + LIFE;
        let nonce = get("nonce");
        let known = self.nonces.iter().any(|(given, made)| given == nonce && live(made));
        let secret = hash(&format!("{USER}:{REALM}:{PASSWORD}"));
        let asked = hash(&format!("{method}:{}", get("uri")));
        let (count, own) = (get("nc"), get("cnonce"));
        let right = hash(&format!("{secret}:{nonce}:{count}:{own}:auth:{asked}"));
        known && get("username") == USER && get("qop") == "auth" && get("response") == right
    }
}

/// Divided at commas outside of quotes.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |sign| {
        quoted ^= sign == '"';
        sign == ',' && !quoted
    })
}

fn hash(text: &str) -> String {
    format!("{:x}", md5::compute(text))
}

/// As a client that knows this password answers the refusal.
#[cfg(test)]
pub(super) fn sign(answer: &Answer, password: &str, method: &str, path: &str) -> String {
    let Answer::Http { headers, .. } = answer else { panic!("{answer:?}") };
    let nonce = headers[0].1.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let secret = hash(&format!("{USER}:{REALM}:{password}"));
    let asked = hash(&format!("{method}:{path}"));
    let right = hash(&format!("{secret}:{nonce}:00000001:ab,c:auth:{asked}"));
    format!(
        "Digest username=\"{USER}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{path}\", \
         response=\"{right}\", qop=auth, nc=00000001, cnonce=\"ab,c\", algorithm=MD5"
    )
}
