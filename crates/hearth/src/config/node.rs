//! `[[node]]`: where a Bitcoin node answers and how it is told who asks.

use super::{
    place,
    section::{Fault, Read, Section},
    value,
};
use chain::{Auth, Network, NodeConfig};
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use toml::de::DeValue;

/// Where a node's data may lie on a Linux system, below the user's home and elsewhere.
const HOMES: [&str; 2] = [".bitcoin", "snap/bitcoin-core/common/.bitcoin"];
const SYSTEM: [&str; 4] =
    ["/var/lib/bitcoind", "/var/lib/bitcoin", "/home/bitcoin/.bitcoin", "/home/bitcoind/.bitcoin"];

/// Where a node of this network answers when it was not told otherwise.
pub fn default_url(network: Network) -> String {
    format!("http://127.0.0.1:{}", default_port(network))
}

/// The cookie file that a node of this network writes when it was not told otherwise; `None` when
/// the system names no home folder.
pub fn usual_cookie(network: Network) -> Option<PathBuf> {
    env::home_dir().map(|home| home.join(HOMES[0]).join(subfolder(network)).join(".cookie"))
}

/// Cookie files that are there now and can be read, the likeliest first. A node removes its cookie
/// when it stops, so each most likely stands for a running node.
pub fn find_cookies() -> Vec<(Network, PathBuf)> {
    let homes = env::home_dir().into_iter().flat_map(|home| HOMES.map(|dir| home.join(dir)));
    let folders: Vec<_> = homes.chain(SYSTEM.map(PathBuf::from)).collect();
    Network::ALL
        .into_iter()
        .flat_map(|network| folders.iter().map(move |folder| (network, folder)))
        .map(|(network, folder)| (network, folder.join(subfolder(network)).join(".cookie")))
        .filter(|(_, cookie)| fs::read(cookie).is_ok())
        .collect()
}

/// All nodes of the file in order of preference.
pub(super) fn read_all(
    sections: Vec<Section<'_, '_>>,
    network: Network,
    folder: &Path,
) -> Vec<NodeConfig> {
    let mut nodes: Vec<NodeConfig> = Vec::new();
    for mut section in sections {
        let url = section.or("url", default_url(network), url(network));
        if nodes.iter().any(|node| node.url == url) {
            section
                .fault("url", &format!("is {url}, which another [[node]] has: remove one of them"));
        }
        let auth = read_auth(&mut section, network, folder);
        nodes.push(NodeConfig { url, auth });
    }
    nodes
}

fn read_auth(section: &mut Section<'_, '_>, network: Network, folder: &Path) -> Auth {
    let cookie = section.optional("cookie", value::path).map(|path| place(&path, folder));
    let user = section.optional("user", credential);
    let password = section.optional("password", credential);
    let has = |key| section.has(key);
    match (has("cookie"), has("user"), has("password")) {
        (true, false, false) | (false, true, true) => {}
        (true, ..) => section.fault(
            "cookie",
            "cannot stand beside user and password: keep the cookie, or the user and the password",
        ),
        (false, true, false) => {
            section.fault("user", "needs a password beside it, as in the node's rpcauth");
        }
        (false, false, true) => {
            section.fault("password", "needs a user beside it, as in the node's rpcauth");
        }
        (false, false, false) if usual_cookie(network).is_none() => section.fault(
            "cookie",
            "is not given, and the system names no home folder to look in: give the path of the \
             node's .cookie file",
        ),
        (false, false, false) => {}
    }
    match (cookie, user, password) {
        (None, Some(user), Some(password)) => Auth::UserPass { user, password },
        (cookie, ..) => Auth::Cookie(cookie.or_else(|| usual_cookie(network)).unwrap_or_default()),
    }
}

fn credential(value: &DeValue) -> Read<String> {
    match value.as_str() {
        Some(text) if !text.is_empty() && !text.chars().any(char::is_control) => Ok(text.into()),
        // The given value is not repeated: it may be a password.
        _ => Err(Fault::Sentence("must be a text in quotes".into())),
    }
}

/// `http://host:port`, the only form that Bitcoin Core answers to.
pub(super) fn url(network: Network) -> impl Fn(&DeValue) -> Read<String> {
    move |value| {
        let text = value::text(value)?;
        check_url(&text, network).map_err(Fault::Sentence)
    }
}

/// The URL without a slash at its end, or what is wrong with it in the words behind its name.
pub fn check_url(text: &str, network: Network) -> Result<String, String> {
    let example = default_url(network);
    let text = text.trim().trim_end_matches('/');
    if text.starts_with("https://") {
        return Err(format!(
            "must begin with http://, not https://: Bitcoin Core speaks plain HTTP, so reach a \
             distant node through a tunnel (SSH, WireGuard) and write {example}"
        ));
    }
    let wrong = || format!("must look like {example}, not \"{text}\"");
    let address = text.strip_prefix("http://").ok_or_else(wrong)?;
    if address.contains('@') {
        return Err("must not hold a user and a password: write them as user and password".into());
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ if address.is_empty() || address.contains(['/', '?', '#', ' ']) => return Err(wrong()),
        _ => {
            let port = default_port(network);
            return Err(format!("has no port: write http://{address}:{port}"));
        }
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let good_host = !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
        && (bracketed || !host.contains([':', '[', ']']));
    match port.parse::<u16>() {
        Ok(1..) if good_host => Ok(text.to_string()),
        _ => Err(wrong()),
    }
}

/// From Bitcoin Core's chainparamsbase.cpp.
fn default_port(network: Network) -> u16 {
    match network {
        Network::Mainnet => 8332,
        Network::Testnet4 => 48332,
        Network::Signet => 38332,
        Network::Regtest => 18443,
    }
}

/// A network's folder in the node's data folder, from Bitcoin Core's chainparamsbase.cpp.
fn subfolder(network: Network) -> &'static str {
    match network {
        Network::Mainnet => "",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}
