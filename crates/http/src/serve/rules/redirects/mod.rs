//! `_redirects`: other places for paths.
//!
//! ```text
//! /news/:year/*    /blog/:year/:splat
//! /store id=:id    /products/:id      302
//! /app/*           /app/index.html    200
//! /shop/*          /closed.html       404!
//! ```
//!
//! The first rule that holds counts. A rule does not hold when what it gives cannot be used: the very URL that was asked
//! for, a path out of the deployment, one that is too long. Then the rules below it are looked at.

mod line;
mod query;
mod target;

use http::{HeaderValue, StatusCode};

use self::{
    query::{Condition, Query},
    target::Target,
};
use super::{
    MAX_RULES, REDIRECTS_FILE, lines,
    pattern::Pattern,
    problem::{Problem, Problems},
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Decoded, without its leading slash.
    pub(crate) path: &'a str,
    /// As it stands in the request.
    pub(crate) query: Option<&'a str>,
    /// What stands before the path on this origin: empty, or a slash and the rest, without a slash at its end.
    pub(crate) prefix: &'a str,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The browser is to go there.
    To {
        status: StatusCode,
        location: HeaderValue,
    },
    /// Another path of the deployment answers.
    Rewrite {
        /// Decoded, without a leading slash; with no `..` in it.
        path: String,
        /// 200 or 404.
        status: StatusCode,
        /// Whether the rule has a `*`, as the one that gives all paths to a client-side router.
        by_splat: bool,
    },
}

/// All rules of a file.
#[derive(Debug, Default)]
pub(super) struct Redirects(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    from: Pattern,
    conditions: Vec<Condition>,
    target: Target,
    status: StatusCode,
    /// Whether the rule holds where there is a file, too.
    forced: bool,
}

impl Redirects {
    pub(super) fn parse(file: &[u8]) -> (Self, Vec<Problem>) {
        let mut problems = Problems::of(REDIRECTS_FILE);
        let mut rules = Vec::new();
        for line in lines::of(file) {
            let rule = line.text.map_err(Into::into).and_then(line::parse);
            match rule {
                Ok(rule) if rules.len() < MAX_RULES => rules.push(rule),
                Ok(_) => {
                    let reason =
                        "the file has more than 1,000 rules: it is ignored from this line on";
                    problems.note(line.number, reason);
                    break;
                }
                Err(reason) => problems.note(line.number, reason),
            }
        }
        (Self(rules), problems.into_vec())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, asked: &Asked<'_>, forced_only: bool) -> Option<Redirect> {
        let mut rules = self
            .0
            .iter()
            .filter(|rule| rule.forced || !forced_only)
            .peekable();
        rules.peek()?;
        let query = Query::new(asked.query);
        let path = Path::new(asked.path);
        rules.find_map(|rule| rule.apply(asked, &path, &query))
    }
}

/// A path in the forms in which rules look at it: a slash at its end makes no difference.
struct Path<'a> {
    asked: &'a str,
    without_slash: &'a str,
    with_slash: String,
}

impl<'a> Path<'a> {
    fn new(path: &'a str) -> Self {
        let without_slash = path.strip_suffix('/').unwrap_or(path);
        Self {
            asked: path,
            without_slash,
            with_slash: format!("{without_slash}/"),
        }
    }

    fn matches(&self, from: &Pattern) -> Option<Vec<&str>> {
        if from.has_star() {
            // What a `*` takes is left as it is, and `/a/*` is also for `/a`.
            from.matches(self.asked)
                .or_else(|| from.matches(&self.with_slash))
        } else {
            from.matches(self.without_slash)
        }
    }
}

impl Rule {
    fn apply(&self, asked: &Asked<'_>, path: &Path<'_>, query: &Query<'_>) -> Option<Redirect> {
        let mut values = path.matches(&self.from)?;
        let mut conditions = self.conditions.iter();
        if !conditions.all(|condition| condition.holds(query, &mut values)) {
            return None;
        }
        if self.status.is_redirection() {
            let location = self.target.location(&values, asked)?;
            let status = self.status;
            return Some(Redirect::To { status, location });
        }
        Some(Redirect::Rewrite {
            path: self.target.path_inside(&values)?,
            status: self.status,
            by_splat: self.from.has_star(),
        })
    }
}

#[cfg(test)]
mod tests;
