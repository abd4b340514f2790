// Which programs can the tests of this crate use? Included by build scripts, so that the tests that need an absent
// program are compiled as *ignored*, with the reason shown by `cargo test`, and never count as passed.
//
// In the crate's `build.rs`:
//
//     //! Tells the compiler which programs the tests can use.
//     include!("../testing/build-support/tools.rs");
//
//     fn main() {
//         probe_tools();
//     }
//
// and on each test that needs one:
//
//     #[cfg_attr(not(has_redis), ignore = "redis-server is not installed: run scripts/setup-tests")]
//
// Sets `has_redis`, `has_moto`, `has_chromium`, `has_node`, `has_prometheus` and `has_rotel`. It runs again when PATH changes, when a program that it
// found goes away, and when this file is touched, as `scripts/setup-tests` does after it installed something.

/// Prints a `cargo::rustc-cfg` for each program that is there.
fn probe_tools() {
    use std::path::{Path, PathBuf};

    let tools: [(&str, &[&str]); 6] = [
        ("has_redis", &["redis-server", "redis-cli"]),
        ("has_moto", &["moto_server"]),
        ("has_chromium", &["chromium"]),
        ("has_node", &["node", "npm"]),
        ("has_prometheus", &["prometheus", "promtool"]),
        ("has_rotel", &["rotel"]),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|dir| dir.join("crates/testing/build-support/tools.rs").is_file())
        .expect("a crate that includes this file is in its workspace");

    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed=FAVONIUS_TEST_MOTO");
    println!(
        "cargo::rerun-if-changed={}",
        root.join("crates/testing/build-support/tools.rs").display()
    );

    let find = |program: &str| -> Option<PathBuf> {
        if program == "moto_server"
            && let Some(named) = std::env::var_os("FAVONIUS_TEST_MOTO")
        {
            return Some(PathBuf::from(named)).filter(|named| named.is_file());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = root.join("target/test-tools/bin");
        let mut dirs = std::iter::once(own).chain(std::env::split_paths(&path));
        dirs.find_map(|dir| Some(dir.join(program)).filter(|file| file.is_file()))
    };
    for (cfg, programs) in tools {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        let found: Vec<PathBuf> = programs.iter().filter_map(|program| find(program)).collect();
        if found.len() == programs.len() {
            println!("cargo::rustc-cfg={cfg}");
            for program in found {
                println!("cargo::rerun-if-changed={}", program.display());
            }
        }
    }
}
