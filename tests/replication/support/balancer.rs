//! A load balancer, as there is in front of a region.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Passes TCP connections on to servers in turns. One that does not accept is passed over. It has a thread of its own.
#[derive(Debug)]
pub(crate) struct Balancer {
    address: SocketAddr,
    targets: Targets,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Targets = Arc<Mutex<Vec<SocketAddr>>>;

impl Balancer {
    /// Starts one without any server behind it: until there is one, connections are closed again.
    pub(crate) fn start() -> Self {
        let targets = Targets::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let shared = Arc::clone(&targets);
        let thread = std::thread::Builder::new().name("balancer".to_owned());
        let thread = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: is_ready.recv().unwrap(),
            targets,
            stop: Some(stop),
            thread: Some(thread.unwrap()),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go to these from now on; open ones stay where they are.
    pub(crate) fn to(&self, targets: impl IntoIterator<Item = SocketAddr>) {
        *self.targets.lock().unwrap() = targets.into_iter().collect();
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the balancer panicked"
            );
        }
    }
}

async fn serve(listener: TcpListener, targets: Targets) {
    let mut connections = JoinSet::new();
    for turn in 0_usize.. {
        let client = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted.unwrap().0,
                Some(_) = connections.join_next() => {}
            }
        };
        let mut order = targets.lock().unwrap().clone();
        let first = turn % order.len().max(1);
        order.rotate_left(first);
        connections.spawn(carry(client, order));
    }
}

async fn carry(mut client: TcpStream, targets: Vec<SocketAddr>) {
    for target in targets {
        if let Ok(mut server) = TcpStream::connect(target).await {
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            return;
        }
    }
}
