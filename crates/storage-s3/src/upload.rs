//! Uploads in parts.

use async_trait::async_trait;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart, path::Path};

use crate::store::{S3Store, operation};

/// An upload in parts, each with its own time limit.
#[derive(Debug)]
pub(crate) struct S3Upload {
    upload: Box<dyn MultipartUpload>,
    store: S3Store,
    path: Path,
}

impl S3Upload {
    pub(crate) fn new(upload: Box<dyn MultipartUpload>, store: S3Store, path: Path) -> Self {
        Self {
            upload,
            store,
            path,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl MultipartUpload for S3Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let call = self.upload.put_part(data);
        let (store, path) = (self.store.clone(), self.path.clone());
        Box::pin(async move {
            let span = operation!(store, "s3 put part", "UploadPart", path);
            S3Store::run(span, store.limits.upload, &path, call).await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let span = operation!(
            self.store,
            "s3 complete upload",
            "CompleteMultipartUpload",
            self.path
        );
        let call = self.upload.complete();
        S3Store::run(span, self.store.limits.upload, &self.path, call).await
    }

    async fn abort(&mut self) -> Result<()> {
        let span = operation!(
            self.store,
            "s3 abort upload",
            "AbortMultipartUpload",
            self.path
        );
        let call = self.upload.abort();
        S3Store::run(span, self.store.limits.request, &self.path, call).await
    }
}
