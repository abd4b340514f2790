//! The right side of a rule: where to go.
//!
//! A `Location` is put together from parts of which the first, the origin or the prefix of the deployment, is never made
//! of what was asked for. Then comes one slash, then a path that begins with none: so `//other.host` cannot come about.

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::{
    super::{
        pattern::decoded,
        problem::{Reason, shown},
        template::{PATH, QUERY, Template},
    },
    Asked,
};

/// A rule whose result is longer does not hold: no browser or proxy is sure to take it.
const MAX_LOCATION: usize = 8 * 1024;
/// What could end a query, or a header, of what clients send as it is.
const NOT_IN_SENT_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

#[derive(Debug)]
pub(super) struct Target {
    /// `https://host`, or nothing for a path in the deployment.
    origin: Option<String>,
    path: Template,
    query: Option<Template>,
    fragment: Option<Template>,
}

impl Target {
    /// Reads a path or a URL, in which these names may stand.
    pub(super) fn parse(text: &str, names: &[String]) -> Result<Self, Reason> {
        if text.contains('\\') {
            return Err(format!("the target {} has a backslash: write `/`", shown(text)).into());
        }
        let (origin, rest) = split_origin(text)?;
        let (rest, fragment) = split_off(rest, '#');
        let (path, query) = split_off(rest, '?');
        if origin.is_none() && path.starts_with("//") {
            let reason = "names another host after `//`: write `https://` before it, or one slash";
            return Err(format!("the target {} {reason}", shown(text)).into());
        }
        let path = if path.is_empty() { "/" } else { path };
        if !is_plain(&decoded(path)?) {
            let reason = "has a `.` or `..` segment, a backslash or a control character";
            return Err(format!("the target {} {reason}", shown(text)).into());
        }
        let in_query = |text| Template::parse(text, names, &QUERY);
        Ok(Self {
            origin,
            path: Template::parse(path, names, &PATH)?,
            query: query.map(in_query).transpose()?,
            fragment: fragment.map(in_query).transpose()?,
        })
    }

    pub(super) fn has_host(&self) -> bool {
        self.origin.is_some()
    }

    pub(super) fn has_fragment(&self) -> bool {
        self.fragment.is_some()
    }

    /// The path in the deployment, decoded and without a leading slash.
    pub(super) fn path_inside(&self, values: &[&str]) -> Option<String> {
        let (_, path) = self.path(values)?;
        Some(path.trim_start_matches('/').to_owned())
    }

    /// `None` if it is where the request already is, or cannot be used.
    pub(super) fn location(&self, values: &[&str], asked: &Asked<'_>) -> Option<HeaderValue> {
        let (encoded, path) = self.path(values)?;
        let part = |template: &Option<Template>| match template {
            Some(template) => template.render(values, MAX_LOCATION).map(Some),
            None => Some(None),
        };
        // A target without a query gets that of the request.
        let sent = asked.query.filter(|query| !query.is_empty());
        let query = part(&self.query)?
            .or_else(|| sent.map(|sent| utf8_percent_encode(sent, NOT_IN_SENT_QUERY).to_string()))
            .filter(|query| !query.is_empty());
        let same_query = self.query.is_none() || query.as_deref() == sent;
        if self.origin.is_none() && same_query && same_path(&path, asked.path) {
            return None;
        }
        let start = self.origin.as_deref().unwrap_or(asked.prefix);
        let mut location = format!("{start}/{}", encoded.trim_start_matches('/'));
        let fragment = part(&self.fragment)?;
        for (mark, text) in [('?', query), ('#', fragment)] {
            if let Some(text) = text {
                location.push(mark);
                location.push_str(&text);
            }
        }
        if location.len() > MAX_LOCATION {
            return None;
        }
        HeaderValue::try_from(location).ok()
    }

    /// Encoded, and decoded.
    fn path(&self, values: &[&str]) -> Option<(String, String)> {
        let encoded = self.path.render(values, MAX_LOCATION)?;
        let path = percent_decode_str(&encoded)
            .decode_utf8()
            .ok()?
            .into_owned();
        is_plain(&path).then_some((encoded, path))
    }
}

/// Whether a decoded path stays where it is: the same that is asked of the paths of requests.
fn is_plain(path: &str) -> bool {
    !path.chars().any(|c| c == '\\' || c.is_control())
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Rules do not tell paths by a slash at their end, so one that adds or removes it would be followed for ever.
fn same_path(target: &str, asked: &str) -> bool {
    let target = target.trim_start_matches('/');
    target.strip_suffix('/').unwrap_or(target) == asked.strip_suffix('/').unwrap_or(asked)
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

fn split_origin(text: &str) -> Result<(Option<String>, &str), Reason> {
    if text.starts_with('/') {
        return Ok((None, text));
    }
    let (scheme, rest) = text
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "https" | "http"))
        .ok_or("a target begins with `/`, `https://` or `http://`")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let (name, port) = split_off(host, ':');
    if !is_host(name) || !port.is_none_or(is_port) {
        return Err(format!(
            "{} cannot be the host of a target: write a name in ASCII, without placeholders and without a user",
            shown(host)
        )
        .into());
    }
    Ok((Some(format!("{scheme}://{host}")), rest))
}

fn is_host(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(allowed)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}
