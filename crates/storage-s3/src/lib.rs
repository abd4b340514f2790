//! Assets in an S3 bucket: the configured [`ObjectStore`](object_store::ObjectStore) for S3 and what speaks its protocol.
//!
//! [`s3_store`] gives `object_store`'s client with what a service needs around it:
//!
//! 1. **Every call ends.** An operation has the request time-out (or that of uploads) for all of it: waiting for a socket, retries
//!    and the head of the answer. A body has the request time-out for each piece, counted only while the reader waits: neither a
//!    slow body that keeps coming nor a reader that takes its time is cut off.
//! 2. **Retries are few.** Up to three, with growing, random pauses that add up to less than two seconds: a server that is gone
//!    is an error soon. A body that breaks off is asked for again from where it broke.
//! 3. **Sockets are limited.** No more requests are in flight than allowed, counted from their first byte to the last one of the
//!    answer's body. Others queue in order; who queues too long is worth a warning. A reader that takes nothing for two seconds
//!    gives its socket to one that queues, and goes on from there when it comes back. One more socket is kept for a listing, which
//!    readiness asks for.
//! 4. **Errors say what they are.** A missing object is `NotFound`; a missing bucket, a wrong key or a wrong region is
//!    `PermissionDenied` and says which; a full store carries [`std::io::ErrorKind::StorageFull`].
//!
//! # Assumptions
//! The server takes signature version 4 and multipart uploads. Credentials need `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject`,
//! `s3:AbortMultipartUpload` and, on AWS, `s3:ListBucket`: without it AWS answers 403 instead of 404 for what is not there.
//! A bucket rule should remove unfinished multipart uploads after a day: those of a process that was killed stay otherwise.

mod client;
mod endpoint;
mod options;
mod pace;
mod refusal;
mod sockets;
mod store;
mod upload;

pub use client::{s3_store, s3_store_and_sockets};
pub use options::{Credentials, InvalidOptions, S3Options};
pub use sockets::SocketUse;
