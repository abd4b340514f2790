//! The socket that connections come in by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::ServerError;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1024;

/// Which addresses of the machine to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bind {
    /// All of them, IPv6 and IPv4; where there is no IPv6, all of IPv4.
    #[default]
    DualStack,
    /// This one.
    Address(IpAddr),
}

/// A bound socket. Port 0 binds any free port; [`Listener::address`] tells which.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds. Must be called inside a Tokio runtime.
    pub fn bind(bind: Bind, port: u16) -> Result<Self, ServerError> {
        let any = |ip| SocketAddr::new(ip, port);
        match bind {
            Bind::Address(ip) => Self::open(any(ip), false),
            Bind::DualStack => {
                Self::open(any(Ipv6Addr::UNSPECIFIED.into()), true).or_else(|error| match error {
                    ServerError::Bind { cause, .. }
                        if cause.kind() == std::io::ErrorKind::AddrInUse =>
                    {
                        Err(ServerError::Bind {
                            address: any(Ipv6Addr::UNSPECIFIED.into()).to_string(),
                            cause,
                        })
                    }
                    _ => Self::open(any(Ipv4Addr::UNSPECIFIED.into()), false),
                })
            }
        }
    }

    fn open(address: SocketAddr, dual_stack: bool) -> Result<Self, ServerError> {
        let open = || {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            if dual_stack {
                socket.set_only_v6(false)?;
            }
            // A worker that was just stopped leaves its connections behind for a minute.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let listener = TcpListener::from_std(socket.into())?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        open().map_err(|cause| ServerError::Bind {
            address: address.to_string(),
            cause,
        })
    }

    /// What was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn accept(&self) -> std::io::Result<TcpStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}
