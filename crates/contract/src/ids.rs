//! Names of applications and snapshots.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Invalid, excerpt};

/// Longest application uid, in bytes.
pub const MAX_APPLICATION_UID: usize = 255;
/// Longest snapshot id, in bytes.
pub const MAX_SNAPSHOT_ID: usize = 512;

/// An application: `app.project.org`, each part of lower-case letters, digits and hyphens.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ApplicationUid(Arc<str>);

impl ApplicationUid {
    /// The uid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApplicationUid {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |problem| Err(Invalid::new("application_uid", problem));
        if text.len() > MAX_APPLICATION_UID {
            return invalid(format!("is longer than {MAX_APPLICATION_UID} bytes"));
        }
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        if text.split('.').count() != 3 || !text.split('.').all(part) {
            return invalid(format!(
                "`{}` is not of the form app.project.org with lower-case letters, digits and hyphens",
                excerpt(text)
            ));
        }
        Ok(Self(text.into()))
    }
}

/// A snapshot (one version of an application): `<user>-<build>.<application_uid>`.
///
/// The user part comes as the user has it, in any script; it is kept exactly and cleaned only for hostnames.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SnapshotId(Arc<str>);

impl SnapshotId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the id names a snapshot of this application: it ends in a dot and the application's uid.
    pub fn belongs_to(&self, application: &ApplicationUid) -> bool {
        self.0
            .strip_suffix(application.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|version| !version.is_empty())
    }
}

impl FromStr for SnapshotId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |problem: String| Err(Invalid::new("snapshot_id", problem));
        if text.is_empty() {
            return invalid("is empty".into());
        }
        if text.len() > MAX_SNAPSHOT_ID {
            return invalid(format!("is longer than {MAX_SNAPSHOT_ID} bytes"));
        }
        if text.chars().any(char::is_control) {
            return invalid(format!("`{}` has a control character", excerpt(text)));
        }
        Ok(Self(text.into()))
    }
}

/// `Display`, `Debug`, `AsRef<str>` and a checking `Deserialize` for a name that is text inside.
macro_rules! text_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_name;

text_name!(ApplicationUid);
text_name!(SnapshotId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_uid() {
        let long = format!("{}.b.c", "a".repeat(252));
        let cases = [
            ("usual", "shop.web.acme", true),
            ("leading hyphen", "-acme-shop.web.acme", true),
            ("two parts", "shop.acme", false),
            ("four parts", "a.b.c.d", false),
            ("upper case", "Shop.web.acme", false),
            ("empty part", "shop..acme", false),
            ("underscore", "sh_op.web.acme", false),
            ("redis glob", "*.*.*", false),
            ("line break", "shop.web.acme\n", false),
            ("256 bytes", &long, false),
            ("255 bytes", long.get(1..).unwrap(), true),
            ("empty", "", false),
        ];
        for (name, text, valid) in cases {
            assert_eq!(
                text.parse::<ApplicationUid>().is_ok(),
                valid,
                "case `{name}`"
            );
        }
    }

    #[test]
    fn snapshot_id() {
        let long = "x".repeat(512);
        let cases = [
            ("usual", "alice-42.shop.web.acme", true),
            ("as users are called", "Dr. Ada Öz@x-1.shop.web.acme", true),
            ("512 bytes", &long, true),
            ("513 bytes", &format!("{long}x"), false),
            ("control character", "a\u{7f}-1.shop.web.acme", false),
            ("empty", "", false),
        ];
        for (name, text, valid) in cases {
            assert_eq!(text.parse::<SnapshotId>().is_ok(), valid, "case `{name}`");
        }
    }

    #[test]
    fn a_snapshot_belongs_to_the_application_it_ends_in() {
        let app: ApplicationUid = "shop.web.acme".parse().unwrap();
        let cases = [
            ("alice-42.shop.web.acme", true),
            ("a.b-42.shop.web.acme", true),
            ("alice-42.workshop.web.acme", false),
            (".shop.web.acme", false),
            ("shop.web.acme", false),
        ];
        for (id, expected) in cases {
            assert_eq!(
                id.parse::<SnapshotId>().unwrap().belongs_to(&app),
                expected,
                "{id}"
            );
        }
    }
}
