//! What a process is given from outside: its variables and its memory limit.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::Path};

use crate::{keys, memory};

/// The part of the process environment that settings are made from.
///
/// [`Environment::process`] reads the real one. Tests and embedders build one from pairs, so that
/// nothing global is read or changed:
///
/// ```
/// use favonius_config::{Environment, Settings};
///
/// let environment = Environment::from([
///     ("ZE_WORKER_STORAGE", "embedded"),
///     ("ZE_WORKER_JWT_SECRET", "an example of at least thirty-two bytes"),
/// ]);
/// let loaded = Settings::load(&environment)?;
/// assert_eq!(loaded.settings.server.port, 8080);
/// # Ok::<(), favonius_config::Problems>(())
/// ```
///
/// Variables that cannot be settings are dropped at once, and `Debug` prints names only.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    memory_limit: Option<u64>,
}

impl Environment {
    /// The variables of this process, and the memory limit of its control group.
    pub fn process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self {
            memory_limit: memory::limit(Path::new("/")),
            ..variables.collect()
        }
    }

    /// The same with a memory limit of `bytes`, which sizes the cache.
    #[must_use]
    pub fn with_memory_limit(self, bytes: u64) -> Self {
        Self {
            memory_limit: Some(bytes),
            ..self
        }
    }

    /// The same with one variable more, in place of one of that name. A variable that cannot be a
    /// setting is dropped.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        if keys::may_be_setting(&name) {
            self.variables.insert(name, value.into());
        }
        self
    }

    /// Bytes that the process may use, when there is a limit.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    pub(crate) fn get(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name)
    }

    /// All variables that may be settings, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }
}

impl<K: Into<String>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(name, _)| keys::may_be_setting(name))
            .collect();
        Self {
            variables,
            memory_limit: None,
        }
    }
}

impl<K: Into<String>, V: Into<OsString>, const N: usize> From<[(K, V); N]> for Environment {
    fn from(variables: [(K, V); N]) -> Self {
        variables.into_iter().collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("memory_limit", &self.memory_limit)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_setting_is_kept_and_no_value_is_shown() {
        let environment = Environment::from([
            ("ZE_WORKER_JWT_SECRET", "hunter2"),
            ("OTEL_SERVICE_NAME", "edge"),
            ("NODE_ENV", "staging"),
            ("AWS_SECRET_ACCESS_KEY", "hunter3"),
            ("PATH", "/bin"),
        ]);
        let environment = environment.with("NODE_ENV", "test").with("HOME", "/root");
        let names: Vec<_> = environment.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["NODE_ENV", "OTEL_SERVICE_NAME", "ZE_WORKER_JWT_SECRET"]
        );
        assert_eq!(environment.get("NODE_ENV"), Some(&OsString::from("test")));
        let shown = format!("{environment:?}");
        assert!(shown.contains("ZE_WORKER_JWT_SECRET"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("staging"),
            "{shown}"
        );
    }

    #[test]
    fn the_process_has_an_environment() {
        // What it holds depends on who runs the test: only that foreign names are gone is sure.
        assert!(
            Environment::process()
                .iter()
                .all(|(name, _)| keys::may_be_setting(name))
        );
        assert!(Environment::process().get("PATH").is_none());
    }
}
