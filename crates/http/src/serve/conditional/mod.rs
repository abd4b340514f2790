//! Conditional requests (RFC 9110, section 13): is what the client has still right?

use std::{
    io::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use favonius_contract::AssetRef;
use favonius_storage::Coding;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE},
};

/// What the preconditions of a GET or HEAD come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Answer as if there were none.
    Met,
    /// 304: the client has it.
    NotModified,
    /// 412: the client wants only what is no longer there.
    Failed,
}

/// The strong validator of an asset in one of its forms.
///
/// A form is a content coding, by its name. Each form has its own tag, as a cache may keep several side by side.
pub(crate) fn etag(asset: AssetRef, form: Option<&str>) -> HeaderValue {
    Tag::of(asset).header(form)
}

/// What the validators of all forms of an asset have in common.
///
/// Half of the hash in hexadecimal digits, which is enough to tell the versions of one URL apart, a dot, and the size: that is the
/// validator of the asset itself.
pub(crate) struct Tag(HeaderValue);

impl Tag {
    /// Two quotes, 32 digits, a dot, and the digits of the largest size.
    const LONGEST: usize = 2 + 32 + 1 + 20;

    pub(crate) fn of(asset: AssetRef) -> Self {
        let (half, _) = asset.hash.as_bytes().split_at(16);
        let mut digits = [0; 32];
        let hexadecimal = hex::encode_to_slice(half, &mut digits);
        debug_assert!(hexadecimal.is_ok(), "two digits for each of 16 bytes");
        let mut tag = Vec::with_capacity(Self::LONGEST);
        tag.push(b'"');
        tag.extend_from_slice(&digits);
        let written = write!(tag, ".{}\"", asset.size);
        debug_assert!(written.is_ok(), "a vector takes everything");
        Self(header(tag))
    }

    /// From the validator of the asset itself, which was made for it before.
    pub(crate) fn from_plain(etag: &HeaderValue) -> Self {
        Self(etag.clone())
    }

    /// Without quotes.
    fn inner(&self) -> &[u8] {
        match self.0.as_bytes() {
            [b'"', inner @ .., b'"'] => inner,
            all => all,
        }
    }

    /// The validator of one form.
    pub(crate) fn header(&self, form: Option<&str>) -> HeaderValue {
        let Some(form) = form else {
            return self.0.clone();
        };
        let mut tag = Vec::with_capacity(self.0.len() + 8);
        tag.push(b'"');
        tag.extend_from_slice(self.inner());
        tag.push(b'-');
        tag.extend(
            form.bytes()
                .filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'),
        );
        tag.push(b'"');
        header(tag)
    }

    /// Which form a tag, with its quotes, is the validator of. `None` when it is of no form of this asset.
    pub(crate) fn form(&self, opaque: &[u8]) -> Option<Form> {
        let inner = opaque.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let form = inner.strip_prefix(self.inner())?;
        if form.is_empty() {
            return Some(Form::Plain);
        }
        let name = form.strip_prefix(b"-")?;
        Coding::ALL
            .into_iter()
            .find(|coding| coding.as_str().as_bytes() == name)
            .map(Form::Coded)
    }
}

fn header(tag: Vec<u8>) -> HeaderValue {
    HeaderValue::try_from(tag).expect("hexadecimal digits, digits, letters, `.`, `-` and quotes")
}

/// A form of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The asset as it is.
    Plain,
    /// The asset in a coding.
    Coded(Coding),
}

/// When the content was made, in whole seconds, as `Last-Modified` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LastModified(u64);

impl LastModified {
    /// Start of the year 10000, which an HTTP date cannot express.
    const END: u64 = 253_402_300_800;

    /// From milliseconds since the Unix epoch. `None` for 0, which stands for unknown, and beyond the year 9999.
    pub(crate) fn from_unix_ms(ms: u64) -> Option<Self> {
        Some(ms / 1000)
            .filter(|seconds| ms != 0 && *seconds < Self::END)
            .map(Self)
    }

    /// The value of the `Last-Modified` header.
    pub(crate) fn header(self) -> HeaderValue {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.0));
        HeaderValue::try_from(date).expect("an HTTP date is ASCII")
    }

    /// Reads any of the three forms of an HTTP date.
    pub(super) fn parse(value: &HeaderValue) -> Option<Self> {
        let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
        let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Self(seconds))
    }
}

/// Which preconditions a request has: a bit for each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions(u8);

