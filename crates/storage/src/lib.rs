//! favonius-storage
