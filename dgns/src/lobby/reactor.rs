//! The thread that serves the lobby's sockets: one, and it does nothing else.
//!
//! What a relayed message needs is a read and a write. Spread over threads it costs more to wake them than to do it; on one, whoever
//! has something to say writes it, and all that came meanwhile is read at once. What takes longer, such as a hello, is judged elsewhere.

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread; it ends when this is dropped.
pub(super) struct Reactor {
    handle: Handle,
    _alive: oneshot::Sender<()>,
}

impl Reactor {
    /// Starts the thread.
    pub(super) fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime needs epoll");
        let (handle, (alive, gone)) = (runtime.handle().clone(), oneshot::channel());
        let thread = std::thread::Builder::new().name("lobby".to_owned());
        thread.spawn(move || runtime.block_on(gone)).expect("a thread can be started");
        Self { handle, _alive: alive }
    }

    /// Runs a task on the thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }
}
