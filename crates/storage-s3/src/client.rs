//! Putting the client together: connections, sockets, retries, credentials.

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential, AwsCredentialProvider},
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody,
        HttpService,
    },
};
use reqwest::{Certificate, redirect};

use crate::{
    Credentials, InvalidOptions, S3Options,
    endpoint::bucket_url,
    refusal,
    sockets::{SocketUse, Sockets},
    store::{Limits, S3Store},
};

/// An idle connection is closed after this long: servers close theirs too, and a request on a closed one must be sent again.
const IDLE: Duration = Duration::from_secs(30);
/// Pauses between attempts: 100 ms, then up to three times the one before, at most a second. Random, so that workers that
/// failed together do not come back together.
const BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(1),
    base: 3.0,
};
const RETRIES: usize = 3;
/// No attempt of an upload begins later than this: its client does not wait long.
const UPLOAD_RETRIES_WITHIN: Duration = Duration::from_secs(10);
/// Reads have another end: the time-out of the operation. A body that breaks off is asked for again also after this many
/// minutes of reading.
const READ_RETRIES_WITHIN: Duration = Duration::from_hours(1);

/// The bucket as an object store.
///
/// Nothing is sent yet: whether the bucket is there shows with the first operation.
pub fn s3_store(options: &S3Options) -> Result<Arc<dyn ObjectStore>, InvalidOptions> {
    s3_store_and_sockets(options).map(|(store, _)| store)
}

/// The same, and a way to see how its sockets are used.
pub fn s3_store_and_sockets(
    options: &S3Options,
) -> Result<(Arc<dyn ObjectStore>, SocketUse), InvalidOptions> {
    options.check()?;
    let sockets = Sockets::new(
        options.max_sockets,
        options.socket_acquisition_warning_timeout,
    );
    let credentials = credentials(options)?;
    let client = |purpose, retries_within| -> Result<AmazonS3, InvalidOptions> {
        let service = Limited {
            connections: connections(options, purpose)?,
            sockets: sockets.clone(),
        };
        configure(AmazonS3Builder::new(), options, retries_within)?
            .with_credentials(Arc::clone(&credentials))
            .with_http_connector(Fixed(HttpClient::new(service)))
            .build()
            .map_err(client_error)
    };
    let store = S3Store::new(
        client(Use::Reads, READ_RETRIES_WITHIN)?,
        client(Use::Uploads, UPLOAD_RETRIES_WITHIN)?,
        options.bucket.as_str().into(),
        Limits {
            request: options.request_timeout,
            upload: options.upload_request_timeout,
        },
    );
    Ok((Arc::new(store), SocketUse::new(sockets)))
}

fn configure(
    builder: AmazonS3Builder,
    options: &S3Options,
    retries_within: Duration,
) -> Result<AmazonS3Builder, InvalidOptions> {
    let url = bucket_url(&options.endpoint, &options.bucket, options.force_path_style)?;
    Ok(builder
        .with_region(&options.region)
        .with_bucket_name(&options.bucket)
        // With this set the endpoint is taken as the bucket's own URL, in whichever style it is.
        .with_virtual_hosted_style_request(true)
        .with_endpoint(url)
        // One request per object: not every server has the bulk form.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            backoff: BACKOFF,
            max_retries: RETRIES,
            retry_timeout: retries_within,
        }))
}

/// Both clients share them, so that they are renewed once. The requests for those that the environment offers take no socket: what
/// waits for credentials has none yet either.
fn credentials(options: &S3Options) -> Result<AwsCredentialProvider, InvalidOptions> {
    match &options.credentials {
        Credentials::Static {
            access_key_id,
            secret_access_key,
        } => Ok(Arc::new(StaticCredentialProvider::new(AwsCredential {
            key_id: access_key_id.clone(),
            secret_key: secret_access_key.clone(),
            token: None,
        }))),
        Credentials::Environment => {
            let connections = HttpClient::new(connections(options, Use::Credentials)?);
            let builder = AmazonS3Builder::from_env().with_s3_express(false);
            let store = configure(builder, options, UPLOAD_RETRIES_WITHIN)?
                .with_http_connector(Fixed(connections))
                .build()
                .map_err(client_error)?;
            Ok(Arc::clone(store.credentials()))
        }
    }
}

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Reads,
    Uploads,
    Credentials,
}

