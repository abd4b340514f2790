//! A thread with a runtime of its own, for servers that live in the test process.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::ports::ReservedPort;

/// Work on its own thread and runtime, so that it goes on whatever the test's own runtime does. Dropping it ends the work, closes
/// its sockets and waits for both.
#[derive(Debug)]
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Background {
    /// Listens on a port of 127.0.0.1, gives the listener to `serve` and runs that until it ends or this value is dropped. Returns
    /// when connections are accepted.
    pub fn listen<F, Work>(name: &str, port: u16, serve: F) -> io::Result<Self>
    where
        F: FnOnce(TcpListener) -> Work + Send + 'static,
        Work: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let work = async move {
                    match ReservedPort::listen(port).await {
                        Ok(listener) => {
                            ready.send(Ok(())).ok();
                            serve(listener).await;
                        }
                        Err(error) => drop(ready.send(Err(error))),
                    }
                };
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let runtime = runtime.expect("a runtime can be built");
                runtime.block_on(async {
                    tokio::select! {
                        () = work => {}
                        // The sender is dropped, never used: both ways to end here mean the same.
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_timeout(Duration::from_secs(2));
            })?;
        let background = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        is_ready
            .recv_timeout(Duration::from_secs(10))
            .map_err(|_| io::Error::other(format!("the {name} does not listen")))??;
        Ok(background)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("a server thread panicked");
        }
    }
}
