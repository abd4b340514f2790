//! The object store: `object_store`'s S3 client with time limits, spans and sorted errors.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
    aws::AmazonS3,
    coalesce_ranges,
    list::{PaginatedListOptions, PaginatedListStore},
    path::{DELIMITER, Path},
};
use tracing::{Instrument, Span};

use crate::{
    pace::{Paced, within},
    refusal::translate,
    upload::S3Upload,
};

/// How errors name this store.
pub(crate) const NAME: &str = "S3";
/// Deletions at once.
const DELETIONS_AT_ONCE: usize = 20;

/// Longest times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) request: Duration,
    pub(crate) upload: Duration,
}

/// A bucket. Clones share everything.
#[derive(Clone)]
pub(crate) struct S3Store {
    reads: AmazonS3,
    uploads: AmazonS3,
    bucket: Arc<str>,
    pub(crate) limits: Limits,
}

/// The span of an operation, named for people, with what the conventions for AWS calls ask for.
macro_rules! operation {
    ($store:expr, $name:literal, $method:literal, $key:expr) => {
        tracing::debug_span!(
            $name,
            otel.kind = "client",
            rpc.system = "aws-api",
            rpc.service = "S3",
            rpc.method = $method,
            aws.s3.bucket = %$store.bucket(),
            aws.s3.key = %$key,
            "error.type" = tracing::field::Empty,
        )
    };
}
pub(crate) use operation;

impl S3Store {
    pub(crate) fn new(
        reads: AmazonS3,
        uploads: AmazonS3,
        bucket: Arc<str>,
        limits: Limits,
    ) -> Self {
        Self {
            reads,
            uploads,
            bucket,
            limits,
        }
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Does this call in the span, within the limit.
    pub(crate) async fn run<T>(
        span: Span,
        limit: Duration,
        path: &Path,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let outcome = within(limit, call).instrument(span.clone()).await;
        outcome.map_err(|error| {
            let error = translate(error, path);
            // That an object is not there is an answer.
            if !matches!(error, Error::NotFound { .. }) {
                span.record("error.type", kind(&error));
            }
            error
        })
    }

    fn paced<T: Send + 'static>(
        &self,
        items: BoxStream<'static, Result<T>>,
        path: Path,
        span: Span,
    ) -> BoxStream<'static, Result<T>> {
        let items = Paced::new(items, self.limits.request, span);
        items.map_err(move |error| translate(error, &path)).boxed()
    }
}

/// A fixed name for the kind of an error.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => "denied",
        Error::Precondition { .. } | Error::AlreadyExists { .. } => "precondition",
        Error::NotImplemented { .. } | Error::NotSupported { .. } => "unsupported",
        Error::Generic { .. } => "unavailable",
        _ => "other",
    }
}

impl fmt::Display for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3({})", self.bucket)
    }
}

/// Short: what it is made of holds credentials.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("bucket", &self.bucket)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for S3Store {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let span = operation!(self, "s3 put", "PutObject", location);
        let call = self.uploads.put_opts(location, payload, opts);
        Self::run(span, self.limits.upload, location, call).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let span = operation!(self, "s3 begin upload", "CreateMultipartUpload", location);
        let call = self.uploads.put_multipart_opts(location, opts);
        let upload = Self::run(span, self.limits.request, location, call).await?;
        Ok(Box::new(S3Upload::new(
            upload,
            self.clone(),
            location.clone(),
        )))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let span = if options.head {
            operation!(self, "s3 head", "HeadObject", location)
        } else {
            operation!(self, "s3 get", "GetObject", location)
        };
        let call = self.reads.get_opts(location, options);
        let mut found = Self::run(span, self.limits.request, location, call).await?;
        if let GetResultPayload::Stream(bytes) = found.payload {
            let bytes = self.paced(bytes, location.clone(), Span::none());
            found.payload = GetResultPayload::Stream(bytes);
        }
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fetch = |range| self.get_range(location, range);
        coalesce_ranges(ranges, fetch, OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .map(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    let span = operation!(store, "s3 delete", "DeleteObject", location);
                    let call = store.reads.delete(&location);
                    Self::run(span, store.limits.request, &location, call).await?;
                    Ok(location)
                }
            })
            .buffered(DELETIONS_AT_ONCE)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let key = prefix.cloned().unwrap_or_default();
        let span = operation!(self, "s3 list", "ListObjectsV2", key);
        self.paced(self.reads.list(prefix), key, span)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let key = prefix.cloned().unwrap_or_default();
        let span = operation!(self, "s3 list", "ListObjectsV2", key);
        let listed = self.reads.list_with_offset(prefix, offset);
        self.paced(listed, key, span)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let key = prefix.cloned().unwrap_or_default();
        let begin = (!key.as_ref().is_empty()).then(|| format!("{key}{DELIMITER}"));
        let mut whole = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
            extensions: object_store::Extensions::new(),
        };
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions {
                delimiter: Some(DELIMITER.into()),
                page_token,
                ..PaginatedListOptions::default()
            };
            let span = operation!(self, "s3 list", "ListObjectsV2", key);
            let call = self.reads.list_paginated(begin.as_deref(), options);
            let page = Self::run(span, self.limits.request, &key, call).await?;
            whole.common_prefixes.extend(page.result.common_prefixes);
            whole.objects.extend(page.result.objects);
            page_token = page.page_token.filter(|token| !token.is_empty());
            if page_token.is_none() {
                return Ok(whole);
            }
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let span = operation!(self, "s3 copy", "CopyObject", to);
        let call = self.uploads.copy_opts(from, to, options);
        Self::run(span, self.limits.upload, from, call).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let span = operation!(self, "s3 rename", "CopyObject", to);
        let call = self.uploads.rename_opts(from, to, options);
        Self::run(span, self.limits.upload, from, call).await
    }
}
