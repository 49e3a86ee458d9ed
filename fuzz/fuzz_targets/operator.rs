//! OpenADR events as a VTN may send them: intervals that end after they begin, or a sentence.

#![no_main]

use chrono::DateTime;
use grid::openadr::events_of;
use libfuzzer_sys::fuzz_target;
use openleadr_wire::event::EventRequest;
use units::UnixTime;

const SEEDS: [&str; 4] = [
    r#"{"programID":"p","priority":3,"intervalPeriod":{"start":"2027-01-15T08:00:00Z","duration":"PT15M","randomizeStart":"PT10M"},"intervals":[{"id":0,"payloads":[{"type":"PRICE","values":[0.2]}]}]}"#,
    r#"{"programID":"p","priority":null,"intervalPeriod":{"start":"0001-01-01T00:00:00Z","duration":"P9999Y"},"intervals":[{"id":0,"payloads":[{"type":"SIMPLE","values":[1]}]}]}"#,
    r#"{"programID":"p","priority":null,"duration":"PT50M","intervalPeriod":{"start":"2027-01-15T08:00:00Z","duration":"PT10M"},"intervals":[{"id":0,"payloads":[{"type":"IMPORT_CAPACITY_LIMIT","values":[250]}]}]}"#,
    r#"{"programID":"p","priority":0,"payloadDescriptors":[{"payloadType":"DISPATCH_SETPOINT","units":"KW"}],"intervals":[{"id":2,"intervalPeriod":{"start":"2027-01-15T12:00:00Z","duration":"P1Y2M3DT4H5M6S"},"payloads":[{"type":"DISPATCH_SETPOINT","values":[-5e3]}]}]}"#,
];

fuzz_target!(init: hearth_fuzz::seed(&SEEDS), |text: &[u8]| {
    let Ok(event) = serde_json::from_slice::<EventRequest>(text) else { return };
    let changed = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
    let (events, refused) = events_of(&[("e".into(), changed, event)], "home", 1.0);
    assert_eq!(events.0.len() + refused.len(), 1);
    for interval in events.0.iter().flat_map(|event| &event.intervals) {
        assert!(interval.end.is_none_or(|end| interval.start <= end));
    }
    let mut at = UnixTime(0);
    for _ in 0..1000 {
        events.at(at);
        let Some(next) = events.next_change(at) else { break };
        assert!(next > at);
        at = next;
    }
});