impl Conditions {
    const MATCH: u8 = 1;
    const NONE_MATCH: u8 = 1 << 1;
    const MODIFIED_SINCE: u8 = 1 << 2;
    const UNMODIFIED_SINCE: u8 = 1 << 3;

    /// Takes note of a header if it is one of a precondition.
    pub(crate) fn note(&mut self, name: &HeaderName) {
        if *name == IF_NONE_MATCH {
            self.0 |= Self::NONE_MATCH;
        } else if *name == IF_MODIFIED_SINCE {
            self.0 |= Self::MODIFIED_SINCE;
        } else if *name == IF_MATCH {
            self.0 |= Self::MATCH;
        } else if *name == IF_UNMODIFIED_SINCE {
            self.0 |= Self::UNMODIFIED_SINCE;
        }
    }

    pub(crate) fn are_any(self) -> bool {
        self.0 != 0
    }

    fn has(self, which: u8) -> bool {
        self.0 & which != 0
    }
}

/// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110, section 13.2.2.
///
/// A malformed header is ignored. Dates count only where the client sent no tags.
///
/// `If-Modified-Since` is met by exactly our date and no other (as nginx does): a rollback makes content *older*, and a
/// cache that asks by a later date must still get it.
///
/// `conditions` are those of the headers. `is_ours` is shown tags with their quotes and says which of them stand for what would be
/// sent now.
pub(crate) fn evaluate(
    headers: &HeaderMap,
    conditions: Conditions,
    mut is_ours: impl FnMut(&[u8]) -> bool,
    last_modified: Option<LastModified>,
) -> Precondition {
    if conditions.has(Conditions::MATCH) {
        if matches(headers, &IF_MATCH, &mut is_ours, Comparison::Strong) == Some(false) {
            return Precondition::Failed;
        }
    } else if conditions.has(Conditions::UNMODIFIED_SINCE)
        && let (Some(since), Some(modified)) = (date(headers, &IF_UNMODIFIED_SINCE), last_modified)
        && modified > since
    {
        return Precondition::Failed;
    }
    let unmodified = if conditions.has(Conditions::NONE_MATCH) {
        matches(headers, &IF_NONE_MATCH, &mut is_ours, Comparison::Weak) == Some(true)
    } else {
        conditions.has(Conditions::MODIFIED_SINCE)
            && last_modified.is_some()
            && date(headers, &IF_MODIFIED_SINCE) == last_modified
    };
    if unmodified {
        Precondition::NotModified
    } else {
        Precondition::Met
    }
}

/// The date in a header that may occur once.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<LastModified> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    LastModified::parse(value)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags, over all lines of the header, holds this one. `None` when it is malformed.
fn matches(
    headers: &HeaderMap,
    name: &HeaderName,
    is_ours: &mut impl FnMut(&[u8]) -> bool,
    comparison: Comparison,
) -> Option<bool> {
    let lines = headers.get_all(name);
    let mut first = lines.iter();
    if let (Some(only), None) = (first.next(), first.next()) {
        let only = only.as_bytes().trim_ascii();
        // A list of one tag of ours, as nearly all are, need not be taken apart.
        if only == b"*" || is_ours(only) {
            return Some(true);
        }
    }
    let mut found = false;
    for line in lines {
        let mut rest = line.as_bytes();
        loop {
            rest = trim_list(rest);
            if rest.is_empty() {
                break;
            }
            let (weak, opaque, after) = entity_tag(rest)?;
            // Between two tags there is a comma.
            let after = after.trim_ascii_start();
            if !after.is_empty() && !after.starts_with(b",") {
                return None;
            }
            found |= (comparison == Comparison::Weak || !weak) && is_ours(opaque);
            rest = after;
        }
    }
    Some(found)
}

/// Without leading white space and commas: a list may have empty elements.
fn trim_list(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b',', after @ ..] = rest {
        rest = after;
    }
    rest
}

/// The first tag of a list: whether it is weak, the tag with its quotes, and what follows. A tag may hold commas.
fn entity_tag(text: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (weak, text) = match text.strip_prefix(b"W/") {
        Some(opaque) => (true, opaque),
        None => (false, text),
    };
    let inner = text.strip_prefix(b"\"")?;
    let length = inner.iter().position(|&byte| byte == b'"')?;
    let (tag, after) = text.split_at_checked(length + 2)?;
    inner
        .get(..length)?
        .iter()
        .all(|&byte| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80)
        .then_some((weak, tag, after))
}

#[cfg(test)]
mod tests;
