//! One rule: `from [query parameters] to [status][!]`.

use http::StatusCode;

use super::{
    super::{
        pattern::Pattern,
        problem::{Reason, shown},
    },
    Rule,
    query::Condition,
    target::Target,
};

pub(super) fn parse(text: &str) -> Result<Rule, Reason> {
    let mut words = text
        .split([' ', '\t'])
        .filter(|word| !word.is_empty())
        // A comment may stand behind a rule.
        .take_while(|word| !word.starts_with('#'));
    let from = pattern(words.next().unwrap_or_default())?;
    let mut names = from.names().to_vec();
    let mut conditions = Vec::new();
    let target = loop {
        let Some(word) = words.next() else {
            return Err("the rule has no target: write `/from /to`".into());
        };
        if status(word).is_some() {
            return Err("the rule has no target before its status: write `/from /to 301`".into());
        }
        if is_target(word) {
            break Target::parse(word, &names)?;
        }
        conditions.push(Condition::parse(word, &mut names)?);
    };
    let (status, forced) = match words.next() {
        None => (StatusCode::MOVED_PERMANENTLY, false),
        Some(word) => status(word).ok_or_else(|| not_a_status(word))?,
    };
    if let Some(word) = words.next() {
        return Err(not_a_status(word));
    }
    check(status, &target)?;
    Ok(Rule {
        from,
        conditions,
        target,
        status,
        forced,
    })
}

fn is_target(word: &str) -> bool {
    word.starts_with(['/', '\\']) || has_scheme(word)
}

/// Not so a parameter whose value is a URL.
fn has_scheme(word: &str) -> bool {
    let scheme = word.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.contains(['/', '=']))
}

fn pattern(from: &str) -> Result<Pattern, Reason> {
    if has_scheme(from) {
        return Err("rules for one host are not supported: begin with the path".into());
    }
    if from.contains(['?', '#']) {
        return Err(
            "the path to redirect has a `?` or a `#`: write parameters behind it, as in `/from id=1 /to`"
                .into(),
        );
    }
    let without_slash = from.strip_suffix('/').filter(|path| !path.is_empty());
    let pattern = Pattern::parse(without_slash.unwrap_or(from))?;
    if !pattern.is_prefix() {
        return Err("a `*` can stand at the end of the path only".into());
    }
    Ok(pattern)
}

/// The status, and whether it is forced. `None` if the word is no number.
fn status(word: &str) -> Option<(StatusCode, bool)> {
    let (number, forced) = match word.strip_suffix('!') {
        Some(number) => (number, true),
        None => (word, false),
    };
    if number.len() != 3 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((number.parse().ok()?, forced))
}

fn not_a_status(word: &str) -> Reason {
    let name = word
        .split_once('=')
        .map(|(name, _)| name.to_ascii_lowercase());
    match name.as_deref() {
        Some("country" | "language" | "role" | "cookie") => format!(
            "the condition {} is not supported, and without it the rule would hold for everybody",
            shown(word)
        ),
        _ => format!(
            "{} is not expected behind the target: write a status, as in `/from /to 302`",
            shown(word)
        ),
    }
    .into()
}

fn check(status: StatusCode, target: &Target) -> Result<(), Reason> {
    match status.as_u16() {
        200 | 404 if target.has_host() => Err(format!(
            "with status {} the target is a path of the deployment: other hosts are not fetched from",
            status.as_u16()
        )
        .into()),
        200 | 404 if target.has_fragment() => Err(
            "the target has a `#`, which only a redirect can have: remove it".into(),
        ),
        301 | 302 | 303 | 307 | 308 | 200 | 404 => Ok(()),
        other => Err(format!(
            "status {other} is not supported: use 301, 302, 303, 307 or 308 to redirect, 200 or 404 to rewrite"
        )
        .into()),
    }
}
