//! Where an edge on this machine keeps what is deployed to it.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::failure::usage;

/// Name of the file with the token.
const TOKEN_FILE: &str = "token";

/// A directory for the data. A temporary one is removed when this is dropped; of another one only the token is.
pub(super) struct Data {
    path: PathBuf,
    /// Whether the token in the directory is of this edge, and not of one that uses the directory already.
    has_token: bool,
    /// Removes the directory when it is dropped.
    _temporary: Option<TempDir>,
}

impl Data {
    /// Uses this directory, which is made if need be, or else a temporary one.
    pub(super) fn open(directory: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(directory) = directory {
            fs::create_dir_all(directory).map_err(|error| {
                usage(format!(
                    "--data {} cannot be made: {error}",
                    directory.display()
                ))
            })?;
            // Printed for use elsewhere.
            let path = fs::canonicalize(directory)
                .with_context(|| format!("could not find {}", directory.display()))?;
            return Ok(Self {
                path,
                has_token: false,
                _temporary: None,
            });
        }
        let temporary = tempfile::Builder::new()
            .prefix("favonius-dev-")
            .tempdir()
            .context("could not make a temporary directory: name another one with --data")?;
        let path = temporary.path().to_owned();
        Ok(Self {
            path,
            has_token: false,
            _temporary: Some(temporary),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.path.join(TOKEN_FILE)
    }

    /// Writes the token, for nobody but this user.
    pub(super) fn write_token(&mut self, token: &str) -> anyhow::Result<()> {
        let file = self.token_file();
        self.has_token = true;
        let write = || {
            // The mode of a file that exists would stay.
            match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file)?;
            writeln!(file, "{token}")
        };
        write().with_context(|| format!("could not write {}", file.display()))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // The secret behind it is gone: it would only confuse.
        if self.has_token {
            fs::remove_file(self.token_file()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_temporary_directory_goes_and_a_named_one_stays() {
        let mut temporary = Data::open(None).unwrap();
        let path = temporary.path().to_owned();
        temporary.write_token("abc").unwrap();
        assert!(path.join(TOKEN_FILE).is_file());
        drop(temporary);
        assert!(!path.exists());

        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/b");
        let mut named = Data::open(Some(&directory)).unwrap();
        fs::write(named.path().join("kept"), "").unwrap();
        // Of an earlier edge, readable for all.
        fs::write(named.token_file(), "old").unwrap();
        named.write_token("abc").unwrap();
        assert_eq!(fs::read_to_string(named.token_file()).unwrap(), "abc\n");
        let mode = fs::metadata(named.token_file())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let path = named.path().to_owned();
        drop(Data::open(Some(&directory)).unwrap());
        assert!(named.token_file().exists(), "removed by another process");
        drop(named);
        assert!(path.join("kept").is_file() && !path.join(TOKEN_FILE).exists());
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let why = Data::open(Some(file.path())).err().unwrap().to_string();
        assert!(why.contains("cannot be made"), "{why}");
    }
}
