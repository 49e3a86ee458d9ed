//! An aggregator's commands and Home Assistant's: within limits, or a sentence.

#![no_main]

use grid::{
    command,
    homeassistant::{Device, Entity, Kind, Site, Want},
    mqtt::Address,
};
use libfuzzer_sys::fuzz_target;
use std::{sync::LazyLock, time::Duration};
use units::{Celsius, Moment, UnixTime};

const SEEDS: [&str; 5] = [
    r#"{"sequence":17,"power_w":250000,"valid_s":60}"#,
    r#"{"sequence":18446744073709551615,"power_w":null,"expires":1800000060}"#,
    "hearth/home/room/target/set 21.5",
    "hearth/home/room/mode/set auto",
    "hearth/home/limit/set 1200",
];

static SITE: LazyLock<Site> = LazyLock::new(|| Site {
    name: "site".into(),
    address: Address { host: "localhost".into(), port: 1883, login: None },
    discovery: "homeassistant".into(),
    base: "hearth/home".into(),
});

static ENTITIES: LazyLock<Vec<Entity>> = LazyLock::new(|| {
    let device = || Device { id: "d".into(), name: "D".into(), model: None, via: None };
    let entity = |id: &str, kind| Entity { id: id.into(), name: id.into(), device: device(), kind };
    let celsius = |degrees| Celsius::new(degrees).expect("a temperature");
    vec![
        entity("room", Kind::Climate { min: celsius(5.0), max: celsius(25.0) }),
        entity("limit", Kind::Number { min: 0.0, max: 3600.0, step: 1.0, unit: "W".into() }),
        entity("mining", Kind::Switch),
    ]
});

fuzz_target!(init: hearth_fuzz::seed(&SEEDS), |message: &[u8]| {
    let (now, today) = (Moment::from_secs(1000), UnixTime(1_800_000_000));
    if let Ok(set_point) = command::parse(message, now, today) {
        assert!(set_point.expires > now);
        assert!(set_point.expires.since(now) <= Duration::from_secs(24 * 3600));
        assert!(set_point.power.is_none_or(|power| power.get().is_finite()));
    }
    let cut = message.iter().position(|byte| *byte == b' ').unwrap_or(message.len());
    let (topic, text) = message.split_at(cut);
    let Ok(topic) = std::str::from_utf8(topic) else { return };
    match SITE.command(&ENTITIES, topic, text).map(|command| command.want) {
        Ok(Want::Target(target)) => assert!((5.0..=25.0).contains(&target.get())),
        Ok(Want::Number(number)) => assert!((0.0..=3600.0).contains(&number)),
        Ok(Want::Mode(_) | Want::Switch(_)) | Err(_) => {}
    }
});
