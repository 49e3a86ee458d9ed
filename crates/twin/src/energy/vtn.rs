//! A grid operator: the part of an OpenADR 3.1 VTN that an end node needs (token, programs, events,
//! VENs, reports), over HTTP. Its calls are made up. It keeps nothing and knows one program.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinSet};
use units::{UnixTime, Watts};

/// Longest request.
const LONGEST: usize = 256 * 1024;
/// Time for a request to come whole.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Reports and VENs kept; the oldest go first.
const MOST_KEPT: usize = 1000;
const TOKEN: &str = "made-up-token";
const PROGRAM: &str = "program-1";

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VtnLogin {
    /// OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

/// What the operator asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// For people.
    pub name: String,
    /// 0 is the most urgent.
    pub priority: u32,
    /// When it begins.
    pub start: UnixTime,
    /// How long it holds.
    pub length: Duration,
    /// Up to how much later each site may begin.
    pub randomize: Duration,
    /// Most power that a site may take meanwhile.
    pub import_limit: Watts,
}

/// A running operator; it ends when dropped.
#[derive(Debug)]
pub struct Vtn {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    events: Vec<Value>,
    vens: Vec<Value>,
    reports: Vec<Value>,
}

impl Vtn {
    /// Listens; port 0 takes a free one.
    pub async fn start(address: SocketAddr, login: VtnLogin) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let book = Arc::new(Mutex::new(Book::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, book.clone(), Arc::new(login)));
        Ok(Self { address, book, _tasks: tasks })
    }

    /// Where it listens; the VTN's address is `http://…/`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls; returns the event's identifier. `now` is when it was called.
    pub fn call(&self, call: &Call, now: UnixTime) -> String {
        let mut book = lock(&self.book);
        let mut event = book.object("event", "EVENT", now);
        event.extend(object(json!({
            "programID": PROGRAM,
            "eventName": call.name,
            "priority": call.priority,
            "intervalPeriod": {
                "start": time(call.start),
                "duration": format!("PT{}S", call.length.as_secs()),
                "randomizeStart": format!("PT{}S", call.randomize.as_secs()),
            },
            "payloadDescriptors": [
                {"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"},
            ],
            "reportDescriptors": [{"payloadType": "USAGE", "units": "KWH"}],
            "intervals": [{
                "id": 0,
                "payloads": [{
                    "type": "IMPORT_CAPACITY_LIMIT",
                    "values": [call.import_limit.kilowatts()],
                }],
            }],
        })));
        let id = text(&event, "id");
        book.events.push(Value::Object(event));
        id
    }

    /// Takes a call back.
    pub fn withdraw(&self, id: &str) {
        lock(&self.book).events.retain(|event| event["id"] != id);
    }

    /// Names of the VENs that registered.
    pub fn vens(&self) -> Vec<String> {
        let book = lock(&self.book);
        book.vens.iter().filter_map(|ven| ven["venName"].as_str().map(str::to_owned)).collect()
    }

    /// Reports as they came, oldest first.
    pub fn reports(&self) -> Vec<Value> {
        lock(&self.book).reports.clone()
    }
}

async fn serve(listener: TcpListener, book: Arc<Mutex<Book>>, login: Arc<VtnLogin>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let (book, login) = (book.clone(), login.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, book.clone(), login.clone()));
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIME * 6);
            // A client that goes away in the middle is no news.
            server.serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    book: Arc<Mutex<Book>>,
    login: Arc<VtnLogin>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let given = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default().to_owned();
    let collected = Limited::new(body, LONGEST).collect();
    let (status, json) = match tokio::time::timeout(REQUEST_TIME, collected).await {
        Ok(Ok(body)) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = UnixTime(now.map_or(0, |now| now.as_secs()));
            let query = head.uri.query().unwrap_or_default();
            let ask = Ask { method: &head.method, path: head.uri.path(), query, given: &given };
            lock(&book).answer(&ask, &body.to_bytes(), &login, now)
        }
        _ => problem(StatusCode::BAD_REQUEST, "the request did not come whole"),
    };
    let mut response = Response::new(Full::from(json.to_string()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

struct Ask<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    given: &'a str,
}

impl Ask<'_> {
    fn query(&self, wanted: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(name, value)| (name == wanted).then_some(value))
    }

    /// The part of a list that was asked for.
    fn page(&self, all: impl Iterator<Item = Value>) -> Value {
        let number = |name| self.query(name).and_then(|text| text.parse().ok());
        all.skip(number("skip").unwrap_or(0)).take(number("limit").unwrap_or(50)).collect()
    }
}

