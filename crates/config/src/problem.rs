//! What is wrong with a configuration, in words for the person who wrote it.

use std::{borrow::Cow, fmt, path::PathBuf};

/// Where a value came from. Prints as `default`, `environment` or `file <path> line <n>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing set the key.
    Default,
    /// A variable of the process environment.
    Environment,
    /// The JSON file that `ZE_WORKER_CONFIG_JSON` names.
    File {
        /// The file, as `ZE_WORKER_CONFIG_JSON` has it.
        path: PathBuf,
        /// The line that the key stands on, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::File { path, line } => write!(f, "file {} line {line}", path.display()),
        }
    }
}

/// Why a value cannot be used, as the end of a sentence that starts with the value. Never holds
/// the value, because that may be a secret.
#[derive(Debug)]
pub(crate) struct Reason(Cow<'static, str>);

impl Reason {
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One reason not to start. Prints on one line:
/// `ZE_WORKER_PORT (environment): "80a" is not a port number from 0 to 65535; example: 8080`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(crate) key: String,
    /// `None` when the trouble is that nothing set the key.
    pub(crate) origin: Option<Origin>,
    pub(crate) message: String,
    pub(crate) example: Option<&'static str>,
}

impl Problem {
    /// The key that has to be changed.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where the bad value came from; `None` when the trouble is that the key is not set.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// What is wrong, secrets removed.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A value that would be taken, or how to come by one.
    pub fn example(&self) -> Option<&str> {
        self.example
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin}): {}", self.key, self.message)?,
            None => write!(f, "{} (not set): {}", self.key, self.message)?,
        }
        match self.example {
            Some(example) => write!(f, "; example: {example}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration. Prints one line for each problem, without a line
/// end after the last.
#[derive(Debug, thiserror::Error)]
#[error("{}", Lines(problems))]
pub struct Problems {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

impl Problems {
    /// The problems, at least one, in the order of the keys.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What was odd besides: a misspelt key often explains a missing one.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{problem}")?;
        }
        Ok(())
    }
}

/// Something that is probably not meant, but does no harm. Prints on one line:
/// `ZE_WORKER_PROT (environment): is not a setting and is ignored; the nearest is ZE_WORKER_PORT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

impl Warning {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where the key was set.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is odd, secrets removed.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.origin, self.message)
    }
}
