//! Free TCP ports that stay ours.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};

/// A port on 127.0.0.1 that no other test gets while this value lives, for a server that is started, stopped and started
/// again on it.
///
/// It is held by a socket that is bound and never listens. Linux lets a server that sets `SO_REUSEADDR` (all of ours do) listen
/// on the same port all the same, but picks the port for nobody who asks for any free one. Elsewhere the port is only known to
/// have been free.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _holder: Option<TcpSocket>,
}

impl ReservedPort {
    /// Reserves a free port.
    pub fn new() -> Self {
        let reserve = || -> io::Result<Self> {
            let socket = reusable_socket(0)?;
            let number = socket.local_addr()?.port();
            Ok(Self {
                number,
                _holder: cfg!(target_os = "linux").then_some(socket),
            })
        };
        reserve().unwrap_or_else(|error| panic!("no free port on 127.0.0.1: {error}"))
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }

    /// Listens on it. A port that its last user has not let go of yet is tried for five seconds.
    pub(crate) async fn listen(number: u16) -> io::Result<TcpListener> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match reusable_socket(number).and_then(|socket| socket.listen(1024)) {
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Default for ReservedPort {
    fn default() -> Self {
        Self::new()
    }
}

fn reusable_socket(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_reserved_port_refuses_until_someone_listens_and_again_afterwards() {
        let port = ReservedPort::new();
        assert!(TcpStream::connect(port.address()).is_err());
        let listener = ReservedPort::listen(port.number()).await.unwrap();
        assert!(TcpStream::connect(port.address()).is_ok());
        drop(listener);
        assert!(TcpStream::connect(port.address()).is_err());
        ReservedPort::listen(port.number()).await.unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn reserved_ports_are_given_to_nobody_else() {
        let reserved: Vec<ReservedPort> = (0..200).map(|_| ReservedPort::new()).collect();
        let numbers: BTreeSet<u16> = reserved.iter().map(ReservedPort::number).collect();
        assert_eq!(numbers.len(), reserved.len());
        for _ in 0..200 {
            let other = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            assert!(!numbers.contains(&other.local_addr().unwrap().port()));
        }
    }
}
