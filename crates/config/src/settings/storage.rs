//! Where assets and records are kept.

use std::path::{Path, PathBuf};

use crate::{
    keys::{self, Key, Section},
    parse::choice,
    problem::Reason,
    reader::{Checked, Reader},
    settings::{RedisSettings, S3Settings},
};

/// Where assets and records are kept.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, made at the start")]
pub enum Storage {
    /// In a directory and an embedded database: one process, no servers.
    #[non_exhaustive]
    Embedded {
        /// The directory; it need not exist yet.
        data_dir: PathBuf,
    },
    /// Assets in a bucket, records in Redis.
    #[non_exhaustive]
    S3Redis {
        /// The bucket.
        s3: S3Settings,
        /// The records.
        redis: RedisSettings,
    },
}

#[derive(Clone, Copy)]
enum Mode {
    Embedded,
    S3Redis,
}

impl Storage {
    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let modes = [("s3-redis", Mode::S3Redis), ("embedded", Mode::Embedded)];
        match reader.value(keys::STORAGE, choice(&modes)) {
            Ok(Mode::Embedded) => {
                warn_of_unused(reader, "is embedded", |key| {
                    matches!(key.section, Section::S3 | Section::Redis)
                });
                Ok(Self::Embedded {
                    data_dir: reader.value(keys::DATA_DIR, directory)?,
                })
            }
            Ok(Mode::S3Redis) => {
                warn_of_unused(reader, "is s3-redis", |key| key.name == keys::DATA_DIR.name);
                let s3 = S3Settings::read(reader);
                let redis = RedisSettings::read(reader);
                Ok(Self::S3Redis {
                    s3: s3?,
                    redis: redis?,
                })
            }
            // What is needed is not known, but what is set can be looked at.
            Err(noted) => {
                reader.check_only(noted, |reader| {
                    let checked = reader.value(keys::DATA_DIR, directory);
                    let s3 = S3Settings::read(reader);
                    let redis = RedisSettings::read(reader);
                    checked.and(s3.and(redis.map(drop)))
                })?;
                Err(noted)
            }
        }
    }
}

/// One warning for all keys that the choice of storage leaves unread.
fn warn_of_unused(reader: &mut Reader<'_>, because: &str, unused: impl Fn(&Key) -> bool) {
    let set: Vec<_> = keys::all()
        .filter(|key| unused(key) && reader.is_set(key))
        .map(|key| key.name)
        .collect();
    if !set.is_empty() {
        reader.warn(
            keys::STORAGE,
            format!("{because}, so nothing reads {}", set.join(", ")),
        );
    }
}

fn directory(text: &str) -> Result<PathBuf, Reason> {
    let path = Path::new(text);
    if path.exists() && !path.is_dir() {
        return Err(Reason::new("is not a directory"));
    }
    Ok(path.to_owned())
}
