//! What can go wrong with a store.

use std::error::Error;

/// Any cause.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The store does not answer, or not in time; later it may.
    Unavailable,
    /// The store answers that we may not: credentials or access rules are wrong.
    Denied,
    /// What is stored is not what it should be.
    Corrupt,
    /// The store has no room.
    Full,
    /// Anything else: a bug, or a store that does what it should not.
    Internal,
}

impl ErrorKind {
    /// A fixed name, fit for a metric label or a probe's answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Corrupt => "corrupt",
            Self::Full => "full",
            Self::Internal => "internal",
        }
    }
}

/// A store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("could not {op} `{key}`")]
pub struct StorageError {
    op: &'static str,
    key: String,
    kind: ErrorKind,
    #[source]
    cause: Option<Cause>,
}

impl StorageError {
    /// An error without a cause below it.
    pub fn new(kind: ErrorKind, op: &'static str, key: impl Into<String>) -> Self {
        Self {
            op,
            key: key.into(),
            kind,
            cause: None,
        }
    }

    /// The same with what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable)
    }
}

/// Sorts an object store's errors; `Ok(None)` is absence.
pub(crate) fn absent_or<T>(
    result: Result<T, object_store::Error>,
    op: &'static str,
    key: &object_store::path::Path,
) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(object_error(error, op, key)),
    }
}

/// Sorts an object store's errors.
pub(crate) fn object_error(
    error: object_store::Error,
    op: &'static str,
    key: &object_store::path::Path,
) -> StorageError {
    StorageError::new(object_error_kind(&error), op, key.as_ref()).because(error)
}

/// What kind of error an object store's is. Absence has none: it is an answer, and counts as [`ErrorKind::Internal`] here.
pub fn object_error_kind(error: &object_store::Error) -> ErrorKind {
    use object_store::Error as E;
    match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorKind::Denied,
        E::Generic { .. } | E::JoinError { .. } if is_disk_full(error) => ErrorKind::Full,
        // Connection errors, time-outs and what remains after the retries all come as this one.
        E::Generic { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    use std::io::ErrorKind as Io;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), Io::StorageFull | Io::QuotaExceeded);
        }
        next = error.source();
    }
    false
}
