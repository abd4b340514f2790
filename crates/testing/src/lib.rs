//! favonius-testing
