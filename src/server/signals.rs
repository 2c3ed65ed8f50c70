//! Signals to the process. They are caught from the first moment on; one that comes
//! before anybody waits for it is remembered.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something here; unheard, each would end the process.
#[derive(Debug)]
pub struct Signals {
    pub(super) end: End,
    /// Another configuration is to be read.
    pub(super) hang_up: Signal,
}

/// Signals that end the process.
#[derive(Debug)]
pub(super) struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on. Call it within a runtime.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            end: End {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl End {
    /// Returns once one of them came.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
