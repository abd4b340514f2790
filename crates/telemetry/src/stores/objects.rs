//! An object store whose operations are measured.

use std::{fmt, ops::Range, sync::Arc, task::Poll};

use async_trait::async_trait;
use bytes::Bytes;
use favonius_storage::object_error_kind;
use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart, path::Path,
};

use super::Meter;
use crate::instruments::{Operation, Outcome};

#[derive(Debug)]
pub(super) struct MeasuredObjects {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) meter: Meter,
}

fn outcome<T>(result: &Result<T>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(Error::NotFound { .. }) => Outcome::Absent,
        // That a condition does not hold, of a write or of a read, is an answer.
        Err(
            Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. },
        ) => Outcome::Conflict,
        Err(error) => object_error_kind(error).into(),
    }
}

impl MeasuredObjects {
    async fn measure<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.meter.measure(operation, work, outcome).await
    }

    /// Measures until the first item is there, or the end if there is none.
    fn first<T: 'static>(
        &self,
        operation: Operation,
        items: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let meter = self.meter.clone();
        let mut items = items;
        let mut pending = None;
        let mut told = false;
        futures::stream::poll_fn(move |cx| {
            if !told && pending.is_none() {
                pending = Some(meter.begin(operation));
            }
            let item = items.poll_next_unpin(cx);
            if let Poll::Ready(item) = &item
                && let Some(pending) = pending.take()
            {
                told = true;
                pending.end(item.as_ref().map_or(Outcome::Ok, outcome));
            }
            item
        })
        .boxed()
    }
}

impl fmt::Display for MeasuredObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for MeasuredObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let work = self.inner.put_opts(location, payload, opts);
        self.measure(Operation::Put, work).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let work = self.inner.put_multipart_opts(location, opts);
        let upload = self.measure(Operation::CreateUpload, work).await?;
        Ok(Box::new(MeasuredUpload {
            inner: upload,
            meter: self.meter.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head {
            Operation::Head
        } else {
            Operation::Get
        };
        let work = self.inner.get_opts(location, options);
        self.measure(operation, work).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let work = self.inner.get_ranges(location, ranges);
        self.measure(Operation::Get, work).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.first(Operation::Delete, self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.first(Operation::List, self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list_with_offset(prefix, offset);
        self.first(Operation::List, listed)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let work = self.inner.list_with_delimiter(prefix);
        self.measure(Operation::List, work).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let work = self.inner.copy_opts(from, to, options);
        self.measure(Operation::Copy, work).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let work = self.inner.rename_opts(from, to, options);
        self.measure(Operation::Copy, work).await
    }
}

/// An upload in parts, each of which is measured.
#[derive(Debug)]
struct MeasuredUpload {
    inner: Box<dyn MultipartUpload>,
    meter: Meter,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl MultipartUpload for MeasuredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let work = self.inner.put_part(data);
        let meter = self.meter.clone();
        Box::pin(async move { meter.measure(Operation::PutPart, work, outcome).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let work = self.inner.complete();
        self.meter
            .measure(Operation::CompleteUpload, work, outcome)
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        let work = self.inner.abort();
        self.meter
            .measure(Operation::AbortUpload, work, outcome)
            .await
    }
}
