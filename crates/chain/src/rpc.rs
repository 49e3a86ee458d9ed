//! Bitcoin Core's JSON-RPC over HTTP/1.1: one call, one answer, every wait and every answer
//! bounded. Never retries: a caller knows whether a second call is harmless.

use crate::Auth;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    error::Error,
    fmt, fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// No answer of Bitcoin Core comes near: a full template is about 8 MB.
const LARGEST_ANSWER: usize = 64 << 20;
/// Longer than this is no cookie; Bitcoin Core's has 75 characters.
const LARGEST_COOKIE: usize = 4096;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Less than the 30 s after which Bitcoin Core closes a silent connection (`-rpcservertimeout`),
/// so that a call never meets one that is just being closed.
const KEEP_IDLE: Duration = Duration::from_secs(20);

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The node's address cannot be used.
    #[error("\"{url}\" is not the address of a node; write it like \"http://127.0.0.1:8332\"")]
    BadUrl {
        /// As given.
        url: String,
    },
    /// No connection, or it broke.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// The node.
        url: String,
        /// What the system said.
        why: String,
    },
    /// The answer did not come in time.
    #[error("no answer in {seconds} s")]
    Timeout {
        /// How long was waited.
        seconds: u64,
    },
    /// HTTP 401.
    #[error("the node refuses the credentials")]
    WrongCredentials,
    /// There is no cookie to log in with.
    #[error("the cookie file {} cannot be read: {why}", path.display())]
    CookieUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// HTTP 403: our address (`rpcallowip`) or the method (`rpcwhitelist`) is not allowed.
    #[error("the node does not allow this call")]
    Forbidden,
    /// The node's own refusal.
    #[error("{message} (code {code})")]
    Node {
        /// Bitcoin Core's number, `src/rpc/protocol.h`.
        code: i64,
        /// Its words.
        message: String,
    },
    /// An answer that is no JSON-RPC, or not what this call returns.
    #[error("the answer cannot be understood: {0}")]
    Answer(String),
}

impl RpcError {
    /// `RPC_MISC_ERROR`: among others, too many parameters.
    pub(crate) const MISC: i64 = -1;
    /// `RPC_INVALID_ADDRESS_OR_KEY`: among others, a block that the node does not know.
    pub(crate) const NOT_FOUND: i64 = -5;
    /// `RPC_CLIENT_NOT_CONNECTED`: no peers, or shutting down.
    pub(crate) const NOT_CONNECTED: i64 = -9;
    /// `RPC_IN_WARMUP`.
    pub(crate) const IN_WARMUP: i64 = -28;
    /// `RPC_METHOD_NOT_FOUND`.
    pub(crate) const NO_SUCH_METHOD: i64 = -32601;
}

/// A client of one node. Connections are kept open between calls.
pub struct Rpc {
    url: String,
    uri: Uri,
    auth: Auth,
    login: Mutex<Option<HeaderValue>>,
    timeout: Duration,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Rpc {
    /// A client for the node at `url`. Must be used inside a tokio runtime. Does not connect yet.
    ///
    /// # Errors
    /// [`RpcError::BadUrl`].
    pub fn new(url: &str, auth: Auth) -> Result<Self, RpcError> {
        let bad = || RpcError::BadUrl { url: url.into() };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let complete =
            uri.scheme_str() == Some("http") && uri.host().is_some_and(|h| !h.is_empty());
        // A user and password in the address would end up in logs.
        let secret = uri.authority().is_some_and(|a| a.as_str().contains('@'));
        if !complete || secret {
            return Err(bad());
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .build(connector);
        Ok(Self {
            url: url.into(),
            uri,
            auth,
            login: Mutex::new(None),
            timeout: DEFAULT_TIMEOUT,
            client,
        })
    }

    /// Waits at most this long for each answer, instead of 30 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The address it was made with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method and returns its result.
    ///
    /// # Errors
    /// The node cannot be reached, refuses, or answers nonsense.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.ask(method, params, self.timeout).await
    }

    /// As [`Self::call`], with the result read into a type.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
        timeout: Duration,
    ) -> Result<T, RpcError> {
        let answer = self.post(request_body(method, &params), timeout).await?;
        read_result(&answer)
    }

