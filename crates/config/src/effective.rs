//! What is in effect, for people: `favonius config check` and the first lines of the log.

use std::{collections::BTreeMap, fmt};

use crate::{keys, problem::Origin};

/// A key with the value that is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

impl Entry {
    /// The name of the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, `(unset)` if there is none. A secret is `***`; URLs are without credentials.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where the value comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// The effective configuration without its secrets: the keys that are in use, in the order of the
/// documentation, then the `OTEL_*` keys that are handed on unread (with `***` for a value, since
/// nobody knows what they hold). Prints as lines `KEY = value (origin)`.
#[derive(Clone, Debug)]
pub struct Effective(Vec<Entry>);

impl Effective {
    pub(crate) fn new(mut entries: BTreeMap<String, Entry>) -> Self {
        let known = keys::all()
            .filter_map(|key| entries.remove(key.name))
            .collect::<Vec<_>>();
        Self(known.into_iter().chain(entries.into_values()).collect())
    }

    /// The entries, each key once.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { key, value, origin } in &self.0 {
            writeln!(f, "{key} = {value} ({origin})")?;
        }
        Ok(())
    }
}
