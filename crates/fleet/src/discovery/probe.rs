//! What answers at one address: two short questions at once, then one more for its network card.
//! Bounded in bytes, time and sockets; sends nothing that changes anything, and no password.

use super::Found;
use crate::{
    device::Endpoint,
    driver::DriverError,
    drivers::{avalon, axeos, cgminer, http, luxos},
    identity::{Firmware, Identity},
};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::time::timeout;

/// For the connection and the answer to one question.
const QUESTION: Duration = Duration::from_secs(1);
/// For all of them.
const ALL: Duration = Duration::from_secs(3);
/// Sockets open to one address at once.
pub const SOCKETS: usize = 2;
/// First firmware date of a Whatsminer whose own protocol is version 3.
const WHATSMINER_V3: u64 = 20_241_101;

/// Who answers there; `None` if nobody that is known or could be a miner.
pub async fn probe(at: Endpoint) -> Option<Found> {
    timeout(ALL, ask(at)).await.ok().flatten()
}

async fn ask(at: Endpoint) -> Option<Found> {
    let web = SocketAddr::new(at.ip, at.http);
    let line = SocketAddr::new(at.ip, at.cgminer);
    let (page, version) = tokio::join!(http::get(web, "/", QUESTION), more(line, "version"));
    let page = page.ok();
    let mut known = firmware(page.as_ref(), version.as_ref());
    if known == Some(Firmware::Other) {
        // Whatsminer does not know the question, but has details.
        let details = more(line, "devdetails").await;
        known = firmware(page.as_ref(), details.as_ref()).or(known);
    }
    let identity = identity(at, known?, version.as_ref()).await;
    Some(Found { endpoint: at, identity })
}

async fn more(line: SocketAddr, command: &str) -> Option<Value> {
    told(cgminer::ask(line, command, None, QUESTION).await)
}

/// An answer that is one, whatever it says.
fn told(answer: Result<Value, DriverError>) -> Option<Value> {
    answer.ok().filter(Value::is_object)
}

/// By the words in which firmware names itself; its makers' own comes after what replaces it, because
/// replacements still name the machine.
fn firmware(page: Option<&http::Page>, version: Option<&Value>) -> Option<Firmware> {
    let line = version.map(|version| version.to_string().to_uppercase()).unwrap_or_default();
    let body = page.map(|page| String::from_utf8_lossy(&page.body).to_uppercase());
    let body = body.unwrap_or_default();
    let says = |word: &str| line.contains(word) || body.contains(word);
    let digest = page.is_some_and(|page| page.status == 401);
    Some(match () {
        () if says("BOSMINER") || says("BOSER") || says("BRAIINS OS") => Firmware::BraiinsOs,
        () if says("LUXMINER") || says("LUXOR FIRMWARE") => Firmware::LuxOs,
        () if says("VNISH") || says("ANTHILL") || says("XMINER") => Firmware::Vnish,
        () if body.contains("NERDAXE") || body.contains("NERDQAXE") => Firmware::NerdAxe,
        () if body.contains("AXEOS") => Firmware::AxeOs,
        () if line.contains("AVALON") => Firmware::Avalon,
        () if line.contains("BITMICRO") || line.contains("BTMINER") => Firmware::WhatsminerV2,
        () if line.contains("WHATSMINER") => Firmware::WhatsminerV2,
        () if line.contains("ANTMINER") || (digest && !line.is_empty()) => Firmware::AntminerStock,
        // A web page alone is a printer; something that speaks cgminer hashes.
        () if line.contains("\"STATUS\"") => Firmware::Other,
        () => return None,
    })
}

