//! favonius-worker

fn main() {}
