//! Conditions on the query: `id=:id`.

use std::{borrow::Cow, cell::OnceCell, collections::HashMap};

use super::super::{
    pattern,
    problem::{Reason, shown},
};

/// A parameter that has to be there.
#[derive(Debug)]
pub(super) struct Condition {
    name: String,
    value: Wanted,
}

#[derive(Debug)]
enum Wanted {
    Any,
    Exactly(String),
    /// Any that is not empty; the target can have it.
    Taken,
}

impl Condition {
    /// Reads `name`, `name=value` or `name=:placeholder`; the name of a placeholder is added.
    pub(super) fn parse(word: &str, names: &mut Vec<String>) -> Result<Self, Reason> {
        let (name, value) = form_urlencoded::parse(word.as_bytes())
            .next()
            .filter(|(name, _)| !name.is_empty() && !word.contains('&'))
            .ok_or_else(|| {
                Reason::from(format!(
                    "{} is no query parameter: write `name=value`",
                    shown(word)
                ))
            })?;
        let value = match word.split_once('=') {
            None => Wanted::Any,
            Some((_, raw)) => match pattern::name(raw) {
                Some((placeholder, "")) => {
                    if placeholder == pattern::SPLAT
                        || names.iter().any(|other| other == placeholder)
                    {
                        let placeholder = shown(placeholder);
                        return Err(format!("the placeholder {placeholder} is there twice").into());
                    }
                    names.push(placeholder.to_owned());
                    Wanted::Taken
                }
                _ => Wanted::Exactly(value.into_owned()),
            },
        };
        let name = name.into_owned();
        Ok(Self { name, value })
    }

    /// Whether the condition holds. What it takes for a placeholder is added to the values.
    pub(super) fn holds<'q>(&self, query: &'q Query<'_>, values: &mut Vec<&'q str>) -> bool {
        let Some(value) = query.value(&self.name) else {
            return false;
        };
        match &self.value {
            Wanted::Any => true,
            Wanted::Exactly(wanted) => value == wanted,
            Wanted::Taken => {
                values.push(value);
                !value.is_empty()
            }
        }
    }
}

/// The query of a request. It is read when a rule asks for it, and then but once.
pub(super) struct Query<'a> {
    raw: &'a str,
    values: OnceCell<HashMap<Cow<'a, str>, Cow<'a, str>>>,
}

impl<'a> Query<'a> {
    pub(super) fn new(raw: Option<&'a str>) -> Self {
        Self {
            raw: raw.unwrap_or_default(),
            values: OnceCell::new(),
        }
    }

    /// Of a parameter that is there more than once, the first counts.
    fn value(&self, name: &str) -> Option<&str> {
        let values = self.values.get_or_init(|| {
            let mut values = HashMap::new();
            for (name, value) in form_urlencoded::parse(self.raw.as_bytes()) {
                values.entry(name).or_insert(value);
            }
            values
        });
        values.get(name).map(AsRef::as_ref)
    }
}
