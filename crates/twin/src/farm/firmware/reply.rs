//! What several firmwares share: requests of the cgminer API taken apart, answers put together, power
//! limits turned into clocks. Never decides what a firmware does.

use super::{Answer, View};
use crate::farm::{
    Setting,
    spec::{Load, Spec},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Map, Value, json};
use units::{Megahertz, Watts};

/// Serial numbers and addresses of one machine: the same for the same seed.
#[derive(Debug, Clone)]
pub(super) struct Plate {
    random: Xoshiro256PlusPlus,
}

impl Plate {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// A locally administered address, `02:…` in capitals.
    pub(super) fn mac(&mut self) -> String {
        let bytes: [u8; 5] = self.random.random();
        let tail: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("02:{}", tail.join(":"))
    }

    /// The prefix and so many letters and digits.
    pub(super) fn serial(&mut self, prefix: &str, length: usize) -> String {
        const SIGNS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ0123456789";
        let sign = |n: usize| char::from(SIGNS[n % SIGNS.len()]);
        let tail: String =
            (0..length).map(|_| sign(self.random.random::<u32>() as usize)).collect();
        format!("{prefix}{tail}")
    }

    /// So many hexadecimal digits, small.
    pub(super) fn hex(&mut self, length: usize) -> String {
        (0..length).map(|_| format!("{:x}", self.random.random::<u8>() & 15)).collect()
    }
}

/// One request of the cgminer API.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// Also from `cmd`, as one client writes it.
    pub(super) command: String,
    /// As text, whatever it was.
    pub(super) parameter: String,
    /// All of it.
    pub(super) body: Value,
}

impl Call {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let body: Value = serde_json::from_str(line.trim_matches(['\0', '\n', '\r', ' '])).ok()?;
        Self::of(body)
    }

    pub(super) fn of(body: Value) -> Option<Self> {
        let command = body.get("command").or_else(|| body.get("cmd"))?.as_str()?.to_owned();
        let parameter = match body.get("parameter") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        Some(Self { command, parameter, body })
    }

    /// The command's answer, or those of all commands joined by `+`, each in a list of its own.
    pub(super) fn each(&self, mut one: impl FnMut(&str) -> Value) -> Value {
        if !self.command.contains('+') {
            return one(&self.command);
        }
        let mut all = Map::new();
        for command in self.command.split('+') {
            all.insert(command.to_owned(), json!([one(command)]));
        }
        all.insert("id".into(), json!(1));
        Value::Object(all)
    }
}

/// `{"STATUS":[…],"SECTION":[…],"id":1}`, the shape of nearly all of the cgminer API.
pub(super) fn section(status: Value, name: &str, rows: Value) -> Value {
    let mut whole = json!({ "STATUS": [status], "id": 1 });
    if let (Some(object), false) = (whole.as_object_mut(), name.is_empty()) {
        object.insert(name.to_owned(), rows);
    }
    whole
}

/// One entry of STATUS.
pub(super) fn status(mark: &str, code: u32, says: &str, by: &str, view: &View<'_>) -> Value {
    json!({ "STATUS": mark, "When": view.unix, "Code": code, "Msg": says, "Description": by })
}

/// The answer to a command that this firmware does not know.
pub(super) fn unknown(by: &str, view: &View<'_>) -> Value {
    section(status("E", 14, "Invalid command", by, view), "", Value::Null)
}

/// A pool as the cgminer API tells it.
pub(super) fn pool(index: usize, pool: &super::Pool, view: &View<'_>) -> Value {
    let first = index == 0;
    let counted = |n: u64| if first { n } else { 0 };
    json!({
        "POOL": index, "URL": pool.url, "Status": if first { "Alive" } else { "Dead" },
        "Priority": index, "Quota": 1, "Long Poll": "N", "Getworks": 0,
        "Accepted": counted(view.accepted), "Rejected": counted(view.rejected), "Discarded": 0,
        "Stale": 0, "Get Failures": 0, "Remote Failures": 0, "User": pool.user,
        "Last Share Time": if first { view.unix } else { 0 }, "Diff1 Shares": 0,
        "Proxy Type": "", "Proxy": "", "Difficulty Accepted": 0.0, "Difficulty Rejected": 0.0,
        "Difficulty Stale": 0.0, "Last Share Difficulty": 0.0, "Has Stratum": true,
        "Stratum Active": first, "Stratum URL": endpoint(&pool.url).0, "Has GBT": false,
        "Best Share": 0, "Pool Rejected%": 0.0, "Pool Stale%": 0.0, "GROUP": 0,
    })
}

/// A whole answer on the web port.
pub(super) fn web(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::Http { status, headers: vec![("content-type", kind.to_owned())], body: body.into() }
}

