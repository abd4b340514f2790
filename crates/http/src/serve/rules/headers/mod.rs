//! `_headers`: what answers for which paths tell browsers.
//!
//! ```text
//! /assets/*
//!   Access-Control-Allow-Origin: https://example.com
//!   ! Cross-Origin-Resource-Policy
//! ```
//!
//! All sections whose pattern matches apply, in the order of the file. A name that is there again adds to the value, and
//! `! Name` takes away what stands above it, and what the edge would send.

mod names;

use http::{HeaderName, HeaderValue};

use super::{
    HEADERS_FILE, MAX_RULES,
    lines::{self, Line},
    pattern::Pattern,
    problem::{Problem, Problems, Reason, shown},
    template::{HEADER, Template},
};

pub(crate) use names::{governs_caching, is_for_the_whole_origin};

/// Lines with a header in a file: what follows is ignored.
const MAX_CHANGES: usize = 10_000;
/// Names in one answer. A header map has a limit, and so has the patience of proxies.
const MAX_NAMES: usize = 64;
/// Bytes of names and values in one answer: what Node.js and most proxies take as the head of a message.
const MAX_SIZE: usize = 16 * 1024;

/// All sections of a file.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<Section>);

#[derive(Debug)]
struct Section {
    pattern: Pattern,
    changes: Vec<(HeaderName, Change)>,
}

#[derive(Debug)]
enum Change {
    Add(HeaderValue),
    /// With what the pattern took.
    AddWith(Template),
    Remove,
}

impl Headers {
    pub(super) fn parse(file: &[u8]) -> (Self, Vec<Problem>) {
        let mut reader = Reader {
            problems: Problems::of(HEADERS_FILE),
            sections: Vec::new(),
            open: Open::None,
            changes: 0,
            full: false,
        };
        lines::of(file).for_each(|line| reader.read(&line));
        reader.close();
        reader
            .sections
            .retain(|section| !section.changes.is_empty());
        (Self(reader.sections), reader.problems.into_vec())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of each name what is to be there in the end. What would be too much is left out, by its order in the file.
    pub(super) fn of(&self, path: &str) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let mut answer = Answer::default();
        for section in &self.0 {
            let Some(values) = section.pattern.matches(path) else {
                continue;
            };
            for (name, change) in &section.changes {
                match change {
                    Change::Add(value) => answer.add(name, value.clone()),
                    Change::AddWith(template) => {
                        let value = template.render(&values, MAX_SIZE);
                        // What is put in is encoded, so that the value is as good as the template.
                        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                            answer.add(name, value);
                        }
                    }
                    Change::Remove => answer.remove(name),
                }
            }
        }
        answer.joined()
    }
}

/// What the sections have said up to now.
#[derive(Default)]
struct Answer {
    headers: Vec<(HeaderName, Vec<HeaderValue>)>,
    size: usize,
}

impl Answer {
    fn add(&mut self, name: &HeaderName, value: HeaderValue) {
        let size = name.as_str().len() + value.len();
        if self.size + size > MAX_SIZE {
            return;
        }
        if let Some(values) = self.values(name) {
            values.push(value);
            self.size += size;
        }
    }

    fn remove(&mut self, name: &HeaderName) {
        if let Some(values) = self.values(name) {
            values.clear();
        }
    }

    fn values(&mut self, name: &HeaderName) -> Option<&mut Vec<HeaderValue>> {
        let known = self.headers.iter().position(|(known, _)| known == name);
        let index = known.unwrap_or(self.headers.len());
        if known.is_none() && index < MAX_NAMES {
            self.headers.push((name.clone(), Vec::new()));
        }
        self.headers.get_mut(index).map(|(_, values)| values)
    }

    fn joined(self) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let headers = self.headers.into_iter();
        headers.map(|(name, values)| (name, join(values))).collect()
    }
}

fn join(mut values: Vec<HeaderValue>) -> Option<HeaderValue> {
    if values.len() > 1 {
        let bytes: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
        // Valid values and a comma are a valid value.
        return HeaderValue::from_bytes(&bytes.join(b", ".as_slice())).ok();
    }
    values.pop()
}

/// Where a line with a header belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    /// No pattern stands above it.
    None,
    /// The last section, which begins in this line.
    Section { line: usize, empty: bool },
    /// One that cannot be used. Its headers must not fall to the section before.
    Unusable,
}

