//! One view of the state, rendered at most once per change however many ask for it.

use api::Status;
use axum::{
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use std::{pin::Pin, sync::Arc};
use tokio::sync::Mutex;

type Asked = Pin<Box<dyn Future<Output = Arc<Status>> + Send>>;

/// Where the state comes from: asked for each view, so that none is made while nobody looks. The same [`Arc`] again
/// means that nothing changed.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn() -> Asked + Send + Sync>);

impl Source {
    /// From what gives the state now.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Arc<Status>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    async fn now(&self) -> Arc<Status> {
        (self.0)().await
    }
}

/// What was rendered, and of which state.
type Kept = (Arc<Status>, Bytes);

#[derive(Clone)]
pub(crate) struct Rendered {
    status: Source,
    render: fn(&Status) -> String,
    last: Arc<Mutex<Option<Kept>>>,
}

impl Rendered {
    pub fn new(status: Source, render: fn(&Status) -> String) -> Self {
        Self { status, render, last: Arc::default() }
    }

    pub async fn response(&self, kind: &'static str) -> Response {
        match self.bytes().await {
            Some(bytes) => ([(CONTENT_TYPE, kind)], bytes).into_response(),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    async fn bytes(&self) -> Option<Bytes> {
        let mut last = self.last.lock().await;
        let status = self.status.now().await;
        if let Some((of, bytes)) = &*last
            && Arc::ptr_eq(of, &status)
        {
            return Some(bytes.clone());
        }
        let (render, of) = (self.render, status.clone());
        // 100,000 workers are megabytes: not on a thread that others wait for.
        let text = tokio::task::spawn_blocking(move || render(&of)).await;
        let bytes = Bytes::from(
            text.inspect_err(|error| tracing::error!("the state cannot be shown: {error}")).ok()?,
        );
        *last = Some((status, bytes.clone()));
        Some(bytes)
    }
}
