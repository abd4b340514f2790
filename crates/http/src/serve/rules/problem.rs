//! Lines that were left out, for whoever wrote them.

use std::{borrow::Cow, fmt};

/// Beyond these of a file only their number is told.
const MAX_TOLD: usize = 50;
/// As much of a word is shown as lets one find it.
const MAX_SHOWN: usize = 60;

/// Why something in a file does not count, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    file: &'static str,
    line: usize,
    reason: Reason,
}

/// A sentence without its full stop.
pub(super) type Reason = Cow<'static, str>;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, reason } = self;
        write!(f, "{file}, line {line}: {reason}")
    }
}

/// The problems of one file, in the order of its lines.
#[derive(Debug)]
pub(super) struct Problems {
    file: &'static str,
    told: Vec<Problem>,
    /// How many more there are, and the line of the first of them.
    untold: usize,
    untold_from: usize,
}

impl Problems {
    pub(super) fn of(file: &'static str) -> Self {
        Self {
            file,
            told: Vec::new(),
            untold: 0,
            untold_from: 0,
        }
    }

    pub(super) fn note(&mut self, line: usize, reason: impl Into<Reason>) {
        if self.told.len() < MAX_TOLD {
            let (file, reason) = (self.file, reason.into());
            self.told.push(Problem { file, line, reason });
            return;
        }
        if self.untold == 0 {
            self.untold_from = line;
        }
        self.untold += 1;
    }

    pub(super) fn into_vec(mut self) -> Vec<Problem> {
        if self.untold > 0 {
            self.told.push(Problem {
                file: self.file,
                line: self.untold_from,
                reason: format!(
                    "{} more problems from here on are not listed: correct those above first",
                    self.untold
                )
                .into(),
            });
        }
        self.told
    }
}

/// A word of a file as it can be shown: short, and on one line.
pub(super) fn shown(word: &str) -> String {
    let start: String = word.chars().take(MAX_SHOWN).collect();
    let more = if start.len() < word.len() { "..." } else { "" };
    format!("`{}{more}`", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_problems_become_a_number() {
        let mut problems = Problems::of("_headers");
        for line in 1..=70 {
            problems.note(line, "no");
        }
        let told = problems.into_vec();
        assert_eq!(told.len(), 51);
        assert_eq!(told[0].to_string(), "_headers, line 1: no");
        assert_eq!(
            told[50].to_string(),
            "_headers, line 51: 20 more problems from here on are not listed: correct those above first"
        );
    }

    #[test]
    fn words_are_shown_short_and_on_one_line() {
        assert_eq!(shown("/a\u{1b}[1m"), "`/a\\u{1b}[1m`");
        assert_eq!(shown(&"x".repeat(61)), format!("`{}...`", "x".repeat(60)));
    }
}