    /// Sends a request as it stands and returns the body of the answer, for [`read_result`].
    pub(crate) async fn post(&self, body: Bytes, timeout: Duration) -> Result<Bytes, RpcError> {
        tokio::time::timeout(timeout, self.exchange(body))
            .await
            .unwrap_or(Err(RpcError::Timeout { seconds: timeout.as_secs() }))
    }

    async fn exchange(&self, body: Bytes) -> Result<Bytes, RpcError> {
        let known = self.known_login();
        let first = match &known {
            Some(login) => Ok(login.clone()),
            None => self.read_login(),
        };
        let answer = self.send(body.clone(), first.as_ref().ok()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return self.finish(answer).await;
        }
        // A restarted node has a new cookie.
        self.forget_login();
        let login = first.and_then(|_| self.read_login())?;
        if known.as_ref() == Some(&login) || known.is_none() {
            return Err(RpcError::WrongCredentials);
        }
        let answer = self.send(body, Some(&login)).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.forget_login();
            return Err(RpcError::WrongCredentials);
        }
        self.finish(answer).await
    }

    async fn send(
        &self,
        body: Bytes,
        login: Option<&HeaderValue>,
    ) -> Result<hyper::Response<Incoming>, RpcError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(login) = login {
            headers.insert(AUTHORIZATION, login.clone());
        }
        self.client.request(request).await.map_err(|error| self.unreachable(&error))
    }

    async fn finish(&self, answer: hyper::Response<Incoming>) -> Result<Bytes, RpcError> {
        let status = answer.status();
        if status == StatusCode::FORBIDDEN {
            return Err(RpcError::Forbidden);
        }
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    RpcError::Answer(format!("it is longer than {} MiB", LARGEST_ANSWER >> 20))
                } else {
                    self.unreachable(error.as_ref())
                }
            })?
            .to_bytes();
        // Refusals come as JSON with 404 or 500; everything else that is no JSON is the server's.
        if body.first() == Some(&b'{') {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        Err(RpcError::Answer(format!("HTTP {status} {}", said.trim())))
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> RpcError {
        let mut innermost = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        RpcError::Unreachable { url: self.url.clone(), why: innermost.to_string() }
    }

    fn known_login(&self) -> Option<HeaderValue> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget_login(&self) {
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn read_login(&self) -> Result<HeaderValue, RpcError> {
        let secret = match &self.auth {
            Auth::UserPass { user, password } => format!("{user}:{password}"),
            Auth::Cookie(path) => {
                let unreadable =
                    |why: String| RpcError::CookieUnreadable { path: path.clone(), why };
                let cookie = fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
                let cookie = cookie.trim();
                if !cookie.contains(':') || cookie.len() > LARGEST_COOKIE {
                    return Err(unreadable("it is not a cookie of Bitcoin Core".into()));
                }
                cookie.to_owned()
            }
        };
        let text = format!("Basic {}", BASE64_STANDARD.encode(secret));
        // Base64 is always a valid header.
        let mut login =
            HeaderValue::from_str(&text).map_err(|error| RpcError::Answer(error.to_string()))?;
        login.set_sensitive(true);
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = Some(login.clone());
        Ok(login)
    }
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc")
            .field("url", &self.url)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// A request as Bitcoin Core's dialect of JSON-RPC 1 wants it.
pub(crate) fn request_body(method: &str, params: &Value) -> Bytes {
    json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": params}).to_string().into()
}

/// The result in the body of an answer, borrowed from it where the type allows.
pub(crate) fn read_result<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, RpcError> {
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
        message: String,
    }
    #[derive(Deserialize)]
    struct Refused {
        error: Option<Refusal>,
    }
    #[derive(Deserialize)]
    struct Answer<T> {
        result: T,
    }
    let nonsense = |error: serde_json::Error| RpcError::Answer(error.to_string());
    // A refusal's result is null, which T may allow: so the short answers are looked at first.
    if body.len() < 4096
        && let Some(refusal) = serde_json::from_slice::<Refused>(body).map_err(nonsense)?.error
    {
        return Err(RpcError::Node { code: refusal.code, message: refusal.message });
    }
    match serde_json::from_slice::<Answer<T>>(body) {
        Ok(answer) => Ok(answer.result),
        Err(error) => match serde_json::from_slice::<Refused>(body) {
            Ok(Refused { error: Some(refusal) }) => {
                Err(RpcError::Node { code: refusal.code, message: refusal.message })
            }
            _ => Err(nonsense(error)),
        },
    }
}
