//! What can be told over HTTP: an aggregator's set-points, signs of life, and whether the owner takes part in
//! an operator's event. It decides nothing.

use super::{Operators, run::utc};
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
        match self.operators.answer(&self.hub, &event.into(), takes_part, utc()) {
            true => (StatusCode::OK, String::new()),
            false => (StatusCode::NOT_FOUND, format!("no operator shows an event `{event}`")),
        }
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
        Quality,
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
        let door = Door {
            hub: hub.clone(),
            inbox: Inbox::default(),
            operators: operators.clone(),
            token: "token".into(),
        };
        let mut headers = HeaderMap::new();
        assert_eq!(door.answer(&headers, "b", false).0, StatusCode::UNAUTHORIZED);
        headers.insert("authorization", "Bearer token".parse().unwrap());
        assert_eq!(door.answer(&headers, "c", false).0, StatusCode::NOT_FOUND);
        assert_eq!(door.answer(&headers, "b", false).0, StatusCode::OK);
        let refused = || -> Vec<Arc<str>> {
            let events = hub.snapshot().events;
            let all = events.values().flat_map(|told| &told.reading.value.0);
            all.filter(|event| event.opted_out).map(|event| event.id.clone()).collect()
        };
        assert_eq!(refused(), [Arc::from("b")]);
        let waiting = |event| operators.waiting(&hub.snapshot(), event);
        assert_eq!((waiting("a"), waiting("b")), (0, 1));
        assert_eq!(door.answer(&headers, "b", true).0, StatusCode::OK);
        assert_eq!(refused(), []);
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
