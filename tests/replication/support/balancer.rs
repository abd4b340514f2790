//! A load balancer, as there is in front of a region.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use favonius_testing::{Background, ReservedPort};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes TCP connections on to servers in turns. One that does not accept is passed over. It has a thread of its own.
#[derive(Debug)]
pub(crate) struct Balancer {
    port: ReservedPort,
    targets: Targets,
    _serving: Background,
}

type Targets = Arc<Mutex<Vec<SocketAddr>>>;

impl Balancer {
    /// Starts one without any server behind it: until there is one, connections are closed again.
    pub(crate) fn start() -> Self {
        let port = ReservedPort::new();
        let targets = Targets::default();
        let shared = Arc::clone(&targets);
        let serving = Background::listen("balancer", port.number(), move |listener| {
            serve(listener, shared)
        });
        Self {
            port,
            targets,
            _serving: serving.unwrap(),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// New connections go to these from now on; open ones stay where they are.
    pub(crate) fn to(&self, targets: impl IntoIterator<Item = SocketAddr>) {
        *self.targets.lock().unwrap() = targets.into_iter().collect();
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