struct Reader {
    problems: Problems,
    sections: Vec<Section>,
    open: Open,
    changes: usize,
    /// Whether there was a section too many.
    full: bool,
}

impl Reader {
    fn read(&mut self, line: &Line<'_>) {
        let number = line.number;
        let text = match line.text {
            Ok(text) => text,
            Err(reason) => {
                // It may have been a pattern.
                if line.indented {
                    self.is_not_empty();
                } else {
                    self.begin(number, Err(reason.into()));
                }
                self.problems.note(number, reason);
                return;
            }
        };
        if let Some(begun) = section(text, line.indented) {
            if let Err(reason) = &begun {
                self.problems.note(number, reason.clone());
            }
            self.begin(number, begun);
            return;
        }
        self.is_not_empty();
        match self.open {
            Open::Unusable => return,
            Open::None => {
                let reason = "no path stands above this header: write one, such as `/*`";
                return self.problems.note(number, reason);
            }
            Open::Section { .. } => {}
        }
        if self.changes == MAX_CHANGES {
            let reason = "the file has more than 10,000 headers: it is ignored from this line on";
            self.problems.note(number, reason);
        }
        self.changes += 1;
        let Some(section) = self
            .sections
            .last_mut()
            .filter(|_| self.changes <= MAX_CHANGES)
        else {
            return;
        };
        match change(text, &section.pattern) {
            Ok(change) => section.changes.push(change),
            Err(reason) => self.problems.note(number, reason),
        }
    }

    fn begin(&mut self, line: usize, section: Result<Pattern, Reason>) {
        self.close();
        let Ok(pattern) = section else {
            self.open = Open::Unusable;
            return;
        };
        if self.sections.len() >= MAX_RULES {
            self.open = Open::Unusable;
            if !self.full {
                self.full = true;
                let reason = "the file has more than 1,000 paths: it is ignored from this line on";
                self.problems.note(line, reason);
            }
            return;
        }
        self.sections.push(Section {
            pattern,
            changes: Vec::new(),
        });
        self.open = Open::Section { line, empty: true };
    }

    fn is_not_empty(&mut self) {
        if let Open::Section { empty, .. } = &mut self.open {
            *empty = false;
        }
    }

    fn close(&mut self) {
        if let Open::Section { line, empty: true } = self.open {
            let reason = "no header stands below this path: write `  Name: value` in the next line";
            self.problems.note(line, reason);
        }
    }
}

/// The pattern, if the line has one, or has what was meant to be one.
fn section(text: &str, indented: bool) -> Option<Result<Pattern, Reason>> {
    if text.starts_with('/') {
        return Some(Pattern::parse(text));
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        return Some(Err(
            "paths with a host are not supported: write the path alone, such as `/*`".into(),
        ));
    }
    (!indented && !text.contains(':') && !text.starts_with('!')).then(|| {
        Err(format!(
            "{} is neither a path, which begins with a slash, nor a header, as in `  Name: value`",
            shown(text)
        )
        .into())
    })
}

fn change(text: &str, pattern: &Pattern) -> Result<(HeaderName, Change), Reason> {
    if let Some(removed) = text.strip_prefix('!') {
        return Ok((name(removed)?, Change::Remove));
    }
    let (header, value) = text.split_once(':').ok_or_else(|| {
        Reason::from(format!("{} has no colon: write `Name: value`", shown(text)))
    })?;
    let header = name(header)?;
    let value = value.trim();
    if value.is_empty() {
        return Err(format!(
            "{} has no value: write `! Name` to remove it",
            shown(header.as_str())
        )
        .into());
    }
    if !value
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    {
        return Err(format!(
            "the value of {} has characters other than those of ASCII, which headers do not have",
            shown(header.as_str())
        )
        .into());
    }
    let template = Template::parse(value, pattern.names(), &HEADER)?;
    let change = match template.as_text().map(HeaderValue::from_str) {
        Some(Ok(value)) => Change::Add(value),
        _ => Change::AddWith(template),
    };
    Ok((header, change))
}

fn name(text: &str) -> Result<HeaderName, Reason> {
    let text = text.trim();
    let name = HeaderName::try_from(text)
        .map_err(|_| Reason::from(format!("{} cannot be the name of a header", shown(text))))?;
    if names::may_be_set(name.as_str()) {
        return Ok(name);
    }
    Err(format!(
        "a deployment may not set {}: remove the line (the documentation lists what it may set)",
        shown(text)
    )
    .into())
}

#[cfg(test)]
mod tests;
