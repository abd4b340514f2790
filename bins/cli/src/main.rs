//! favonius

fn main() {}
