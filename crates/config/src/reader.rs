//! Reads keys one by one, and keeps account of what was wrong, odd, and in effect.

use std::collections::BTreeMap;

use crate::{
    effective::{Effective, Entry},
    environment::Environment,
    keys::{self, Key},
    parse::parse_list,
    problem::{Origin, Problem, Problems, Reason, Warning},
    secret::REDACTED,
    show,
    source::{Literal, Setting, Sources},
    unknown,
};

/// Stands for a value that could not be had. The reader holds the problem, so that the caller can
/// go on to the next key and give up only when all have been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted(());

/// A checked value, or the mark that a problem was noted instead.
pub(crate) type Checked<T> = Result<T, Noted>;

/// Both sources, and the account of what was read from them.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    sources: Sources<'a>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    entries: BTreeMap<String, Entry>,
    /// What decides about it could not be read: nothing is reported as missing.
    required_unknown: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(environment: &'a Environment) -> Self {
        let mut problems = Vec::new();
        let sources = Sources::read(environment, &mut problems);
        let warnings = unknown::warnings(&sources);
        let required_unknown = sources.may_be_incomplete();
        let mut this = Self {
            sources,
            problems,
            warnings,
            entries: BTreeMap::new(),
            required_unknown,
        };
        this.record_config_json();
        this
    }

    /// The value of a key that has a default.
    pub(crate) fn value<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, Reason>,
    ) -> Checked<T> {
        self.value_or(key, key.default_text(), parse)
    }

    /// The value of a key whose default is not that of the table, or not always.
    pub(crate) fn value_or<T>(
        &mut self,
        key: &Key,
        default: &str,
        parse: impl Fn(&str) -> Result<T, Reason>,
    ) -> Checked<T> {
        if let Some(value) = self.optional(key, &parse)? {
            return Ok(value);
        }
        self.record(key, default, Origin::Default);
        parse(default).map_err(|reason| self.reject(key, Origin::Default, default, &reason))
    }

    /// The value of a key that must be set.
    pub(crate) fn required<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, Reason>,
    ) -> Checked<T> {
        match self.optional(key, parse)? {
            Some(value) => Ok(value),
            None => Err(self.missing(key, "")),
        }
    }

    /// The value of a key that may stay unset.
    pub(crate) fn optional<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, Reason>,
    ) -> Checked<Option<T>> {
        let Some((literal, origin)) = self.find(key)? else {
            return Ok(None);
        };
        let Literal::Text(text) = literal else {
            return Err(self.note(
                key,
                Some(origin),
                "is an array, which this key does not take",
            ));
        };
        // A password may begin or end with a space; elsewhere that is a slip.
        let text = if key.secret {
            text.as_str()
        } else {
            text.trim()
        };
        match parse(text) {
            Ok(value) => {
                self.record(key, text, origin);
                Ok(Some(value))
            }
            Err(reason) => Err(self.reject(key, origin, text, &reason)),
        }
    }

    /// The items of a key that holds a list, each with its text; those of the default when unset.
    pub(crate) fn list<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, Reason>,
    ) -> Checked<Vec<T>> {
        let (literal, origin) = match self.find(key)? {
            Some(found) => found,
            None => (
                Literal::Text(key.default_text().to_owned()),
                Origin::Default,
            ),
        };
        let items = match literal {
            Literal::List(items) => items,
            Literal::Text(text) => match parse_list(text.trim()) {
                Ok(items) => items,
                Err(reason) => return Err(self.reject(key, origin, text.trim(), &reason)),
            },
        };
        let items: Vec<&str> = items
            .iter()
            .map(|item| item.trim())
            .filter(|item| !item.is_empty())
            .collect();
        // With credentials in the list, a comma in a password would make an item of each half.
        let is_public = !items.iter().any(|item| item.contains('@'));
        let mut values = Vec::with_capacity(items.len());
        let mut noted = None;
        for (index, item) in items.iter().enumerate() {
            match parse(item) {
                Ok(value) => values.push(value),
                Err(reason) if is_public => {
                    noted = Some(self.reject(key, origin.clone(), item, &reason));
                }
                Err(reason) => {
                    let message = format!("item {} {reason}", index + 1);
                    noted = Some(self.note(key, Some(origin.clone()), message));
                }
            }
        }
        let shown: Vec<_> = items.into_iter().map(show::value_line).collect();
        self.show(key, format!("[{}]", shown.join(", ")), origin);
        noted.map_or(Ok(values), Err)
    }

    fn find(&mut self, key: &Key) -> Checked<Option<(Literal, Origin)>> {
        match self.sources.find(key.name) {
            Some(Setting {
                value: Ok(literal),
                origin,
            }) => Ok(Some((literal, origin))),
            Some(Setting {
                value: Err(what),
                origin,
            }) => Err(self.note(key, Some(origin), what)),
            None => {
                self.show(key, "(unset)".to_owned(), Origin::Default);
                Ok(None)
            }
        }
    }

    /// Whether something other than the default sets the key.
    pub(crate) fn is_set(&self, key: &Key) -> bool {
        self.sources.find(key.name).is_some()
    }

    /// Where the key's value comes from.
    pub(crate) fn origin(&self, key: &Key) -> Origin {
        self.sources
            .find(key.name)
            .map_or(Origin::Default, |setting| setting.origin)
    }

    /// Bytes that the process may use, when there is a limit.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.sources.memory_limit()
    }

    /// Every OpenTelemetry key that is set, known or not, by name.
    pub(crate) fn telemetry(&mut self) -> BTreeMap<String, String> {
        let names = self.sources.names().map(|(name, _)| name);
        let names: Vec<_> = names
            .filter(|name| keys::is_telemetry(name))
            .map(str::to_owned)
            .collect();
        let mut texts = BTreeMap::new();
        for name in names {
            let Some(Setting { value, origin }) = self.sources.find(&name) else {
                continue;
            };
            let known = keys::find(&name).is_some(); // then it is reported where it is read
            let what = match value {
                Ok(Literal::Text(text)) => {
                    let text = text.trim().to_owned();
                    if !known {
                        // It may well be a secret.
                        self.list_entry(name.clone(), REDACTED.to_owned(), origin);
                    }
                    texts.insert(name, text);
                    continue;
                }
                Ok(Literal::List(_)) => "is an array, which this key does not take",
                Err(what) => what,
            };
            if !known {
                self.problems.push(Problem {
                    key: show::name(&name),
                    origin: Some(origin),
                    message: what.to_owned(),
                    example: None,
                });
            }
        }
        texts
    }

    /// Reads what may not be needed at all: values that are set are checked, and none is missed. What
    /// leaves it open is a problem, noted before.
    pub(crate) fn check_only<T>(&mut self, _: Noted, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.required_unknown, true);
        let read = read(self);
        self.required_unknown = before;
        read
    }

    /// Notes that a key has to be set. `why` ends the words "is required".
    pub(crate) fn missing(&mut self, key: &Key, why: &str) -> Noted {
        if self.required_unknown {
            return Noted(()); // there is a problem already: what made this unknown
        }
        let mut message = format!("is required{why}, but {}", self.sources.places());
        if let Some(name) = unknown::misspelling(&self.sources, key) {
            message = format!("{message} (is {} misspelt?)", show::name(name));
        }
        self.note(key, None, message)
    }

    /// Notes what is wrong with a key that is set, given that its value by itself is well-formed.
    pub(crate) fn conflict(&mut self, key: &Key, message: impl Into<String>) -> Noted {
        let origin = self.origin(key);
        self.note(key, Some(origin), message)
    }

    fn reject(&mut self, key: &Key, origin: Origin, text: &str, reason: &Reason) -> Noted {
        let message = if key.secret {
            format!("the value {reason}")
        } else {
            format!("{} {reason}", show::quote(text))
        };
        self.note(key, Some(origin), message)
    }

    fn note(&mut self, key: &Key, origin: Option<Origin>, message: impl Into<String>) -> Noted {
        self.problems.push(Problem {
            key: key.name.to_owned(),
            origin,
            message: message.into(),
            example: Some(key.example),
        });
        Noted(())
    }

    /// Notes something odd about a key.
    pub(crate) fn warn(&mut self, key: &Key, message: impl Into<String>) {
        let origin = self.origin(key);
        self.warn_at(key.name, origin, message);
    }

    /// Notes something odd about a key that is not in the table.
    pub(crate) fn warn_unlisted(&mut self, name: &str, message: impl Into<String>) {
        let origin = self
            .sources
            .find(name)
            .map_or(Origin::Default, |setting| setting.origin);
        self.warn_at(name, origin, message);
    }

    fn warn_at(&mut self, name: &str, origin: Origin, message: impl Into<String>) {
        let key = show::name(name);
        self.warnings.push(Warning {
            key,
            origin,
            message: message.into(),
        });
    }

    fn record(&mut self, key: &Key, text: &str, origin: Origin) {
        let shown = if key.secret {
            REDACTED.to_owned()
        } else {
            show::value_line(text)
        };
        self.show(key, shown, origin);
    }

    /// Lists a value as it is given: no secrets.
    pub(crate) fn show(&mut self, key: &Key, shown: String, origin: Origin) {
        self.list_entry(key.name.to_owned(), shown, origin);
    }

    fn list_entry(&mut self, key: String, value: String, origin: Origin) {
        self.entries
            .insert(key.clone(), Entry { key, value, origin });
    }

    fn record_config_json(&mut self) {
        let key = keys::CONFIG_JSON;
        let named = self.sources.find_in_environment(key.name);
        match named.map(|setting| setting.value) {
            Some(Ok(Literal::Text(path))) => self.record(key, path.trim(), Origin::Environment),
            _ => self.show(key, "(unset)".to_owned(), Origin::Default),
        }
    }

    /// All problems, or what was read.
    pub(crate) fn finish<T>(
        self,
        read: Checked<T>,
    ) -> Result<(T, Effective, Vec<Warning>), Problems> {
        match read {
            Ok(read) if self.problems.is_empty() => {
                Ok((read, Effective::new(self.entries), self.warnings))
            }
            _ => Err(Problems {
                problems: self.problems,
                warnings: self.warnings,
            }),
        }
    }
}
