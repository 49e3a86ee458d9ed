//! A scan of a network: who is found, and how little it asks of the network.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use futures_util::StreamExt;
use hearth_fleet::{
    Endpoint, Firmware,
    discovery::{
        probe::probe,
        range::addresses,
        scan::{Limits, scan},
    },
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt, net::TcpListener};
use twin::farm::{Farm, FarmConfig, Fault, Faults, Kind};
use units::Celsius;

async fn farm(first: Ipv4Addr, machines: Vec<Kind>, port_shift: u16) -> Farm {
    let config = FarmConfig {
        first,
        machines,
        stratum: None,
        user: "farm".into(),
        scale: None,
        speed: 1.0,
        ambient: Celsius::new(25.0).unwrap(),
        port_shift,
        faults: Faults::default(),
        light: true,
        seed: 1,
    };
    Farm::start(config).await.unwrap()
}

#[tokio::test]
async fn every_kind_of_machine_is_found_at_its_address_and_nothing_else_is() {
    let farm = farm(Ipv4Addr::new(127, 0, 107, 1), Kind::ALL.to_vec(), 15_000).await;
    let ranges = ["127.0.107.0/27".to_owned()];
    let limits = Limits {
        connections_per_second: NonZeroU32::new(1000).unwrap(),
        port_shift: 15_000,
        ..Limits::default()
    };
    let asked: Vec<_> = scan(addresses(&ranges, false, 1).unwrap(), limits).collect().await;
    assert_eq!(asked.len(), 30);
    let found: BTreeMap<_, _> =
        asked.into_iter().filter_map(|asked| Some((asked.ip, asked.found?.identity))).collect();
    let known: Vec<_> = found.values().map(|who| who.firmware).collect();
    let expected = Kind::ALL.map(|kind| match kind {
        Kind::BitaxeGamma => Firmware::AxeOs,
        Kind::BraiinsS21Pro => Firmware::BraiinsOs,
        Kind::WhatsminerM30Spp => Firmware::WhatsminerV2,
        Kind::AntminerS21 => Firmware::AntminerStock,
        Kind::LuxS19kPro => Firmware::LuxOs,
        Kind::AvalonQ => Firmware::Avalon,
    });
    assert_eq!(known, expected);
    for who in found.values() {
        assert!(who.model.is_some(), "{who:?}");
        // Braiins and Antminer tell it only to whom they let in.
        let shut = matches!(who.firmware, Firmware::BraiinsOs | Firmware::AntminerStock);
        assert_eq!(who.mac.is_some(), !shut, "{who:?}");
    }
    farm.stop().await;
}

#[tokio::test]
async fn a_machine_that_moved_to_another_address_is_the_same_device() {
    let old = farm(Ipv4Addr::new(127, 0, 108, 1), vec![Kind::BitaxeGamma], 15_000).await;
    let at = |ip| Endpoint { ip: IpAddr::V4(ip), http: 15_080, cgminer: 19_028 };
    let first = probe(at(Ipv4Addr::new(127, 0, 108, 1))).await.unwrap();
    old.stop().await;
    let new = farm(Ipv4Addr::new(127, 0, 108, 9), vec![Kind::BitaxeGamma], 15_000).await;
    let second = probe(at(Ipv4Addr::new(127, 0, 108, 9))).await.unwrap();
    assert_eq!(first.identity.id(), second.identity.id());
    assert_ne!(first.endpoint, second.endpoint);
    new.stop().await;
}

#[tokio::test]
async fn machines_that_answer_without_sense_or_end_are_nobody_and_cost_three_seconds_at_most() {
    let farm = farm(Ipv4Addr::new(127, 0, 109, 1), vec![Kind::LuxS19kPro; 3], 15_000).await;
    farm.set_fault(0, Some(Fault::Garbage));
    farm.set_fault(1, Some(Fault::Endless));
    farm.set_fault(2, Some(Fault::Mute));
    let started = Instant::now();
    for n in 1..=3 {
        let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 109, n));
        assert!(probe(Endpoint { ip, http: 15_080, cgminer: 19_028 }).await.is_none(), "{n}");
    }
    assert!(started.elapsed() < Duration::from_secs(9));
    farm.stop().await;
}

#[tokio::test]
async fn a_scan_of_254_addresses_keeps_to_its_sockets_and_its_rate() {
    let port = 24_080;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap();
    let (open, most, all) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let counts = (open.clone(), most.clone(), all.clone());
    tokio::spawn(async move {
        let (open, most, all) = counts;
        while let Ok((mut stream, _)) = listener.accept().await {
            let (open, most) = (open.clone(), most.clone());
            all.fetch_add(1, SeqCst);
            most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::spawn(async move {
                // Mute: every socket stays as long as the scan lets it.
                while matches!(stream.read(&mut [0; 512]).await, Ok(n) if n > 0) {}
                open.fetch_sub(1, SeqCst);
            });
        }
    });
    let limits = Limits {
        sockets: 64,
        connections_per_second: NonZeroU32::new(400).unwrap(),
        port_shift: port - 80,
    };
    let addresses = addresses(&["127.0.110.0/24".into()], false, 1).unwrap();
    let started = Instant::now();
    let found = scan(addresses, limits).filter(|asked| std::future::ready(asked.found.is_some()));
    assert_eq!(found.count().await, 0);
    assert_eq!(all.load(SeqCst), 254);
    assert!(most.load(SeqCst) <= 64, "{}", most.load(SeqCst));
    // 508 connections are tried, two an address.
    assert!(started.elapsed() >= Duration::from_millis(508 * 1000 / 400 - 10));
}
