//! favonius-contract
