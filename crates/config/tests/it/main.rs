//! Loading settings as a process does, from an environment and files that the tests make.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support"
)]

mod derived;
mod documentation;
mod each_key;
mod redis;
mod secrecy;
mod signals;
mod sources;
mod together;

use std::{fs, path::PathBuf};

use favonius_config::{Environment, Loaded, Problems, Settings};
use tempfile::TempDir;

/// A long enough secret, so that it is not warned of.
const JWT_SECRET: &str = "correct-horse-battery-staple-correct-horse";

/// What S3 + Redis mode requires.
const REQUIRED: [(&str, &str); 6] = [
    ("ZE_WORKER_JWT_SECRET", JWT_SECRET),
    ("ZE_WORKER_S3_ENDPOINT", "http://minio:9000"),
    ("ZE_WORKER_S3_ACCESS_KEY_ID", "id"),
    ("ZE_WORKER_S3_SECRET_ACCESS_KEY", "secret"),
    ("ZE_WORKER_S3_BUCKET", "assets"),
    ("ZE_WORKER_REDIS_HOST", "redis"),
];

/// What embedded mode requires.
const EMBEDDED: [(&str, &str); 2] = [
    ("ZE_WORKER_JWT_SECRET", JWT_SECRET),
    ("ZE_WORKER_STORAGE", "embedded"),
];

/// An environment in the making, with a directory for the files it names.
struct Setup {
    directory: TempDir,
    variables: Vec<(String, String)>,
    file: Option<PathBuf>,
}

impl Setup {
    /// `$DIR` in a value is the directory, which holds `ca.pem`, `tls.crt`, `tls.key`.
    fn new(variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (file, label) in [
            ("ca.pem", "CERTIFICATE"),
            ("tls.crt", "CERTIFICATE"),
            ("tls.key", "PRIVATE KEY"),
        ] {
            let pem = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
            fs::write(directory.path().join(file), pem).unwrap();
        }
        let this = Self {
            directory,
            variables: Vec::new(),
            file: None,
        };
        this.with_all(variables)
    }

    fn s3_redis() -> Self {
        Self::new(&REQUIRED)
    }

    fn embedded() -> Self {
        Self::new(&EMBEDDED)
    }

    fn with_all(self, variables: &[(&str, &str)]) -> Self {
        variables
            .iter()
            .fold(self, |setup, (key, value)| setup.with(key, value))
    }

    /// Sets a variable, in place of what it was.
    fn with(mut self, key: &str, value: &str) -> Self {
        self.variables.retain(|(name, _)| name != key);
        self.variables.push((key.to_owned(), self.expand(value)));
        self
    }

    fn without(mut self, key: &str) -> Self {
        self.variables.retain(|(name, _)| name != key);
        self
    }

    /// Adds the JSON file.
    fn with_file(mut self, json: &str) -> Self {
        let path = self.directory.path().join("config.json");
        fs::write(&path, self.expand(json)).unwrap();
        self.file = Some(path.clone());
        self.with("ZE_WORKER_CONFIG_JSON", path.to_str().unwrap())
    }

    fn expand(&self, text: &str) -> String {
        text.replace("$DIR", self.directory.path().to_str().unwrap())
    }

    fn environment(&self) -> Environment {
        self.variables.iter().cloned().collect()
    }

    fn load(&self) -> Result<Loaded, Problems> {
        Settings::load(&self.environment())
    }

    /// Loads what has to be right.
    fn loaded(&self) -> Loaded {
        self.load().unwrap()
    }

    /// The lines of the problems of what has to be wrong; `$DIR` and `$FILE` stand for the paths.
    fn problems(&self) -> Vec<String> {
        let problems = self.load().unwrap_err();
        let lines = problems.to_string();
        assert_eq!(
            lines.lines().count(),
            problems.problems().len(),
            "a line each:\n{lines}"
        );
        lines.lines().map(|line| self.without_paths(line)).collect()
    }

    /// The lines of the warnings of what has to be right.
    fn warnings(&self) -> Vec<String> {
        let warnings = self.loaded().warnings;
        warnings
            .iter()
            .map(|warning| self.without_paths(&warning.to_string()))
            .collect()
    }

    /// The line of the listing about `key`.
    fn effective(&self, key: &str) -> Option<String> {
        let effective = self.loaded().effective;
        let entry = effective
            .entries()
            .iter()
            .find(|entry| entry.key() == key)?;
        Some(self.without_paths(&format!("{} ({})", entry.value(), entry.origin())))
    }

    fn without_paths(&self, line: &str) -> String {
        let line = match &self.file {
            Some(file) => line.replace(file.to_str().unwrap(), "$FILE"),
            None => line.to_owned(),
        };
        line.replace(self.directory.path().to_str().unwrap(), "$DIR")
    }
}