/// JSON on the web port.
pub(super) fn json_page(status: u16, value: &Value) -> Answer {
    web(status, "application/json", value.to_string())
}

/// A page on the web port.
pub(super) fn page(title: &str) -> Answer {
    let text = format!("<!doctype html><html><head><title>{title}</title></head></html>");
    web(200, "text/html", text)
}

/// Host and port of a pool's address, 3333 if it names none.
pub(super) fn endpoint(url: &str) -> (String, u16) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host.to_owned(), port),
        _ => (rest.to_owned(), 3333),
    }
}

/// Rounded to so many decimals.
pub(super) fn round(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}

/// Terahashes a second that stock firmware claims: what it tried, lies included.
pub(super) fn claimed(view: &View<'_>) -> f64 {
    view.output.tried.terahashes_per_second() * view.claims
}

/// Terahashes a second that firmware claims which counts what was right.
pub(super) fn counted(view: &View<'_>) -> f64 {
    view.output.good.terahashes_per_second() * view.claims
}

/// Power at this clock in air of 25 °C, settled; zero for machines whose voltage is set from outside.
pub(super) fn watts_at(spec: &Spec, clock: Megahertz) -> f64 {
    match spec.load {
        Load::Ladder { fixed, linear, square } => {
            fixed + linear * clock.get() + square * clock.get() * clock.get()
        }
        Load::Chip { .. } => 0.0,
    }
}

/// The clock at which a machine settles at this power in air of 25 °C, within what it can do.
pub(super) fn clock_for(spec: &Spec, limit: Watts) -> Megahertz {
    let Load::Ladder { fixed, linear, square } = spec.load else { return spec.clock };
    let root = linear * linear - 4.0 * square * (fixed - limit.get());
    let clock = (root.max(0.0).sqrt() - linear) / (2.0 * square);
    let (least, most) = (spec.clocks.0.get(), spec.clocks.1.get());
    Megahertz::new(clock.clamp(least, most)).unwrap_or(spec.clock)
}

/// The power limit that the machine's clock stands for, whole watts.
pub(super) fn limit_of(view: &View<'_>) -> u32 {
    watts_at(view.machine.spec(), view.machine.setting().clock).round() as u32
}

/// Least and most power limit of a machine, whole watts.
pub(super) fn limits(spec: &Spec) -> (u32, u32) {
    (watts_at(spec, spec.clocks.0).ceil() as u32, watts_at(spec, spec.clocks.1).floor() as u32)
}

/// The machine's setting with this power limit.
pub(super) fn limited(view: &View<'_>, watts: f64) -> Option<Setting> {
    let limit = Watts::new(watts).ok()?;
    Some(Setting { clock: clock_for(view.machine.spec(), limit), ..view.machine.setting() })
}

/// The machine's setting, hashing or not.
pub(super) fn mining(view: &View<'_>, mining: bool) -> Setting {
    Setting { mining, ..view.machine.setting() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::Kind;

    #[test]
    fn a_power_limit_survives_the_way_to_a_clock_and_back() {
        for kind in [Kind::BraiinsS21Pro, Kind::WhatsminerM30Spp] {
            let spec = Spec::of(kind);
            let (least, most) = limits(&spec);
            for watts in (least..=most).step_by(37) {
                let clock = clock_for(&spec, Watts::new(f64::from(watts)).unwrap());
                assert_eq!(watts_at(&spec, clock).round() as u32, watts, "{kind:?}");
            }
        }
    }

    #[test]
    fn joined_commands_come_each_in_a_list() {
        let call = Call::parse("{\"command\": \"summary+devs\"}\n").unwrap();
        let all = call.each(|command| json!({ "asked": command }));
        assert_eq!(all["devs"][0]["asked"], "devs");
        assert_eq!(all["id"], 1);
        assert!(Call::parse("{}").is_none() && Call::parse("[1").is_none());
        assert_eq!(Call::parse("{\"command\":\"x\",\"parameter\":0}").unwrap().parameter, "0");
    }

    #[test]
    fn a_pools_address_falls_apart_into_host_and_port() {
        assert_eq!(endpoint("stratum+tcp://10.0.0.1:3334"), ("10.0.0.1".into(), 3334));
        assert_eq!(endpoint("pool.example"), ("pool.example".into(), 3333));
    }

    #[test]
    fn plates_differ_by_seed_and_are_local_addresses() {
        let (mut one, mut two) = (Plate::new(1), Plate::new(2));
        let mac = one.mac();
        assert!(mac.starts_with("02:") && mac.len() == 17);
        assert_ne!(mac, two.mac());
        assert_eq!(mac, Plate::new(1).mac());
    }
}
