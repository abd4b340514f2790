//! Making connections.

use std::{fmt, path::Path, pin::Pin, sync::Arc, time::Duration};

use futures::future::select_ok;
use redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisResult,
    aio::{AsyncPushSender, MultiplexedConnection},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{Endpoint, InvalidOptions, RedisOptions, error::timed_out};

/// Told what a server tells without being asked.
pub(crate) type Listener = Arc<dyn AsyncPushSender>;

/// A connection that is ready for commands. Dropping it closes it.
pub(crate) struct Link {
    /// Takes commands.
    pub(crate) connection: MultiplexedConnection,
    driver: AbortOnDropHandle<()>,
}

impl Link {
    /// Whether the connection is known to be lost.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Waits until the connection is lost.
    pub(crate) async fn closed(&mut self) {
        // It ends when the connection does; that it was stopped from outside is the same to us.
        drop((&mut self.driver).await);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// As whom to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// As configured, to the configured database.
    Records,
    /// As configured; a Sentinel has no databases.
    Sentinel,
    /// As nobody: Sentinels often ask for nothing, and refuse who names a user that they do not know.
    Nobody,
}

/// Makes connections.
pub(crate) struct Dialer {
    login: RedisConnectionInfo,
    tls: Option<TlsConnector>,
    limit: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("tls", &self.tls.is_some())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// The tasks that drive connections are tracked; they end when the connection is dropped, or with `stop`.
    pub(crate) fn new(
        options: &RedisOptions,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, InvalidOptions> {
        let tls = options.tls.as_ref();
        let mut login = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(options.db.into())
            .set_lib_name("favonius", env!("CARGO_PKG_VERSION"));
        if let Some(password) = &options.password {
            login = login.set_password(password.expose());
            if let Some(username) = &options.username {
                login = login.set_username(username);
            }
        }
        Ok(Self {
            login,
            tls: tls
                .map(|tls| tls_connector(tls.ca_file.as_deref()))
                .transpose()?,
            limit: options.connect_timeout,
            tasks,
            stop,
        })
    }

    /// Connects and logs in.
    pub(crate) async fn dial(
        &self,
        to: &Endpoint,
        login: Login,
        listener: Option<Listener>,
    ) -> RedisResult<Link> {
        let login = match login {
            Login::Records => self.login.clone(),
            Login::Sentinel => self.login.clone().set_db(0),
            Login::Nobody => RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3),
        };
        let connect = async {
            let stream = connect_tcp(to).await?;
            match &self.tls {
                None => self.start(stream, &login, listener).await,
                Some(tls) => {
                    let name = ServerName::try_from(to.host.clone()).map_err(|error| {
                        std::io::Error::new(std::io::ErrorKind::InvalidInput, error)
                    })?;
                    let stream = Box::new(tls.connect(name, stream).await?);
                    self.start(stream, &login, listener).await
                }
            }
        };
        timeout(self.limit, connect)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    async fn start(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        login: &RedisConnectionInfo,
        listener: Option<Listener>,
    ) -> RedisResult<Link> {
        // Whoever calls has a deadline of its own.
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None);
        if let Some(listener) = listener {
            config = config.set_push_sender(listener);
        }
        let (connection, driver) =
            MultiplexedConnection::new_with_config(login, stream, config).await?;
        let driver: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(driver);
        let stop = self.stop.clone();
        let driver = self.tasks.spawn(async move {
            tokio::select! {
                () = driver => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Link {
            connection,
            driver: AbortOnDropHandle::new(driver),
        })
    }
}

/// To the first address that answers.
async fn connect_tcp(to: &Endpoint) -> RedisResult<TcpStream> {
    let addresses = lookup_host((to.host.as_str(), to.port)).await?;
    let attempts: Vec<_> = addresses
        .map(|address| Box::pin(TcpStream::connect(address)))
        .collect();
    if attempts.is_empty() {
        let nowhere = std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address");
        return Err(nowhere.into());
    }
    let (stream, _) = select_ok(attempts).await?;
    // Commands are small and wait for their answer.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// With the authorities of the file, else those of the system.
fn tls_connector(ca_file: Option<&Path>) -> Result<TlsConnector, InvalidOptions> {
    let roots = ca_file.map_or_else(authorities_of_the_system, |file| {
        authorities_in(file).map_err(|cause| InvalidOptions::Authorities {
            file: file.into(),
            cause,
        })
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the ciphers of the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn authorities_in(file: &Path) -> Result<RootCertStore, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".into());
    }
    Ok(roots)
}

fn authorities_of_the_system() -> Result<RootCertStore, InvalidOptions> {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "Could not read certificates of the system"
        );
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(InvalidOptions::NoAuthorities);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_usable_certificates_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            ("absent", None),
            ("empty", Some("")),
            ("no PEM", Some("certificate")),
            (
                "no certificate",
                Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ),
        ];
        for (case, content) in cases {
            let file = dir.path().join(case);
            if let Some(content) = content {
                std::fs::write(&file, content).unwrap();
            }
            let error = tls_connector(Some(&file)).map(drop).unwrap_err();
            assert!(error.to_string().contains(case), "case `{case}`: {error}");
        }
    }
}
