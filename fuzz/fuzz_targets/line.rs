//! One line against `serde_json`: what it reads as a request, we must read as the same one, and what
//! we send back of it must be JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;
use stratum::wire::{Request, Submit};

const SEEDS: [&str; 8] = [
    r#"{"id":1,"method":"mining.subscribe","params":["cpuminer/2.5.1"]}"#,
    r#" { "params" : ["a",null,{"b":[1,{"c":"]}"}]}], "id" : "s\"7" , "method":"mining.authorize"}"#,
    r#"{"method":"mining.suggest_difficulty","params":["1e-05"]}"#,
    r#"{"id":null,"jsonrpc":"2.0","error":null,"result":true}"#,
    r#"{"params":["bcrt1q.w","100","0000000000000001","713fb300","1dac2b7c","00002000"],"id":18446744073709551617,"method":"mining.submit"}"#,
    r#"{"id":[1,-2.5e3],"method":"mining.submit","params":["w","1a00","00",1900000000,7]}"#,
    r#"["w","ffffffff01","0011223344556677","713fb300","1",null,"more"]"#,
    r#"["w",17,"","0","","" ]"#,
];

fuzz_target!(init: hearth_fuzz::seed(&SEEDS), |line: &[u8]| {
    let ours = Request::parse(line);
    if let Some(request) = ours {
        assert!(request.id.len() <= 64);
        serde_json::from_str::<IgnoredAny>(request.id).expect("an id goes back out as JSON");
        submit(request.params);
    }
    if let Ok(text) = std::str::from_utf8(line) {
        submit(text);
    }
    if let Ok(object) = serde_json::from_slice::<Object<'_>>(line) {
        compare(ours, &object);
    }
});

/// The members of a JSON object in order, their values as they stand.
struct Object<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Object<'a> {
    fn last(&self, wanted: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(key, _)| *key == wanted).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose keys have no escapes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<&str, &RawValue>()? {
                    members.push((key, value.get()));
                }
                Ok(Object(members))
            }
        }
        from.deserialize_map(Members)
    }
}

fn compare(ours: Option<Request<'_>>, object: &Object<'_>) {
    let method_is_text =
        object.0.iter().all(|(key, value)| *key != "method" || value.starts_with('"'));
    if !method_is_text {
        return;
    }
    let id = object.last("id");
    let Some(ours) = ours else {
        assert!(id.is_some_and(|id| id.len() > 64), "a good line was not read");
        return;
    };
    assert_eq!((ours.id, ours.has_id), (id.unwrap_or("null"), id.is_some()));
    let method = object.last("method").unwrap_or("\"\"");
    assert_eq!(ours.method, &method[1..method.len() - 1]);
    assert_eq!(ours.params, object.last("params").unwrap_or("[]"));
}

/// A share's parameters, read the slow and plain way.
#[derive(Debug, PartialEq)]
struct Plain {
    user: String,
    job: u32,
    generation: u8,
    extranonce2: Vec<u8>,
    time: u32,
    nonce: u32,
    version_bits: Option<u32>,
}

fn submit(params: &str) {
    let ours = Submit::parse(params);
    let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(params) else { return };
    let values: Vec<&str> = values.into_iter().map(RawValue::get).collect();
    if values.iter().take(6).any(|value| value.contains('\\')) {
        return;
    }
    let ours = ours.ok().map(|ours| Plain {
        user: ours.user.to_owned(),
        job: ours.job,
        generation: ours.generation,
        extranonce2: ours.extranonce2[..usize::from(ours.extranonce2_size)].to_vec(),
        time: ours.time,
        nonce: ours.nonce,
        version_bits: ours.version_bits,
    });
    assert_eq!(ours, plain(&values));
}

fn plain(values: &[&str]) -> Option<Plain> {
    let [user, job, extranonce2, time, nonce, rest @ ..] = values else { return None };
    let text = |value: &str| serde_json::from_str::<String>(value).ok();
    let is_hex = |text: &str| text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = |value: &str| match text(value) {
        Some(hex) if is_hex(&hex) && hex.len() <= 8 => u32::from_str_radix(&hex, 16).ok(),
        Some(_) => None,
        None => serde_json::from_str(value).ok(),
    };
    let job = text(job).unwrap_or_else(|| (*job).to_owned());
    if !is_hex(&job) || !(3..=10).contains(&job.len()) {
        return None;
    }
    let (job, generation) = job.split_at(job.len() - 2);
    let extranonce2 = text(extranonce2)?;
    if !is_hex(&extranonce2) || extranonce2.len() > 16 {
        return None;
    }
    Some(Plain {
        user: text(user).unwrap_or_default(),
        job: u32::from_str_radix(job, 16).ok()?,
        generation: u8::from_str_radix(generation, 16).ok()?,
        extranonce2: const_hex::decode(extranonce2).ok()?,
        time: number(time)?,
        nonce: number(nonce)?,
        version_bits: match rest.first() {
            None | Some(&"null" | &"\"\"") => None,
            Some(value) => Some(number(value)?),
        },
    })
}
