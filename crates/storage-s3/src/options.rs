//! How the bucket is reached.

use std::{error::Error, fmt, time::Duration};

/// Where the bucket is and how to speak to it.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// URL of the service, `http` or `https`, without the bucket.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Whether the bucket stands in the path (`https://host/bucket/key`); else it is put before the host
    /// (`https://bucket.host/key`).
    pub force_path_style: bool,
    /// Longest time to establish a connection.
    pub connection_timeout: Duration,
    /// Longest time for an operation that is no upload, to the head of its answer, and for each piece of the body.
    pub request_timeout: Duration,
    /// Longest time for an upload, or for one part of it.
    pub upload_request_timeout: Duration,
    /// Most requests in flight.
    pub max_sockets: usize,
    /// A request that has waited this long for others to end is worth a warning.
    pub socket_acquisition_warning_timeout: Duration,
    /// Certificates of private authorities (PEM), trusted besides those of the system.
    pub ca_certificates: Option<Vec<u8>>,
}

impl S3Options {
    /// The defaults: region `us-east-1`, path style, 5 s to connect, 30 s for a request, 60 s for an upload, 200 sockets and a
    /// warning after 35 s.
    pub fn new(
        endpoint: impl Into<String>,
        bucket: impl Into<String>,
        credentials: Credentials,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            region: "us-east-1".into(),
            bucket: bucket.into(),
            credentials,
            force_path_style: true,
            connection_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            upload_request_timeout: Duration::from_mins(1),
            max_sockets: 200,
            socket_acquisition_warning_timeout: Duration::from_secs(35),
            ca_certificates: None,
        }
    }

    /// What cannot be, whatever the server.
    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        let limits = [
            ("connection time-out", self.connection_timeout),
            ("request time-out", self.request_timeout),
            ("upload request time-out", self.upload_request_timeout),
        ];
        for (which, limit) in limits {
            if limit.is_zero() {
                return Err(InvalidOptions::Zero { which });
            }
        }
        if self.max_sockets == 0 {
            return Err(InvalidOptions::Zero {
                which: "number of sockets",
            });
        }
        Ok(())
    }
}

/// Who we are to the service.
#[derive(Clone)]
pub enum Credentials {
    /// One key.
    Static {
        /// Its name.
        access_key_id: String,
        /// Its secret.
        secret_access_key: String,
    },
    /// What the process' environment offers, in this order: `AWS_ACCESS_KEY_ID`, a web identity (`AWS_WEB_IDENTITY_TOKEN_FILE`), the
    /// container's or the pod's (`AWS_CONTAINER_CREDENTIALS_*`), the instance's. They are renewed before they expire.
    Environment,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static { access_key_id, .. } => f
                .debug_struct("Static")
                .field("access_key_id", access_key_id)
                .field("secret_access_key", &"***")
                .finish(),
            Self::Environment => f.write_str("Environment"),
        }
    }
}

/// The options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// The endpoint is not the URL of a service. Its text is left out: it may hold a password.
    #[error(
        "the S3 endpoint {why}; it is the URL of the service without the bucket, such as https://s3.example.com"
    )]
    Endpoint {
        /// What is wrong with it.
        why: String,
    },
    /// No service has a bucket of this name.
    #[error("the S3 bucket name {bucket:?} {why}")]
    Bucket {
        /// The name.
        bucket: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A limit of nothing would let nothing happen.
    #[error("the S3 {which} is 0: it must be more")]
    Zero {
        /// Which one.
        which: &'static str,
    },
    /// The certificate bundle cannot be read.
    #[error("the S3 certificate bundle is not one or more certificates in PEM form")]
    Certificates {
        /// Why, when it says more than that it is empty.
        #[source]
        cause: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The client could not be made.
    #[error("could not set up the S3 client")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_shown() {
        let credentials = Credentials::Static {
            access_key_id: "the-id".into(),
            secret_access_key: "hidden".into(),
        };
        let shown = format!("{:?}", S3Options::new("http://s3", "b", credentials));
        assert!(
            shown.contains("the-id") && !shown.contains("hidden"),
            "{shown}"
        );
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        type Change = fn(&mut S3Options);
        let cases: [(&str, Change); 4] = [
            ("connection time-out", |o| {
                o.connection_timeout = Duration::ZERO;
            }),
            ("request time-out", |o| o.request_timeout = Duration::ZERO),
            ("upload request time-out", |o| {
                o.upload_request_timeout = Duration::ZERO;
            }),
            ("number of sockets", |o| o.max_sockets = 0),
        ];
        let good = S3Options::new("http://s3", "b", Credentials::Environment);
        assert!(good.check().is_ok());
        for (which, change) in cases {
            let mut options = good.clone();
            change(&mut options);
            let error = options.check().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("the S3 {which} is 0: it must be more"),
                "{which}"
            );
        }
    }
}
