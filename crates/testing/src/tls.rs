//! A certificate authority for tests.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A private certificate authority that lives as long as the test.
#[derive(Debug)]
pub struct TestCa {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key (PKCS#8).
    pub key_pem: String,
}

impl TestCa {
    /// A new authority that nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params
            .self_signed(&key)
            .expect("these parameters are valid");
        Self {
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// The authority's certificate: what a `*_CA_FILE` setting names.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Makes a server certificate for names and IP addresses, valid for ever.
    pub fn issue(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names and addresses are valid");
        params
            .distinguished_name
            .push(DnType::CommonName, "Test server");
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the issuer can sign");
        Identity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Writes `ca.pem`, and `server.pem` and `server.key` for `localhost` and 127.0.0.1.
    pub(crate) fn write_files(&self, dir: &Path) {
        let identity = self.issue(&["localhost", "127.0.0.1"]);
        let files = [
            ("ca.pem", &self.certificate_pem),
            ("server.pem", &identity.certificate_pem),
            ("server.key", &identity.key_pem),
        ];
        for (name, content) in files {
            fs::write(dir.join(name), content)
                .unwrap_or_else(|error| panic!("could not write {name}: {error}"));
        }
    }

    /// The configuration of a client that trusts only this authority.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        roots
            .add(certificate.expect("we made it"))
            .expect("we made it");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    /// The configuration of a server that shows this certificate.
    pub(crate) fn server_config(&self) -> ServerConfig {
        let chain = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .expect("we made it");
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("we made it");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("certificate and key belong together")
    }
}
