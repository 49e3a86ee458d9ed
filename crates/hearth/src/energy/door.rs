//! What can be told over HTTP: an aggregator's set-points, signs of life, and whether the owner takes part in
//! an operator's event. It decides nothing.

use super::{Operators, Owner, Shared, hold, run::utc};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use grid::{Hub, command::Inbox};
use std::sync::Arc;

#[derive(Clone)]
pub struct Door {
    pub hub: Hub,
    pub inbox: Inbox,
    pub operators: Operators,
    pub owner: Shared<Owner>,
    pub token: Arc<str>,
}

/// Shown with 401.
const WHO: &str = "the token in control.token is needed: Authorization: Bearer …";

impl Door {
    pub fn routes(self) -> Router {
        Router::new()
            .route("/api/v1/energy/set-point", post(set_point))
            .route("/api/v1/energy/alive", post(alive))
            .route("/api/v1/energy/events/{event}/opt-out", post(opt_out))
            .route("/api/v1/energy/events/{event}/opt-in", post(opt_in))
            .with_state(self)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let said = headers.get("authorization").and_then(|value| value.to_str().ok());
        said.and_then(|said| said.strip_prefix("Bearer ")).is_some_and(|said| *said == *self.token)
    }

    fn answer(&self, headers: &HeaderMap, event: &str, takes_part: bool) -> (StatusCode, String) {
        if !self.admits(headers) {
            return (StatusCode::UNAUTHORIZED, WHO.into());
        }
        let (event, signals): (Arc<str>, _) = (event.into(), self.hub.snapshot());
        if !self.operators.answer(&signals, &event, takes_part, utc()) {
            return (StatusCode::NOT_FOUND, format!("no operator shows an event `{event}`"));
        }
        let mut owner = hold(&self.owner);
        // It counts at once, and not only once the operator was asked again.
        let shown = signals.events.values().flat_map(|told| &told.reading.value.0);
        let shown: Vec<&Arc<str>> = shown.map(|event| &event.id).collect();
        owner.refused.retain(|id| shown.contains(&id));
        match takes_part {
            true => owner.refused.remove(&event),
            false => owner.refused.insert(event),
        };
        (StatusCode::OK, String::new())
    }
}

async fn set_point(
    State(door): State<Door>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    if !door.admits(&headers) {
        return (StatusCode::UNAUTHORIZED, WHO.into());
    }
    match door.inbox.accept(&door.hub, &"http".into(), &body) {
        Ok(taken) => (StatusCode::OK, format!("{{\"sequence\":{}}}", taken.sequence)),
        Err(bad) => (StatusCode::BAD_REQUEST, bad.to_string()),
    }
}

async fn alive(State(door): State<Door>, headers: HeaderMap) -> (StatusCode, String) {
    if !door.admits(&headers) {
        return (StatusCode::UNAUTHORIZED, WHO.into());
    }
    door.hub.tell_alive(&"http".into());
    (StatusCode::OK, String::new())
}

async fn opt_out(
    State(door): State<Door>,
    Path(event): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    door.answer(&headers, &event, false)
}

async fn opt_in(
    State(door): State<Door>,
    Path(event): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    door.answer(&headers, &event, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use grid::{
        Quality, Signals,
        event::{Event, Events},
        openadr::Config,
    };
    use std::time::Duration;

    fn shown(id: &str) -> Events {
        Events(vec![Event {
            id: id.into(),
            program: "program".into(),
            name: None,
            priority: None,
            wants_reports: true,
            opted_out: false,
            intervals: Vec::new(),
        }])
    }

    fn operator(name: &str) -> Config {
        Config {
            name: name.into(),
            // Nobody is there.
            url: "http://127.0.0.1:9".into(),
            token_url: None,
            client_id: "site".into(),
            client_secret: "secret".into(),
            ven_name: "site".into(),
            programs: Vec::new(),
            usd_per_unit: 1.0,
            every: Duration::from_secs(3600),
            quality: Quality::Measured,
        }
    }

    #[tokio::test]
    async fn an_owner_takes_part_in_an_event_or_not_and_its_own_operator_is_told() {
        let hub = Hub::new(tokio::time::Instant::now());
        let configs = [operator("one"), operator("other")];
        let (operators, tasks) = Operators::start(&configs, &hub);
        hub.tell_events(&"one".into(), Quality::Measured, shown("a"));
        hub.tell_events(&"other".into(), Quality::Measured, shown("b"));
        let owner: Shared<Owner> = Arc::default();
        let door = Door {
            hub: hub.clone(),
            inbox: Inbox::default(),
            operators: operators.clone(),
            owner: owner.clone(),
            token: "token".into(),
        };
        let mut headers = HeaderMap::new();
        assert_eq!(door.answer(&headers, "b", false).0, StatusCode::UNAUTHORIZED);
        headers.insert("authorization", "Bearer token".parse().unwrap());
        assert_eq!(door.answer(&headers, "c", false).0, StatusCode::NOT_FOUND);
        assert_eq!(door.answer(&headers, "b", false).0, StatusCode::OK);
        assert!(hold(&owner).refused.contains("b"));
        let waiting =
            |signals: &Signals| operators.waiting(signals, "a") + operators.waiting(signals, "b");
        assert_eq!((waiting(&hub.snapshot()), operators.waiting(&hub.snapshot(), "a")), (1, 0));
        assert_eq!(door.answer(&headers, "b", true).0, StatusCode::OK);
        assert!(hold(&owner).refused.is_empty());
        // One that its operator has withdrawn is forgotten.
        door.answer(&headers, "b", false);
        hub.tell_events(&"other".into(), Quality::Measured, shown("d"));
        door.answer(&headers, "a", false);
        assert_eq!(hold(&owner).refused.iter().map(|id| &**id).collect::<Vec<_>>(), ["a"]);
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
