//! The bucket that assets are kept in.

use std::{path::PathBuf, time::Duration};

use crate::{
    keys,
    parse::{boolean, choice, millis, pem, size, word},
    reader::{Checked, Reader},
    secret::Secret,
    service_url::ServiceUrl,
    settings::header_secret,
};

/// More sockets than a process has ports for to one peer.
const MAX_SOCKETS_LIMIT: u64 = 65_535;

/// The bucket that assets are kept in, and how it is spoken to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct S3Settings {
    /// The service.
    pub endpoint: ServiceUrl,
    /// The bucket.
    pub bucket: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Who signs.
    pub credentials: S3Credentials,
    /// Whether the bucket is in the path, not in the hostname.
    pub force_path_style: bool,
    /// PEM bundle of the authorities to trust, else those of the system.
    pub ca_file: Option<PathBuf>,
    /// Longest time to establish a connection.
    pub connect_timeout: Duration,
    /// Longest time for a request other than an upload.
    pub request_timeout: Duration,
    /// Longest time for an upload.
    pub upload_timeout: Duration,
    /// Most requests under way at once, at least 1.
    pub max_sockets: usize,
    /// Queueing this long for a socket is worth a warning.
    pub socket_wait_warning: Duration,
}

/// Who signs requests.
#[derive(Clone, Debug)]
pub enum S3Credentials {
    /// The keys of the configuration.
    Static {
        /// Access key id.
        access_key_id: Secret,
        /// Secret key.
        secret_access_key: Secret,
    },
    /// What the platform gives: web identity, container or instance credentials.
    Environment,
}

#[derive(Clone, Copy)]
enum Kind {
    Static,
    Environment,
}

impl S3Settings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let endpoint = reader.required(keys::S3_ENDPOINT, ServiceUrl::parse_without_credentials);
        // Names of buckets that are older than the rule of 63 characters may have 255.
        let bucket = reader.required(keys::S3_BUCKET, word(".-_", 3..=255));
        let credentials = S3Credentials::read(reader);
        let region = reader.value(keys::S3_REGION, word("-_", 1..=64));
        let force_path_style = reader.value(keys::S3_FORCE_PATH_STYLE, boolean);
        let ca_file = reader.optional(keys::S3_CA_FILE, pem("CERTIFICATE"));
        let connect_timeout = reader.value(keys::S3_CONNECTION_TIMEOUT_MS, millis(1));
        let request_timeout = reader.value(keys::S3_REQUEST_TIMEOUT_MS, millis(1));
        let upload_timeout = reader.value(keys::S3_UPLOAD_REQUEST_TIMEOUT_MS, millis(1));
        let max_sockets = reader.value(keys::S3_MAX_SOCKETS, size(1..=MAX_SOCKETS_LIMIT));
        let socket_wait_warning = reader.value(keys::S3_SOCKET_WARNING_TIMEOUT_MS, millis(1));
        let this = Self {
            endpoint: endpoint?,
            bucket: bucket?,
            region: region?,
            credentials: credentials?,
            force_path_style: force_path_style?,
            ca_file: ca_file?,
            connect_timeout: connect_timeout?,
            request_timeout: request_timeout?,
            upload_timeout: upload_timeout?,
            max_sockets: max_sockets?,
            socket_wait_warning: socket_wait_warning?,
        };
        if this.ca_file.is_some() && this.endpoint.url().scheme() == "http" {
            reader.warn(
                keys::S3_CA_FILE,
                "has no effect: ZE_WORKER_S3_ENDPOINT is not https",
            );
        }
        Ok(this)
    }
}

impl S3Credentials {
    fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let kinds = [("static", Kind::Static), ("environment", Kind::Environment)];
        match reader.value(keys::S3_CREDENTIALS, choice(&kinds)) {
            Ok(Kind::Static) => Self::read_static(reader),
            Ok(Kind::Environment) => {
                for key in [keys::S3_ACCESS_KEY_ID, keys::S3_SECRET_ACCESS_KEY] {
                    if reader.is_set(key) {
                        let message = "has no effect: ZE_WORKER_S3_CREDENTIALS is environment";
                        reader.warn(key, message);
                    }
                }
                Ok(Self::Environment)
            }
            Err(noted) => reader.check_only(noted, Self::read_static).and(Err(noted)),
        }
    }

    fn read_static(reader: &mut Reader<'_>) -> Checked<Self> {
        let access_key_id = reader.required(keys::S3_ACCESS_KEY_ID, header_secret);
        let secret_access_key = reader.required(keys::S3_SECRET_ACCESS_KEY, header_secret);
        Ok(Self::Static {
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
        })
    }
}