async fn identity(at: Endpoint, firmware: Firmware, version: Option<&Value>) -> Identity {
    let line = SocketAddr::new(at.ip, at.cgminer);
    let of_version = || Identity {
        model: version.and_then(|v| short(&v["VERSION"][0]["Type"])),
        version: version.and_then(|v| short(&v["VERSION"][0]["Miner"])),
        ..Identity::of(firmware)
    };
    match firmware {
        Firmware::AxeOs | Firmware::NerdAxe => {
            let web = SocketAddr::new(at.ip, at.http);
            let page = http::get(web, "/api/system/info", QUESTION).await;
            match page.and_then(|page| page.json()) {
                Ok(info) => Identity { firmware, ..axeos::identity(&info) },
                Err(_) => of_version(),
            }
        }
        Firmware::LuxOs => {
            let config = more(line, "config").await;
            let known =
                config.and_then(|config| luxos::identity(&config, version.unwrap_or(&Value::Null)));
            known.unwrap_or_else(of_version)
        }
        Firmware::Avalon => version.and_then(avalon::identity).unwrap_or_else(of_version),
        Firmware::WhatsminerV2 => whatsminer(line).await,
        Firmware::BraiinsOs => {
            let details = more(line, "devdetails").await;
            let model = details.and_then(|told| short(&told["DEVDETAILS"][0]["Model"]));
            Identity { model, ..of_version() }
        }
        _ => of_version(),
    }
}

/// Version 3 is told by the date of the firmware before anything speaks that protocol to it.
async fn whatsminer(line: SocketAddr) -> Identity {
    let version = more(line, "get_version").await;
    let date = version.and_then(|told| short(&told["Msg"]["fw_ver"]));
    let number = date.as_deref().and_then(|date| date.split('.').next()?.parse::<u64>().ok());
    if number.is_some_and(|number| number >= WHATSMINER_V3) {
        return Identity { version: date, ..Identity::of(Firmware::WhatsminerV3) };
    }
    let (details, info) = (more(line, "devdetails").await, more(line, "get_miner_info").await);
    let info = info.unwrap_or(Value::Null);
    Identity {
        model: details.and_then(|told| short(&told["DEVDETAILS"][0]["Model"])),
        version: date,
        mac: info["Msg"]["mac"].as_str().and_then(|mac| mac.parse().ok()),
        serial: short(&info["Msg"]["minersn"]),
        hostname: short(&info["Msg"]["hostname"]),
        ..Identity::of(Firmware::WhatsminerV2)
    }
}

fn short(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.chars().take(120).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_firmware_is_known_by_its_own_words_and_a_printer_is_none() {
        let page = |status, body: &'static str| {
            Some(http::Page { status, body: bytes::Bytes::from_static(body.as_bytes()) })
        };
        let version = |row: Value| Some(json!({ "STATUS": [{}], "VERSION": [row] }));
        for (page, version, known) in [
            (page(200, "<title>AxeOS</title>"), None, Some(Firmware::AxeOs)),
            (page(200, "<title>NerdQAxe AxeOS</title>"), None, Some(Firmware::NerdAxe)),
            (
                page(200, "Luxor Firmware"),
                version(json!({ "LUXminer": "x", "Type": "Antminer S19k Pro" })),
                Some(Firmware::LuxOs),
            ),
            (None, version(json!({ "BOSer": "boser 0.1" })), Some(Firmware::BraiinsOs)),
            (None, version(json!({ "PROD": "Avalon Q" })), Some(Firmware::Avalon)),
            (
                page(401, ""),
                version(json!({ "Type": "Antminer S21" })),
                Some(Firmware::AntminerStock),
            ),
            (
                None,
                Some(json!({ "STATUS": "S", "Description": "btminer" })),
                Some(Firmware::WhatsminerV2),
            ),
            (None, version(json!({ "CGMiner": "4.1" })), Some(Firmware::Other)),
            (page(200, "printer"), None, None),
            (page(401, "router"), None, None),
            (None, None, None),
        ] {
            assert_eq!(firmware(page.as_ref(), version.as_ref()), known, "{page:?} {version:?}");
        }
    }

    #[tokio::test]
    async fn a_whatsminer_v3_is_told_by_its_date_and_asked_nothing_more() {
        let told = |date: &str| json!({ "STATUS": "S", "Msg": { "fw_ver": date } }).to_string();
        for (date, known) in [
            ("20250101.1.REL", Firmware::WhatsminerV3),
            ("20241101.1", Firmware::WhatsminerV3),
            ("20230803.11.REL", Firmware::WhatsminerV2),
        ] {
            let at = crate::drivers::hostile(told(date)).await;
            assert_eq!(whatsminer(at).await.firmware, known, "{date}");
        }
    }
}
