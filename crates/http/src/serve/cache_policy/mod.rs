//! How long browsers and CDNs may keep an asset without asking again.
//!
//! 1. What names other files (HTML, manifests, remote entries) and service workers are asked for again every time.
//! 2. On the name of a version everything else is kept for a year: the name stands for one build for ever.
//! 3. Elsewhere that holds for file names with a fingerprint of the content, which the bundler put there.
//! 4. All else is asked for again, which costs a round trip and no body.
//!
//! # Telling a fingerprint from a word
//!
//! A word that is taken for a fingerprint shows stale content for a year; a fingerprint that is taken for a word costs
//! a round trip. So a fingerprint must look like one:
//!
//! * It stands behind a `-` or between dots, before the extension.
//! * Hexadecimal (webpack, Rspack, Parcel): an even number of 8 to 64 digits in lower case, mixed as no word, date or
//!   article number is.
//! * Base64url (Rollup, Vite): 8 characters that break into at least 5 runs (`B|8|il|Ru|Pq`), as what people write
//!   breaks into fewer (`Bar|Chart`, `i|Phone|6|s`). For code in the directories that bundlers write to 4 are enough.
//! * Base32 (esbuild): 8 capitals and digits from 2 to 7 that break into at least 4 runs, for code 3.
//!
//! Of random fingerprints that finds nearly all hexadecimal ones, three of four of Vite's scripts and styles, and
//! about half of the others.

use http::HeaderValue;

use super::media_type::{self, file_name};

/// The value of `Cache-Control` for an asset that answers with 200, 206 or 304; errors have `no-store`.
///
/// `path` is where the asset stands in the snapshot, not what was asked for. `version_name` says that the request came
/// under the name of one version.
pub(crate) fn cache_control(path: &str, version_name: bool) -> HeaderValue {
    let keep = !changes_under_its_name(path) && (version_name || has_fingerprint(path));
    HeaderValue::from_static(if keep {
        "public, max-age=31536000, immutable"
    } else {
        "public, max-age=0, must-revalidate"
    })
}

/// Whether an asset is one of those by which a browser learns of a new deployment.
fn changes_under_its_name(path: &str) -> bool {
    if media_type::is_html(path) {
        return true;
    }
    let name = file_name(path).to_ascii_lowercase();
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    match extension {
        "xhtml" | "webmanifest" | "appcache" => true,
        // zephyr-manifest, mf-manifest, asset-manifest, the statistics of Module Federation, Angular's worker's list.
        "json" => {
            stem == "manifest" || stem.ends_with("-manifest") || matches!(stem, "mf-stats" | "ngsw")
        }
        "js" | "mjs" | "cjs" => {
            stem == "remoteentry"
                || matches!(stem, "sw" | "ngsw-worker" | "registersw")
                || stem.ends_with("-sw")
                || stem.contains("service-worker")
                || stem.contains("serviceworker")
        }
        "zip" | "ts" => name.starts_with("@mf-types."),
        _ => false,
    }
}

/// Whether the name of a file says which content it has.
fn has_fingerprint(path: &str) -> bool {
    // SvelteKit names it so because all in it is.
    if path.starts_with("_app/immutable/") || path.contains("/_app/immutable/") {
        return true;
    }
    let Some((stem, extension)) = file_name(path).rsplit_once('.') else {
        return false;
    };
    let code = matches!(extension, "js" | "mjs" | "css" | "map");
    let shape = Shape {
        base64url_runs: if code && is_emitted(path) { 4 } else { 5 },
        base32_runs: if code { 3 } else { 4 },
    };
    stem.split('.').enumerate().any(|(position, token)| {
        let token = token.as_bytes();
        let dotted = if position == 0 {
            // A name that is nothing else.
            is_hex(token, 16, Separator::Dot)
        } else {
            is_hex(token, 8, Separator::Dot) || shape.fits(token)
        };
        dotted || ends_in_fingerprint(token, shape)
    })
}

