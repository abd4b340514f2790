//! favonius-auth
