//! favonius-storage-s3
