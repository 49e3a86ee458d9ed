//! Every request but a share: configure, subscribe, authorize and what firmware says besides.

use crate::{
    engine::Engine,
    user::{Hint, User},
    wire::{self, Request},
};
use serde_json::Value;
use units::Difficulty;

/// NiceHash refuses a pool whose first difficulty is lower.
const NICEHASH_FIRST: f64 = 524_288.0;
/// Longest name of a machine that is kept, bytes.
const MAX_AGENT: usize = 64;
/// A session's suggestions change its difficulty at most once in this time.
pub(crate) const WISH_EVERY_MS: u64 = 10_000;

impl Engine {
    pub(crate) fn answer(&mut self, key: usize, request: &Request<'_>) {
        let id = request.id;
        match request.method {
            "mining.configure" => self.configure(key, request),
            "mining.subscribe" => self.subscribe(key, request),
            "mining.authorize" => self.authorize(key, request),
            "mining.suggest_difficulty" => self.suggest(key, request),
            "mining.extranonce.subscribe" => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.wants_extranonce = true;
                }
                wire::result(self.out.to(key), id, "true");
            }
            "mining.ping" => wire::result(self.out.to(key), id, "\"pong\""),
            "mining.get_transactions" => wire::error(
                self.out.to(key),
                id,
                20,
                "transactions are not served over Stratum; ask the bitcoin node for its template",
            ),
            // An answer to one of our messages.
            "" => {}
            _ if !request.has_id => {}
            _ => wire::error(self.out.to(key), id, -3, "method not found"),
        }
    }

    /// BIP 310. Only version-rolling is answered: other keys make Whatsminer M30S+ ask for ever.
    fn configure(&mut self, key: usize, request: &Request<'_>) {
        let params = request.values();
        let asked = params
            .first()
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|name| name == "version-rolling"));
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !asked {
            return wire::result(self.out.to(key), request.id, "{}");
        }
        let options = params.get(1).and_then(Value::as_object);
        let wanted = match options.and_then(|options| options.get("version-rolling.mask")) {
            Some(Value::String(hex)) => {
                u32::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap_or(u32::MAX)
            }
            Some(Value::Number(number)) => {
                number.as_u64().and_then(|n| n.try_into().ok()).unwrap_or(u32::MAX)
            }
            _ => u32::MAX,
        };
        // min-bit-count is read by nobody here: we always give all the bits there are in common.
        let mask = wanted & self.shared.config.version_mask;
        session.version_mask = mask;
        let ready = session.ready;
        let answer = if mask == 0 {
            "{\"version-rolling\":false}".to_string()
        } else {
            format!("{{\"version-rolling\":true,\"version-rolling.mask\":\"{mask:08x}\"}}")
        };
        let out = self.out.to(key);
        wire::result(out, request.id, &answer);
        if ready && mask != 0 {
            wire::notification(out, "mining.set_version_mask", &format!("\"{mask:08x}\""));
        }
    }

    fn subscribe(&mut self, key: usize, request: &Request<'_>) {
        let agent = request.values().first().and_then(Value::as_str).map(|agent| {
            let shown: String = agent.chars().filter(|c| !c.is_control()).collect();
            shown[..shown.floor_char_boundary(MAX_AGENT)].to_string()
        });
        let size = self.shared.config.extranonce2_size;
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(agent) = agent.filter(|agent| !agent.is_empty()) {
            if agent.to_ascii_lowercase().starts_with("nicehash") {
                session.floor = Difficulty::new(NICEHASH_FIRST).ok();
            }
            session.user_agent = Some(agent.into());
        }
        session.subscribed = true;
        let answer = format!(
            "[[[\"mining.set_difficulty\",\"{id:x}\"],[\"mining.notify\",\"{id:x}\"]],\"{}\",{size}]",
            const_hex::encode(session.extranonce1),
            id = session.id,
        );
        wire::result(self.out.to(key), request.id, &answer);
        self.first_job(key);
    }

    fn authorize(&mut self, key: usize, request: &Request<'_>) {
        let params = request.values();
        let text = |at: usize| params.get(at).and_then(Value::as_str).unwrap_or("");
        let user = User::parse(text(0));
        let payout = match self.payout(&user.address) {
            Ok(payout) => payout,
            Err(why) => return wire::error(self.out.to(key), request.id, 24, &why),
        };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(held) = &session.payout {
            // A proxy may authorize many workers; their work is one session's.
            if held.address == payout.address {
                return wire::result(self.out.to(key), request.id, "true");
            }
            let why = format!(
                "this connection already mines to {}; open another one for another address",
                held.address
            );
            return wire::error(self.out.to(key), request.id, 24, &why);
        }
        let own = user.address == *payout.address;
        let name = if own || user.address.is_empty() {
            user.full_name(&payout.address)
        } else {
            // A plain name on a server with a fallback address.
            user.full_name(&format!("{}.{}", payout.address, user.address))
        };
        session.worker = Some(self.workers.join(&name, &payout.address));
        session.payout = Some(payout);
        let port = self.shared.config.ports[usize::from(session.port)];
        match Hint::find(text(1)) {
            Some(Hint::Difficulty(wanted)) => {
                session.floor = Some(session.floor.map_or(wanted, |floor| floor.max(wanted)));
                session.difficulty.replace(port.fit(wanted));
            }
            Some(Hint::Rate(rate)) => {
                let wanted = port.difficulty_for(rate, self.shared.config.shares_per_minute);
                session.difficulty.replace(wanted);
            }
            None => {}
        }
        wire::result(self.out.to(key), request.id, "true");
        self.steer_session(key);
        self.first_job(key);
    }

    /// NerdMiner repeats this every 30 s without an id to stay connected: only a new wish counts. One
    /// that changes its mind again within [`WISH_EVERY_MS`] is heard later, by its last word: each change
    /// costs us a job many times the size of what was said.
    fn suggest(&mut self, key: usize, request: &Request<'_>) {
        let wish = match request.values().first() {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let wish = wish.and_then(|wish| Difficulty::new(wish).ok());
        if request.has_id {
            let out = self.out.to(key);
            match wish {
                Some(_) => wire::result(out, request.id, "true"),
                None => wire::error(out, request.id, 20, "a difficulty is a positive number"),
            }
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(wish) = wish
            && session.suggested != Some(wish)
            && self.shared.config.ports[usize::from(session.port)].vardiff
        {
            session.suggested = Some(wish);
            let early = session.ready && self.now.ms < session.next_wish_ms;
            session.waiting_wish = early.then_some(wish);
            if !early {
                session.next_wish_ms = self.now.ms + WISH_EVERY_MS;
                self.change_difficulty(key, wish);
            }
        }
    }
}
