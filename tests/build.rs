//! Tells the compiler which programs the tests can use.
include!("../crates/testing/build-support/tools.rs");

fn main() {
    probe_tools();
    probe_client();
}

/// Sets `has_client` when the published bundler plugins are installed and the programs that they need are there.
fn probe_client() {
    use std::path::Path;

    println!("cargo::rustc-check-cfg=cfg(has_client)");
    // npm writes it at the end of an installation.
    let installed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("client/node_modules/.package-lock.json");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if installed.is_file() && has("node") && has("git") {
        println!("cargo::rustc-cfg=has_client");
        println!("cargo::rerun-if-changed={}", installed.display());
    }
}
