//! Where the programs that tests use are.

use std::env;
use std::path::{Path, PathBuf};

/// The path of a program: what `FAVONIUS_TEST_MOTO` names (for `moto_server`), else what `scripts/setup-tests` put under
/// `target/test-tools`, else what is on `PATH`. The build script that makes tests *ignored* looks in the same places.
pub fn find_tool(program: &str) -> Option<PathBuf> {
    if program == "moto_server"
        && let Some(named) = env::var_os("FAVONIUS_TEST_MOTO")
    {
        return Some(PathBuf::from(named)).filter(|named| named.is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let own = workspace_root().join("target/test-tools/bin");
    let mut dirs = std::iter::once(own).chain(env::split_paths(&path));
    dirs.find_map(|dir| Some(dir.join(program)).filter(|file| file.is_file()))
}

/// The path of a program.
///
/// # Panics
/// If it is not installed: a test that needs it should have been ignored.
pub fn require_tool(program: &str) -> PathBuf {
    find_tool(program)
        .unwrap_or_else(|| panic!("{program} is not installed: run scripts/setup-tests"))
}

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two levels below the root")
}
