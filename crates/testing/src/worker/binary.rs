//! The programs of this workspace, built when they are needed.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::process::lock;
use crate::tools::workspace_root;

/// The worker's program: the one that `FAVONIUS_WORKER_BIN` names, else [`workspace_binary`]`("favonius-worker", "favonius-worker")`.
pub fn worker_binary() -> PathBuf {
    match env::var_os("FAVONIUS_WORKER_BIN") {
        Some(path) => PathBuf::from(path),
        None => workspace_binary("favonius-worker", "favonius-worker"),
    }
}

/// A program of a package of this workspace, built with the profile of the test that asks. It is up to
/// date: `cargo build` runs once per test process (and does nothing when nothing has changed).
///
/// # Panics
/// If it cannot be built; the compiler's messages are on standard error.
pub fn workspace_binary(package: &str, program: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

    // Held while building, so that tests that run side by side build once.
    let mut built = lock(&BUILT);
    if let Some(path) = built.get(program) {
        return path.clone();
    }
    let path = build(package, program);
    built.insert(program.to_owned(), path.clone());
    path
}

fn build(package: &str, program: &str) -> PathBuf {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace_root())
        .args(["build", "--package", package, "--bin", program])
        .args(["--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    match profile().as_str() {
        "debug" => {}
        profile => {
            command.args(["--profile", profile]);
        }
    }
    for (name, _) in env::vars_os() {
        if set_for_one_package(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("could not run cargo: {error}"));
    assert!(
        output.status.success(),
        "{program} cannot be built: {command:?}"
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_ours = message.pointer("/target/name").and_then(Value::as_str) == Some(program);
        let path = message.get("executable").and_then(Value::as_str)?;
        is_ours.then(|| PathBuf::from(path))
    });
    let last = executables.next_back();
    last.unwrap_or_else(|| panic!("package {package} has no program {program}"))
}

/// The profile that this test was built with: it lies in `target/<profile>/deps`.
fn profile() -> String {
    let program = env::current_exe().unwrap_or_default();
    let directories = program.ancestors().skip_while(|dir| !dir.ends_with("deps"));
    let profile = directories.skip(1).find_map(Path::file_name);
    profile.map_or_else(
        || "debug".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Whether cargo set a variable for the test's own package: seen by another build it would make dependencies look changed.
fn set_for_one_package(name: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}