fn connections(options: &S3Options, purpose: Use) -> Result<reqwest::Client, InvalidOptions> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("favonius/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connection_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(options.max_sockets)
        // A connection carries one request at a time; that is what the limit of sockets counts.
        .http1_only()
        // What counts is our configuration, not HTTP_PROXY.
        .no_proxy()
        // A signed request is for one host only; a redirect is a wrong region or endpoint.
        .redirect(redirect::Policy::none());
    builder = match purpose {
        Use::Reads => dead_after(builder, options.connection_timeout),
        // S3 may take its time to take in what it is sent.
        Use::Uploads => dead_after(builder, options.upload_request_timeout),
        Use::Credentials => builder.timeout(options.connection_timeout),
    };
    let certificates = match &options.ca_certificates {
        Some(pem) => certificates(pem)?,
        None => Vec::new(),
    };
    let plain = options.endpoint.trim().starts_with("http://");
    builder = if plain && purpose != Use::Credentials {
        // A machine without any certificates can speak plain HTTP.
        builder.tls_certs_only(certificates)
    } else {
        builder.tls_certs_merge(certificates)
    };
    builder.build().map_err(client_error)
}

/// Closes a connection whose other end does not acknowledge for this long, so that the request is tried on another one. A slow
/// server acknowledges at once, one that vanished never does.
fn dead_after(builder: reqwest::ClientBuilder, limit: Duration) -> reqwest::ClientBuilder {
    let builder = builder
        .tcp_keepalive(limit)
        .tcp_keepalive_interval(limit)
        .tcp_keepalive_retries(1);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(limit);
    builder
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, InvalidOptions> {
    let found =
        Certificate::from_pem_bundle(pem).map_err(|error| InvalidOptions::Certificates {
            cause: Some(error.into()),
        })?;
    if found.is_empty() {
        return Err(InvalidOptions::Certificates { cause: None });
    }
    Ok(found)
}

fn client_error(error: impl Error + Send + Sync + 'static) -> InvalidOptions {
    InvalidOptions::Client(Box::new(error))
}

/// Gives every builder this client.
#[derive(Debug)]
struct Fixed(HttpClient);

impl HttpConnector for Fixed {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Sends one request, each attempt of its own, when a socket is free.
#[derive(Debug)]
struct Limited {
    connections: reqwest::Client,
    sockets: Sockets,
}

#[async_trait]
impl HttpService for Limited {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let spare = is_listing(&request).then(|| self.sockets.spare()).flatten();
        let permit = match spare {
            Some(permit) => permit,
            None => self.sockets.acquire().await?,
        };
        let response = HttpService::call(&self.connections, request).await?;
        let response = refusal::sort(response).await?;
        Ok(response.map(|body| HttpResponseBody::new(self.sockets.hold(body, permit))))
    }
}

fn is_listing(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "list-type=2")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use object_store::{ObjectStoreExt, path::Path};

    use super::*;

    /// Answers everything with an empty object, and remembers what it was asked.
    #[derive(Debug, Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<String>>>);

    #[async_trait]
    impl HttpService for Recorder {
        async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
            let line = format!("{} {}", request.method(), request.uri());
            self.0.lock().unwrap().push(line);
            let mut response = HttpResponse::new(String::new().into());
            for (name, value) in [
                ("etag", "\"1\""),
                ("content-length", "0"),
                ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ] {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            Ok(response)
        }
    }

    #[tokio::test]
    async fn the_bucket_stands_in_the_path_or_before_the_host() {
        let cases = [
            (
                "https://s3.example.com",
                true,
                "https://s3.example.com/my-bucket",
            ),
            (
                "https://s3.example.com/",
                false,
                "https://my-bucket.s3.example.com",
            ),
            (
                "http://s3.test:9000",
                false,
                "http://my-bucket.s3.test:9000",
            ),
            (
                "http://127.0.0.1:9000/",
                true,
                "http://127.0.0.1:9000/my-bucket",
            ),
        ];
        for (endpoint, path_style, expected) in cases {
            let credentials = Credentials::Static {
                access_key_id: "id".into(),
                secret_access_key: "secret".into(),
            };
            let options = S3Options {
                force_path_style: path_style,
                ..S3Options::new(endpoint, "my-bucket", credentials)
            };
            let recorder = Recorder::default();
            let store = configure(AmazonS3Builder::new(), &options, Duration::ZERO)
                .unwrap()
                .with_credentials(super::credentials(&options).unwrap())
                .with_http_connector(Fixed(HttpClient::new(recorder.clone())))
                .build()
                .unwrap();
            let key = Path::from("0a1b.5");
            store.put(&key, "x".into()).await.unwrap();
            store.get(&key).await.unwrap();
            store.delete(&key).await.unwrap();
            let asked = recorder.0.lock().unwrap().clone();
            let expected = ["PUT", "GET", "DELETE"].map(|m| format!("{m} {expected}/0a1b.5"));
            assert_eq!(asked, expected, "{endpoint}, {path_style}");
        }
    }
}
