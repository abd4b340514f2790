//! favonius-storage-redis
