//! stub
/// x
pub async fn serve(
    _l: tokio::net::TcpListener,
    _s: tokio::sync::watch::Receiver<std::sync::Arc<api::Status>>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    stop.await;
    Ok(())
}
