//! Tells the compiler which programs the tests can use.
include!("build-support/tools.rs");

fn main() {
    probe_tools();
}
