//! What an asset is known by: the hash that the client made, together with its size.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::{Invalid, excerpt};

/// SHA-256 over an asset's content followed by its path, as clients compute it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssetHash([u8; 32]);

impl AssetHash {
    /// The raw digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of this content under this path.
    pub fn of(content: &[u8], path: &str) -> Self {
        let mut hasher = AssetHasher::default();
        hasher.update(content);
        hasher.finish(path)
    }
}

impl From<[u8; 32]> for AssetHash {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FromStr for AssetHash {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new(
                "hash",
                format!(
                    "`{}` is not 64 lower-case hexadecimal digits",
                    excerpt(text)
                ),
            )
        };
        // By hand: hex takes upper case as well, which would give one asset two names, and a snapshot has thousands.
        let (pairs, rest) = text.as_bytes().as_chunks();
        let mut digest = [0; 32];
        if pairs.len() != digest.len() || !rest.is_empty() {
            return Err(invalid());
        }
        let mut seen = 0;
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            let (high, low) = (hex_digit(*high), hex_digit(*low));
            seen |= high | low;
            *byte = high << 4 | low & 0xf;
        }
        if seen > 0xf {
            return Err(invalid());
        }
        Ok(Self(digest))
    }
}

/// The value of a lower-case hexadecimal digit; of anything else more than 15. Without a branch, so that all digits of a
/// hash are read at once.
const fn hex_digit(byte: u8) -> u8 {
    let decimal = byte.wrapping_sub(b'0');
    let letter = byte.wrapping_sub(b'a');
    if decimal < 10 {
        decimal
    } else if letter < 6 {
        letter + 10
    } else {
        u8::MAX
    }
}

impl fmt::Display for AssetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for AssetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssetHash({self})")
    }
}

impl Serialize for AssetHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The identity of an asset: hash **and** size.
///
/// The hash alone is ambiguous: the same bytes split differently between content and path have the same one. With the
/// size fixed, equal hashes mean equal content.
///
/// Its text is `<hash>.<size>`, the key under which stores keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AssetRef {
    /// What the client computed.
    pub hash: AssetHash,
    /// Length of the content, in bytes.
    pub size: u64,
}

impl fmt::Display for AssetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.hash, self.size)
    }
}

impl FromStr for AssetRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new(
                "asset",
                format!("`{}` is not of the form <hash>.<size>", excerpt(text)),
            )
        };
        let (hash, size) = text.split_once('.').ok_or_else(invalid)?;
        let parsed = Self {
            hash: hash.parse()?,
            size: size.parse().map_err(|_| invalid())?,
        };
        // One asset has one text: no `+5`, no `005`.
        if parsed.size.to_string() != size {
            return Err(invalid());
        }
        Ok(parsed)
    }
}

/// Computes an [`AssetHash`] while the content passes by.
#[derive(Debug, Clone, Default)]
pub struct AssetHasher {
    sha: Sha256,
    size: u64,
}

impl AssetHasher {
    /// Takes in the next piece of the content.
    pub fn update(&mut self, piece: &[u8]) {
        self.sha.update(piece);
        self.size += piece.len() as u64;
    }

    /// How many bytes were taken in.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of all that was taken in, under the path as the client hashed it. For an empty file the path stands in
    /// for the content too.
    pub fn finish(mut self, path: &str) -> AssetHash {
        if self.size == 0 {
            self.sha.update(path);
        }
        self.sha.update(path);
        AssetHash(self.sha.finalize().into())
    }

    /// The hash of the content alone.
    pub fn finish_content_only(self) -> AssetHash {
        AssetHash(self.sha.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_as_the_genuine_client_does() {
        // Values sent by vite-plugin-zephyr for files of these names and contents.
        let cases = [(
            "data/empty.txt",
            "",
            "39d5239182af04942e303372ca2f093f275b8bb70c746153bf65043aefd75f49",
        )];
        for (path, content, expected) in cases {
            assert_eq!(
                AssetHash::of(content.as_bytes(), path).to_string(),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn the_hash_alone_is_ambiguous_and_the_reference_is_not() {
        assert_eq!(AssetHash::of(b"ab", "c"), AssetHash::of(b"a", "bc"));
        assert_eq!(AssetHash::of(b"", "a"), AssetHash::of(b"a", "a"));
    }

    #[test]
    fn one_asset_has_one_text() {
        let hash = AssetHash::of(b"x", "y").to_string();
        let cases = [
            ("as written", format!("{hash}.12"), true),
            ("upper case", format!("{}.12", hash.to_uppercase()), false),
            ("leading zero", format!("{hash}.012"), false),
            ("sign", format!("{hash}.+12"), false),
            ("no size", hash.clone(), false),
            (
                "short hash",
                format!("{}.12", hash.get(..63).unwrap()),
                false,
            ),
            ("too large", format!("{hash}.99999999999999999999"), false),
        ];
        for (name, text, valid) in cases {
            assert_eq!(text.parse::<AssetRef>().is_ok(), valid, "case `{name}`");
        }
    }

    #[test]
    fn a_hash_has_lower_case_digits_at_all_places() {
        let digits = "0123456789abcdef".repeat(4);
        let hash: AssetHash = digits.parse().unwrap();
        assert_eq!(hash.to_string(), digits);
        for place in 0..64 {
            for byte in 0..=127_u8 {
                let mut text = digits.clone();
                text.replace_range(place..=place, &char::from(byte).to_string());
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let read = text.parse::<AssetHash>();
                assert_eq!(read.is_ok(), is_digit, "{text:?}");
                assert!(
                    read.is_err() || read.unwrap().to_string() == text,
                    "{text:?}"
                );
            }
        }
        for text in [
            String::new(),
            "\u{e4}".repeat(32),
            "a".repeat(63),
            "a".repeat(65),
        ] {
            text.parse::<AssetHash>().unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn text_and_back(digest: [u8; 32], size: u64) {
            let asset = AssetRef { hash: digest.into(), size };
            prop_assert_eq!(asset.to_string().parse::<AssetRef>().unwrap(), asset);
        }

        #[test]
        fn pieces_do_not_matter(content: Vec<u8>, cut in 0usize..64, path: String) {
            let cut = cut.min(content.len());
            let mut hasher = AssetHasher::default();
            hasher.update(&content[..cut]);
            hasher.update(&content[cut..]);
            prop_assert_eq!(hasher.finish(&path), AssetHash::of(&content, &path));
        }
    }
}
