//! Tells the compiler which programs the tests can use.
include!("../testing/build-support/tools.rs");

fn main() {
    probe_tools();
}