impl Book {
    fn answer(
        &mut self,
        ask: &Ask<'_>,
        body: &[u8],
        login: &VtnLogin,
        now: UnixTime,
    ) -> (StatusCode, Value) {
        if (ask.method, ask.path) == (&Method::POST, "/auth/token") {
            return token(ask, login);
        }
        if ask.given != format!("Bearer {TOKEN}") {
            return problem(StatusCode::UNAUTHORIZED, "ask for a token first");
        }
        let by = |field: &'static str, name: &str| {
            let wanted = ask.query(name).map(str::to_owned);
            move |object: &&Value| wanted.as_ref().is_none_or(|wanted| object[field] == **wanted)
        };
        let found = match (ask.method, ask.path) {
            (&Method::GET, "/programs") => ask.page(std::iter::once(program())),
            (&Method::GET, "/events") => {
                ask.page(self.events.iter().filter(by("programID", "programID")).cloned())
            }
            (&Method::GET, "/vens") => {
                ask.page(self.vens.iter().filter(by("venName", "venName")).cloned())
            }
            (&Method::GET, "/reports") => {
                ask.page(self.reports.iter().filter(by("eventID", "eventID")).cloned())
            }
            (&Method::GET, path) => {
                let id = path.strip_prefix("/events/").unwrap_or_default();
                match self.events.iter().find(|event| event["id"] == id) {
                    Some(event) => event.clone(),
                    None => return problem(StatusCode::NOT_FOUND, "there is no such object"),
                }
            }
            (&Method::POST, "/vens") => {
                let wanted = ["venName"];
                return self.add(body, ("ven", "VEN"), &wanted, login, now, |book| &mut book.vens);
            }
            (&Method::POST, "/reports") => {
                let wanted = ["eventID", "clientName", "resources"];
                let kind = ("report", "REPORT");
                return self.add(body, kind, &wanted, login, now, |book| &mut book.reports);
            }
            _ => return problem(StatusCode::METHOD_NOT_ALLOWED, "this operator does not do that"),
        };
        (StatusCode::OK, found)
    }

    fn add(
        &mut self,
        body: &[u8],
        (prefix, kind): (&str, &str),
        wanted: &[&str],
        login: &VtnLogin,
        now: UnixTime,
        shelf: impl Fn(&mut Self) -> &mut Vec<Value>,
    ) -> (StatusCode, Value) {
        let Ok(Value::Object(given)) = serde_json::from_slice(body) else {
            return problem(StatusCode::BAD_REQUEST, "the body is no JSON object");
        };
        if let Some(missing) = wanted.iter().find(|name| !given.contains_key(**name)) {
            return problem(StatusCode::BAD_REQUEST, &format!("`{missing}` is missing"));
        }
        if let Some(event) = given.get("eventID")
            && !self.events.iter().any(|known| known["id"] == *event)
        {
            return problem(StatusCode::NOT_FOUND, "there is no such event");
        }
        let mut object = self.object(prefix, kind, now);
        object.insert("clientID".into(), login.client_id.as_str().into());
        object.extend(given.into_iter().filter(|(name, _)| name != "objectType"));
        let added = Value::Object(object);
        let shelf = shelf(self);
        if shelf.len() >= MOST_KEPT {
            shelf.remove(0);
        }
        shelf.push(added.clone());
        (StatusCode::CREATED, added)
    }

    fn object(&mut self, prefix: &str, kind: &str, now: UnixTime) -> Map<String, Value> {
        self.next += 1;
        object(json!({
            "id": format!("{prefix}-{}", self.next),
            "createdDateTime": time(now),
            "modificationDateTime": time(now),
            "objectType": kind,
        }))
    }
}

fn token(ask: &Ask<'_>, login: &VtnLogin) -> (StatusCode, Value) {
    let pair = format!("{}:{}", login.client_id, login.client_secret);
    if ask.given == format!("Basic {}", BASE64_STANDARD.encode(pair)) {
        let token = json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600});
        (StatusCode::OK, token)
    } else {
        (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}))
    }
}

fn program() -> Value {
    json!({
        "id": PROGRAM,
        "createdDateTime": time(UnixTime(0)),
        "modificationDateTime": time(UnixTime(0)),
        "objectType": "PROGRAM",
        "programName": "made-up curtailment",
    })
}

fn problem(status: StatusCode, detail: &str) -> (StatusCode, Value) {
    (status, json!({"status": status.as_u16(), "title": status.to_string(), "detail": detail}))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn text(object: &Map<String, Value>, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn time(at: UnixTime) -> String {
    let time = DateTime::from_timestamp(at.0 as i64, 0).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
