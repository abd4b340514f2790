//! favonius-config
