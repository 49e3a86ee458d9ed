//! Asks addresses which machine answers there: a question to the web interface, one to the cgminer
//! API, two sockets at most.

use fleet::{
    DriverError, Endpoint, Firmware, Identity,
    discovery::Found,
    drivers::{self, cgminer},
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};

const DEADLINE: Duration = Duration::from_secs(3);

/// Machines at these endpoints, as they answer; at most `sockets` addresses are asked at once.
pub fn find(at: Vec<Endpoint>, sockets: usize) -> impl Stream<Item = Found> {
    let asked = stream::iter(at).map(|endpoint| async move {
        let identity = who(endpoint).await?;
        Some(Found { endpoint, identity })
    });
    asked.buffer_unordered(sockets.max(1)).filter_map(std::future::ready)
}

async fn who(at: Endpoint) -> Option<Identity> {
    let own = |firmware| async move {
        match drivers::open(at, firmware) {
            Some(link) => link.identify().await,
            None => Err(DriverError::Unreachable(String::new())),
        }
    };
    let web = tokio::time::timeout(DEADLINE, own(Firmware::AxeOs));
    let api = tokio::time::timeout(DEADLINE, version(at));
    let (web, api) = tokio::join!(web, api);
    if let Ok(Ok(identity)) = web {
        return Some(identity);
    }
    let (version, details) = api.ok()??;
    let text = format!("{version}{details}").to_uppercase();
    let has = |word: &str| text.contains(word);
    let firmware = match () {
        () if has("BOSER") || has("BOSMINER") => Firmware::BraiinsOs,
        () if has("LUXMINER") => Firmware::LuxOs,
        () if has("AVALON") => Firmware::Avalon,
        () if has("BITMICRO") || has("FW_VER") => Firmware::WhatsminerV2,
        () if has("ANTMINER") => Firmware::AntminerStock,
        () => Firmware::Other,
    };
    match own(firmware).await {
        Ok(identity) => Some(identity),
        Err(_) => Some(Identity { model: model(&version, &details), ..Identity::of(firmware) }),
    }
}

async fn version(at: Endpoint) -> Option<(Value, Value)> {
    let to = SocketAddr::new(at.ip, at.cgminer);
    let version = cgminer::ask(to, "version", None, DEADLINE).await.ok()?;
    let details = cgminer::ask(to, "devdetails", None, DEADLINE).await;
    Some((version, details.unwrap_or(Value::Null)))
}

fn model(version: &Value, details: &Value) -> Option<String> {
    let told = [
        &details["DEVDETAILS"][0]["Model"],
        &version["VERSION"][0]["Type"],
        &version["VERSION"][0]["PROD"],
    ];
    told.into_iter().find_map(|text| text.as_str()).map(|text| text.chars().take(64).collect())
}
