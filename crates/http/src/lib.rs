//! favonius-http
