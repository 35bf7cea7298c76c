//! How every task learns that the server stops.

use tokio::sync::watch;

/// Returns when `stop` is true or its sender gone.
pub(crate) async fn requested(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: that is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
