//! TLS in the worker itself, for installations without an ingress that does it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::ServerError;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where certificate and key are, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, followed by the chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Takes TLS connections. Clones share the certificate.
#[derive(Clone)]
pub(super) struct Acceptor {
    tls: TlsAcceptor,
    current: Arc<Current>,
    files: TlsFiles,
}

struct Current {
    key: RwLock<Arc<CertifiedKey>>,
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acceptor").field(&self.files).finish()
    }
}

impl Acceptor {
    pub(super) fn load(files: TlsFiles) -> Result<Self, ServerError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = read(&files, &provider)?;
        let current = Arc::new(Current {
            key: RwLock::new(Arc::new(key)),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| problem(&files.certificate, error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsAcceptor::from(Arc::new(config)),
            current,
            files,
        })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.tls.accept(stream).await
    }

    /// Tells when the certificate in use expires, in seconds since 1970, as long as there is an acceptor.
    pub(super) fn not_after(&self) -> impl Fn() -> Option<u64> + Send + Sync + 'static + use<> {
        let current = Arc::downgrade(&self.current);
        move || {
            let key = current.upgrade()?.get();
            let (_, certificate) = X509Certificate::from_der(key.end_entity_cert().ok()?).ok()?;
            u64::try_from(certificate.validity().not_after.timestamp()).ok()
        }
    }

    /// Reads the files again whenever they change. What cannot be used is logged, and the certificate stays.
    pub(super) fn follow(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let Self { current, files, .. } = self.clone();
        async move {
            let mut seen = changed_at(&files).await;
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let now = changed_at(&files).await;
                if now == seen {
                    continue;
                }
                let reading = files.clone();
                let read = tokio::task::spawn_blocking(move || {
                    read(&reading, &aws_lc_rs::default_provider())
                });
                match read.await {
                    Ok(Ok(key)) => {
                        *current.key.write().unwrap_or_else(PoisonError::into_inner) =
                            Arc::new(key);
                        seen = now;
                        tracing::info!("The certificate was read again");
                    }
                    Ok(Err(error)) => tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "The changed certificate cannot be used; the one before stays"
                    ),
                    Err(_) => return,
                }
            }
        }
    }
}

/// When the files changed last. Kubernetes swaps the link that leads to both, so the target's time is what counts.
async fn changed_at(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    let time = async |path: &Path| {
        tokio::fs::metadata(path)
            .await
            .and_then(|meta| meta.modified())
            .ok()
    };
    [time(&files.certificate).await, time(&files.key).await]
}

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, ServerError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| problem(&files.certificate, error))?;
    if chain.is_empty() {
        return Err(problem(&files.certificate, "it holds no certificate"));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| problem(&files.key, error))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| problem(&files.key, error))
}

fn problem(file: &Path, problem: impl fmt::Display) -> ServerError {
    ServerError::Tls {
        file: file.display().to_string(),
        problem: problem.to_string(),
    }
}