/// Whether a path is in a directory where bundlers put what they make, and people put pictures at most.
fn is_emitted(path: &str) -> bool {
    path.split('/')
        .any(|segment| matches!(segment, "assets" | "chunks" | "_astro" | "_nuxt"))
}

/// How a fingerprint of 8 characters must look.
#[derive(Clone, Copy)]
struct Shape {
    base64url_runs: usize,
    base32_runs: usize,
}

impl Shape {
    fn fits(self, token: &[u8]) -> bool {
        let count = |which: fn(&u8) -> bool| token.iter().filter(|byte| which(byte)).count();
        let lower = count(u8::is_ascii_lowercase);
        let upper = count(u8::is_ascii_uppercase);
        let digits = count(u8::is_ascii_digit);
        let symbols = count(|byte| matches!(byte, b'-' | b'_'));
        if token.len() != 8 || lower + upper + digits + symbols != 8 {
            return false;
        }
        if lower == 0 {
            let base32 = count(|byte| matches!(byte, b'2'..=b'7'));
            return upper > 4 && upper + base32 == 8 && runs(token) >= self.base32_runs;
        }
        // Not `A-To-Z-1`, not `NavBarV2`.
        upper > 0 && symbols < 2 && !ends_in_version(token) && runs(token) >= self.base64url_runs
    }
}

/// Whether a token ends in a `v` and a number.
fn ends_in_version(token: &[u8]) -> bool {
    let mut from_end = token.iter().rev().skip_while(|byte| byte.is_ascii_digit());
    token.last().is_some_and(u8::is_ascii_digit) && matches!(from_end.next(), Some(b'v' | b'V'))
}

/// Whether a part of a name is a word, a `-` and a fingerprint, which may hold a `-` itself.
fn ends_in_fingerprint(token: &[u8], shape: Shape) -> bool {
    if let Some((before, tail)) = token.split_last_chunk::<8>()
        && before.ends_with(b"-")
        && shape.fits(tail)
    {
        return true;
    }
    let mut words = token.rsplit(|&byte| byte == b'-');
    let last = words.next().unwrap_or_default();
    match words.next() {
        // The last group of a UUID: a name, and no fingerprint.
        Some(group) if group.len() == 4 && group.iter().all(u8::is_ascii_hexdigit) => false,
        Some(_) => is_hex(last, 8, Separator::Hyphen),
        None => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    Dot,
    Hyphen,
}

fn is_hex(token: &[u8], shortest: usize, separator: Separator) -> bool {
    let all_hex = token
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !all_hex || token.len() % 2 == 1 || !(shortest..=64).contains(&token.len()) {
        return false;
    }
    let runs: Vec<&[u8]> = token
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .collect();
    if runs.len() < 2 {
        return false;
    }
    if token.len() >= 16 {
        return runs.len() > 3;
    }
    // `cafe2024`, `1dec2024`, `add2face`.
    let word = runs
        .iter()
        .any(|run| run.len() > 2 && !run.iter().any(u8::is_ascii_digit));
    // `ad000123`, `dc001111`.
    let repetition = token
        .windows(3)
        .any(|w| matches!(w, [a, b, c] if a == b && b == c));
    // `page-ab123456`: behind a hyphen it may as well be the number of an article.
    let numbered = runs.len() == 2 && separator == Separator::Hyphen;
    !(repetition || numbered || (word && runs.len() < 4))
}

/// How many words, abbreviations and numbers a text breaks into: `My3DView` is `My|3|D|View`.
fn runs(text: &[u8]) -> usize {
    let mut runs = 0;
    let mut previous = b'-';
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let starts = match byte {
            b'0'..=b'9' => !previous.is_ascii_digit(),
            b'a'..=b'z' => !previous.is_ascii_alphabetic(),
            // The last capital before small letters belongs to them: `HTML|View`.
            b'A'..=b'Z' => {
                !previous.is_ascii_uppercase() || bytes.peek().is_some_and(u8::is_ascii_lowercase)
            }
            _ => false,
        };
        runs += usize::from(starts);
        previous = byte;
    }
    runs
}

#[cfg(test)]
mod tests;
