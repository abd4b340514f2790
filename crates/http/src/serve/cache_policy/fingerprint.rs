//! Tells a fingerprint of the content in the name of a file from a word.
//!
//! A word that is taken for a fingerprint shows stale content for a year; a fingerprint that is taken for a word costs
//! a round trip. So a fingerprint must look like one:
//!
//! * It stands behind a `-` or between dots, before the extension.
//! * Hexadecimal (webpack, Rspack, Parcel): an even number of 8 to 64 digits in lower case, mixed as no word, date or
//!   article number is. It may be the whole name, but data and pictures are also named by the ids of what they show:
//!   of those only a length that no usual id has is taken.
//! * Base64url (Rollup, Vite): 8 characters that break into at least 5 runs (`B|8|il|Ru|Pq`), as what people write
//!   breaks into fewer (`Bar|Chart`, `i|Phone|6|s`). For code in the directories that bundlers write to 4 are enough.
//! * Base32 (esbuild): 8 capitals and digits from 2 to 7 that break into at least 4 runs, for code 3.
//!
//! Of random fingerprints that finds nearly nine of ten in hexadecimal, three of four of Vite's scripts and styles, and
//! about half of the others.

use super::super::media_type::file_name;

/// Whether the name of a file says which content it has.
pub(super) fn is_in(path: &str) -> bool {
    // SvelteKit names it so because all in it is.
    if path.starts_with("_app/immutable/") || path.contains("/_app/immutable/") {
        return true;
    }
    let Some((stem, extension)) = file_name(path).rsplit_once('.') else {
        return false;
    };
    let code = matches!(extension, "js" | "mjs" | "css" | "map");
    let file = File {
        code,
        emitted: code && is_emitted(path),
    };
    stem.split('.').enumerate().any(|(position, token)| {
        let token = token.as_bytes();
        let whole = if position == 0 {
            file.is_hex(token, Place::Alone)
        } else {
            file.is_hex(token, Place::BetweenDots) || file.is_of_eight(token)
        };
        whole || file.ends_in_fingerprint(token)
    })
}

/// Whether a path is in a directory where bundlers put what they make, and people put pictures at most.
fn is_emitted(path: &str) -> bool {
    path.split('/')
        .any(|segment| matches!(segment, "assets" | "chunks" | "_astro" | "_nuxt"))
}

/// What a file is, as far as it says how its fingerprint must look.
#[derive(Clone, Copy)]
struct File {
    /// Scripts, styles and their source maps.
    code: bool,
    /// Code in a directory of the bundler's.
    emitted: bool,
}

/// Where in a name a fingerprint stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    BetweenDots,
    BehindHyphen,
}

impl File {
    /// Whether a part of a name is a word, a `-` and a fingerprint, which may hold a `-` itself.
    fn ends_in_fingerprint(self, token: &[u8]) -> bool {
        if let Some((before, tail)) = token.split_last_chunk::<8>()
            && before.ends_with(b"-")
            && self.is_of_eight(tail)
        {
            return true;
        }
        let mut words = token.rsplit(|&byte| byte == b'-');
        let last = words.next().unwrap_or_default();
        match words.next() {
            // The last group of a UUID: an id.
            Some(group) if group.len() == 4 && group.iter().all(u8::is_ascii_hexdigit) => false,
            Some(_) => self.is_hex(last, Place::BehindHyphen),
            None => false,
        }
    }

    fn is_of_eight(self, token: &[u8]) -> bool {
        let count = |which: fn(&u8) -> bool| token.iter().filter(|byte| which(byte)).count();
        let lower = count(u8::is_ascii_lowercase);
        let upper = count(u8::is_ascii_uppercase);
        let digits = count(u8::is_ascii_digit);
        let symbols = count(|byte| matches!(byte, b'-' | b'_'));
        if token.len() != 8 || lower + upper + digits + symbols != 8 {
            return false;
        }
        if lower == 0 {
            let base32 = upper + count(|byte| matches!(byte, b'2'..=b'7'));
            return base32 == 8 && upper > 4 && runs(token) >= if self.code { 3 } else { 4 };
        }
        // Not `A-To-Z-1`, not `NavBarV2`.
        let few_symbols = symbols < 2 && !ends_in_version(token);
        upper > 0 && few_symbols && runs(token) >= if self.emitted { 4 } else { 5 }
    }

    fn is_hex(self, token: &[u8], place: Place) -> bool {
        let is_hex_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let length_fits = match (place, token.len()) {
            (Place::Alone, length) if self.code => (16..=64).contains(&length),
            // webpack names pictures by 20 digits and nothing else.
            (Place::Alone, length) => length == 20,
            // Ids of documents, and UUIDs.
            (_, 24 | 32) => self.code,
            (_, length) => (8..=64).contains(&length),
        };
        if !length_fits || token.len() % 2 == 1 || !token.iter().all(is_hex_digit) {
            return false;
        }
        let runs = || token.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
        let count = runs().count();
        if token.len() >= 16 {
            return count > 3;
        }
        // `cafe2024`, `1dec2024`, `add2face`.
        let word = runs().any(|run| run.len() > 2 && !run.iter().any(u8::is_ascii_digit));
        // `ad000123`, `dc001111`.
        let repetition = token
            .windows(3)
            .any(|three| matches!(three, [a, b, c] if a == b && b == c));
        let fewest = match place {
            _ if word => 4,
            // `page-ab123456`: it may as well be the number of an article.
            Place::BehindHyphen => 3,
            Place::Alone | Place::BetweenDots => 2,
        };
        count >= fewest && !repetition
    }
}

/// Whether a token ends in a `v` and a number.
fn ends_in_version(token: &[u8]) -> bool {
    let mut from_end = token.iter().rev().skip_while(|byte| byte.is_ascii_digit());
    token.last().is_some_and(u8::is_ascii_digit) && matches!(from_end.next(), Some(b'v' | b'V'))
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
mod tests {
    use super::*;

    #[test]
    fn texts_break_into_runs() {
        let cases = [
            ("BarChart", 2),
            ("HTMLView", 2),
            ("My3DView", 4),
            ("iPhone6s", 4),
            ("B8ilRuPq", 5),
            ("BPyDdyMe", 4),
            ("B-OjCZyu", 4),
            ("IMG_0001", 2),
            ("__--", 0),
            ("", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(runs(text.as_bytes()), expected, "{text}");
        }
    }
}
