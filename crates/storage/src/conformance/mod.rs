//! The suite that every record store must pass.
