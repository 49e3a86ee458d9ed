//! The page, the JSON and the metrics, all of one state tree.
//!
//! This crate owns HTTP and how the state is shown. It never computes or changes a thing: it reads
//! the present [`api::Status`] and renders it, at most once per change. Whoever owns what can be changed
//! brings its own routes and says who may use them.
//!
//! | route | what |
//! |---|---|
//! | `/` | a plain page, kept fresh by a small script |
//! | `/api/v1/status` | the state tree as JSON |
//! | `/metrics` | Prometheus text format 0.0.4 |
//! | `/healthz` | `ok` as long as the program answers |

mod listener;
mod metrics;
mod page;
mod rendered;
mod text;

pub use metrics::MAX_WORKERS as MAX_WORKERS_IN_METRICS;
pub use page::MAX_WORKERS as MAX_WORKERS_ON_PAGE;
pub use rendered::Source;

use axum::{
    Router,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use rendered::Rendered;
use std::io;
use tokio::net::TcpListener;

/// Serves the views, and `more` under the same guards and limits, until `shutdown` resolves; then
/// answers what was asked already, for some seconds, and returns.
///
/// # Errors
/// The listener is of no use any more. A single connection's trouble is not an error.
pub async fn serve(
    listener: TcpListener,
    status: Source,
    more: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener::serve(listener, routes(status, more), shutdown).await
}

fn routes(status: Source, more: Router) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/style.css", get(|| fixed("text/css; charset=utf-8", page::STYLE)))
        .route("/refresh.js", get(|| fixed("text/javascript; charset=utf-8", page::SCRIPT)))
        .route("/icon.svg", get(|| fixed("image/svg+xml", page::ICON)))
        .route("/api/v1/status", get(json))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| fixed(PLAIN, "ok\n")))
        .with_state(Views {
            page: Rendered::new(status.clone(), |status| page::render(status).into_string()),
            json: Rendered::new(status.clone(), |status| {
                serde_json::to_string(status).unwrap_or_else(|error| {
                    tracing::error!("the status cannot be written as JSON: {error}");
                    "null".into()
                })
            }),
            metrics: Rendered::new(status, metrics::render),
        })
        .merge(more)
        .fallback(|| not_here(StatusCode::NOT_FOUND, NOT_FOUND))
        .method_not_allowed_fallback(|| not_here(StatusCode::METHOD_NOT_ALLOWED, ONLY_GET))
        .layer(map_response(guarded))
}

#[derive(Clone)]
struct Views {
    page: Rendered,
    json: Rendered,
    metrics: Rendered,
}

const PLAIN: &str = "text/plain; charset=utf-8";
const NOT_FOUND: &str = "There is nothing here. Try /, /api/v1/status, /metrics or /healthz.\n";
const ONLY_GET: &str = "This is not done here; what there is to see is read with GET.\n";

async fn page(State(views): State<Views>) -> Response {
    views.page.response("text/html; charset=utf-8").await
}

async fn json(State(views): State<Views>) -> Response {
    views.json.response("application/json").await
}

async fn metrics(State(views): State<Views>) -> Response {
    views.metrics.response("text/plain; version=0.0.4; charset=utf-8").await
}

async fn fixed(kind: &'static str, content: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], content).into_response()
}

async fn not_here(status: StatusCode, said: &'static str) -> Response {
    (status, [(CONTENT_TYPE, PLAIN)], said).into_response()
}

/// Nothing from elsewhere is loaded, framed or guessed, whatever a miner's name tries.
async fn guarded(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
        img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'";
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
