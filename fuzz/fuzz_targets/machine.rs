//! What machines answer: the cgminer API of any age, and the live stream of AxeOS.

#![no_main]

use fleet::drivers::{axeos::live, cgminer};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Most that is remembered of one machine, bytes.
const REMEMBERED: usize = 64 * 1024;

const SEEDS: [&str; 5] = [
    r#"{"STATUS":[{"STATUS":"S","Msg":"Summary"}],"SUMMARY":[{"GHS 5s":115000.1}],"id":1}"#,
    r#"{"STATS":[{"a":1}{"b":"x"}],"summary":[{"STATUS":[{"STATUS":"E","Msg":"no"}]}]}"#,
    r#"{"STATUS":"S","Msg":"ok"}"#,
    r#"{"event":"update","data":{"temp":50,"m":{"a":1,"b":[1,2]},"power":17}}
{"event":"update","data":{"temp":null,"m":{"b":3}}}"#,
    r#"{"event":"log","data":"x"}"#,
];

fuzz_target!(init: hearth_fuzz::seed(&SEEDS), |answer: &[u8]| {
    if let Ok(answer) = cgminer::parse(answer) {
        // Either is fine; whatever was asked for is found without a panic.
        let _ = cgminer::reply(&answer);
        let _ = cgminer::reply(cgminer::part(&answer, "summary"));
    }
    let mut known = Value::Null;
    for message in String::from_utf8_lossy(answer).lines() {
        if live::take(&mut known, message).is_err() {
            // The stream ends here and nothing of it is kept.
            break;
        }
        assert!(known.is_null() || known.is_object());
        assert!(known.to_string().len() <= REMEMBERED);
    }
});
