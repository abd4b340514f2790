//! What the commit script is given, and what it answers.
//!
//! `KEYS` are all keys that it may touch. `ARGV` is a list of texts that it takes one by one:
//!
//! 1. how long a history may be, the key of the states, whether to announce and if so the key of the outbox;
//! 2. how many applications may gain or lose a name, then for each its uid and the key of the set of its names;
//! 3. how many changes there are, then for each its kind and what belongs to it, see [`Arguments::change`].
//!
//! It answers with `applied` and a word for each change, or with a word and the number of the change (from 1):
//! `exists`, `unknown`, `owned` and the owner, `taken` and a snapshot, `corrupt` and a key: refused; or with `undeclared`
//! and the applications that would lose a name: the keys of their names are to be declared as well.

use std::{borrow::Cow, collections::HashMap};

use favonius_contract::{ApplicationUid, SnapshotId};
use favonius_storage::{
    Applied, Change, CommitError, ErrorKind, HISTORY_LIMIT, Order, Publish, Rejection, Remove,
    StorageError,
};
use redis::{Value, from_redis_value};

use crate::keys::{Key, Keys};

/// What errors of a commit speak of.
pub(crate) const DOING: (&str, &str) = ("commit to", "Redis");

/// What the script is called with.
#[derive(Debug, Default)]
pub(crate) struct Arguments<'a> {
    pub(crate) keys: Vec<String>,
    pub(crate) texts: Vec<Cow<'a, [u8]>>,
    places: HashMap<String, usize>,
}

impl<'a> Arguments<'a> {
    /// `losers` may lose a name, besides the applications that are named in the changes.
    pub(crate) fn new(
        keys: &Keys,
        changes: &'a [Change],
        losers: &'a [ApplicationUid],
        announces: bool,
    ) -> Self {
        let mut this = Self::default();
        this.text(HISTORY_LIMIT.to_string());
        this.key(keys.text(Key::States));
        this.flag(announces);
        if announces {
            this.key(keys.text(Key::Outbox));
        }
        let mut applications: Vec<&ApplicationUid> = losers.iter().collect();
        for change in changes {
            match change {
                Change::Published(publish) => applications.push(&publish.application),
                Change::Removed(remove) => applications.push(&remove.application),
                _ => {}
            }
        }
        applications.sort_unstable();
        applications.dedup();
        this.text(applications.len().to_string());
        for application in applications {
            this.text(application.as_str());
            this.key(keys.text(Key::Names(application)));
        }
        this.text(changes.len().to_string());
        for change in changes {
            this.change(keys, change);
        }
        this
    }

    /// About how many bytes are sent.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.iter().map(|text| text.len()).sum()
    }

    fn change(&mut self, keys: &Keys, change: &'a Change) {
        match change {
            Change::AssetStored { application, asset } => {
                self.text("asset_stored");
                self.key(keys.text(Key::Assets(application)));
                self.text(asset.to_string());
            }
            Change::AssetLost { application, asset } => {
                self.text("asset_lost");
                self.key(keys.text(Key::Assets(application)));
                self.text(asset.to_string());
            }
            Change::SnapshotStored(document) => {
                let snapshot = document.snapshot();
                self.text("snapshot_stored");
                self.key(keys.text(Key::Snapshot(&snapshot.snapshot_id)));
                self.key(keys.text(Key::Versions(&snapshot.application_uid)));
                self.text(snapshot.snapshot_id.as_str());
                self.text(quoted(snapshot.snapshot_id.as_str()));
                self.text(snapshot.created_at_ms.to_string());
                self.texts.push(document.json().into());
            }
            Change::Published(publish) => self.publish(keys, publish),
            Change::Removed(remove) => self.remove(keys, remove),
        }
    }

    fn publish(&mut self, keys: &Keys, publish: &'a Publish) {
        let order = Standing::of(&publish.order);
        let manifest = publish.manifest.map_or(String::new(), |asset| {
            serde_json::to_string(&asset).expect("plain fields always serialise")
        });
        self.text("published");
        self.key(keys.text(Key::Snapshot(&publish.snapshot_id)));
        self.key(keys.text(Key::Name(&publish.name)));
        self.key(keys.text(Key::History(&publish.name)));
        self.text(publish.name.as_str());
        self.text(quoted(publish.name.as_str()));
        self.text(publish.application.as_str());
        self.text(publish.snapshot_id.as_str());
        self.text(order.at.to_string());
        self.text(order.replica);
        self.text(manifest.clone());
        self.flag(publish.version);
        self.flag(order.is_local);
        self.flag(order.is_repair);
        self.flag(publish.takeover);
        let (start, end) = entry_around_time(publish, order.replica, &manifest);
        self.text(start);
        self.text(end);
    }

    fn remove(&mut self, keys: &Keys, remove: &'a Remove) {
        let order = Standing::of(&remove.order);
        self.text("removed");
        self.key(keys.text(Key::Name(&remove.name)));
        self.key(keys.text(Key::History(&remove.name)));
        self.text(remove.name.as_str());
        self.text(quoted(remove.name.as_str()));
        self.text(remove.application.as_str());
        self.text(order.at.to_string());
        self.text(order.replica);
        self.flag(order.is_local);
        self.flag(order.is_repair);
        self.flag(remove.takeover);
        let (start, end) = removal_around_time(&remove.application, order.replica);
        self.text(start);
        self.text(end);
    }

    fn text(&mut self, text: impl Into<Cow<'a, str>>) {
        self.texts.push(match text.into() {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        });
    }

    fn flag(&mut self, flag: bool) {
        self.text(if flag { "1" } else { "0" });
    }

    fn key(&mut self, key: String) {
        let next = self.keys.len() + 1;
        let place = *self.places.entry(key.clone()).or_insert(next);
        if place == next {
            self.keys.push(key);
        }
        self.text(place.to_string());
    }
}

/// An [`Order`], as the script takes it.
struct Standing<'a> {
    is_local: bool,
    is_repair: bool,
    at: u64,
    replica: &'a str,
}

impl<'a> Standing<'a> {
    fn of(order: &'a Order) -> Self {
        match order {
            Order::Local { now_ms, replica } => Self {
                is_local: true,
                is_repair: false,
                at: *now_ms,
                replica,
            },
            Order::Replicated {
                published_at,
                replica,
                repair,
            } => Self {
                is_local: false,
                is_repair: *repair,
                at: *published_at,
                replica,
            },
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The JSON of a removal before its time and after it.
fn removal_around_time(application: &ApplicationUid, replica: &str) -> (String, String) {
    let start = format!(
        r#"{{"application_uid":{},"published_at":"#,
        quoted(application.as_str())
    );
    (start, format!(r#","replica":{}}}"#, quoted(replica)))
}

/// The JSON of a publish's history entry, which is also what a record ends in: before its time, which only the script
/// knows, and after it up to where `version` would follow.
fn entry_around_time(publish: &Publish, replica: &str, manifest: &str) -> (String, String) {
    let start = format!(
        r#"{{"snapshot_id":{},"application_uid":{},"published_at":"#,
        quoted(publish.snapshot_id.as_str()),
        quoted(publish.application.as_str()),
    );
    let mut end = format!(r#","replica":{}"#, quoted(replica));
    if !manifest.is_empty() {
        end.push_str(r#","manifest":"#);
        end.push_str(manifest);
    }
    (start, end)
}

/// What the script made of the changes.
#[derive(Debug)]
pub(crate) enum Answer {
    /// They are made.
    Applied(Vec<Applied>),
    /// To be called again with these applications as losers.
    Losers(Vec<ApplicationUid>),
}

/// Reads the script's answer to these changes.
pub(crate) fn read_answer(changes: &[Change], answer: Value) -> Result<Answer, CommitError> {
    let strange = |what: &str| {
        let (doing, key) = DOING;
        StorageError::new(ErrorKind::Internal, doing, key).because(what)
    };
    let words: Vec<Vec<u8>> =
        from_redis_value(answer).map_err(|_| strange("the script answers no list"))?;
    let words: Vec<String> = words
        .into_iter()
        .map(|word| String::from_utf8(word).map_err(|_| strange("the script answers no text")))
        .collect::<Result<_, _>>()?;
    let (kind, rest) = words
        .split_first()
        .ok_or_else(|| strange("the script answers nothing"))?;
    if kind == "applied" {
        let applied: Option<Vec<Applied>> = rest.iter().map(|word| applied(word)).collect();
        return applied
            .filter(|applied| applied.len() == changes.len())
            .map(Answer::Applied)
            .ok_or_else(|| strange("the script does not answer for each change").into());
    }
    if kind == "undeclared" {
        let losers: Result<_, _> = rest.iter().map(|uid| application(uid)).collect();
        return losers.map(Answer::Losers);
    }
    let change = rest
        .first()
        .and_then(|number| changes.get(number.parse::<usize>().ok()?.checked_sub(1)?))
        .ok_or_else(|| strange("the script answers for no change"))?;
    let detail = rest.get(1).map(String::as_str).unwrap_or_default();
    match (kind.as_str(), change) {
        ("corrupt", _) => Err(corrupt(detail, "the record is no JSON object").into()),
        ("exists", Change::SnapshotStored(document)) => {
            Err(Rejection::SnapshotExists(document.snapshot().snapshot_id.clone()).into())
        }
        ("unknown", Change::Published(publish)) => {
            Err(Rejection::SnapshotUnknown(publish.snapshot_id.clone()).into())
        }
        (
            "owned",
            Change::Published(Publish { name, .. }) | Change::Removed(Remove { name, .. }),
        ) => Err(Rejection::NameOwned {
            name: name.clone(),
            owner: application(detail)?,
        }
        .into()),
        ("taken", Change::Published(publish)) => Err(Rejection::NameTaken {
            name: publish.name.clone(),
            snapshot_id: detail
                .parse::<SnapshotId>()
                .map_err(|error| corrupt(publish.name.as_str(), error))?,
        }
        .into()),
        _ => Err(strange("the script answers something unknown").into()),
    }
}

fn applied(word: &str) -> Option<Applied> {
    match word {
        "done" => Some(Applied::Done),
        "unchanged" => Some(Applied::Unchanged),
        "superseded" => Some(Applied::Superseded),
        "by_hand" => Some(Applied::ByHand),
        _ => None,
    }
}

fn application(uid: &str) -> Result<ApplicationUid, CommitError> {
    uid.parse().map_err(|error| corrupt(uid, error).into())
}

fn corrupt(key: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError::new(ErrorKind::Corrupt, DOING.0, key).because(why)
}

#[cfg(test)]
mod tests {
    use favonius_contract::{AssetHash, AssetRef, Publication, replication::Removal};
    use favonius_storage::HistoryEntry;
    use proptest::prelude::*;

    use super::*;

    fn publish(user: &str, manifest: Option<u64>) -> Publish {
        Publish {
            name: "www".parse().unwrap(),
            application: "a.b.c".parse().unwrap(),
            snapshot_id: format!("{user}-1.a.b.c").parse().unwrap(),
            order: Order::Local {
                now_ms: 5,
                replica: "eu".into(),
            },
            manifest: manifest.map(|size| AssetRef {
                hash: AssetHash::of(b"x", "y"),
                size,
            }),
            version: false,
            takeover: false,
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_what_others_write(
            user in "[^\\p{Cc}]{0,20}",
            replica: String,
            at: u64,
            manifest: Option<u64>,
        ) {
            let publish = publish(&user, manifest);
            let entry = HistoryEntry {
                snapshot_id: publish.snapshot_id.clone(),
                publication: Publication {
                    application_uid: publish.application.clone(),
                    published_at: at,
                    replica: replica.clone(),
                    manifest: publish.manifest,
                    version: false,
                },
            };
            let manifest = publish.manifest.map_or(String::new(), |asset| {
                serde_json::to_string(&asset).unwrap()
            });
            let (start, end) = entry_around_time(&publish, &replica, &manifest);
            prop_assert_eq!(format!("{start}{at}{end}}}"), serde_json::to_string(&entry).unwrap());
            let removal = Removal {
                application_uid: publish.application.clone(),
                published_at: at,
                replica: replica.clone(),
            };
            let (start, end) = removal_around_time(&publish.application, &replica);
            prop_assert_eq!(format!("{start}{at}{end}"), serde_json::to_string(&removal).unwrap());
        }
    }

    #[test]
    fn a_key_is_declared_once() {
        let keys = Keys::new("{x}:envs:", "{x}:snapshots:").unwrap();
        let changes: Vec<Change> = (0..3)
            .map(|_| Change::Published(publish("u", None)))
            .collect();
        let losers = ["a.b.c".parse().unwrap()];
        let arguments = Arguments::new(&keys, &changes, &losers, true);
        let expected = [
            "{x}:states",
            "{x}:outbox",
            "{x}:hosts:a.b.c",
            "{x}:snapshots:u-1.a.b.c",
            "{x}:envs:www",
            "{x}:history:www",
        ];
        assert_eq!(arguments.keys, expected);
    }

    #[test]
    fn strange_answers_are_errors() {
        let changes = [Change::Published(publish("u", None))];
        let cases: [&[&str]; 9] = [
            &[],
            &["applied"],
            &["applied", "done", "done"],
            &["applied", "perhaps"],
            &["unknown"],
            &["unknown", "0"],
            &["unknown", "2"],
            &["exists", "1"],
            &["owned", "1", "not an application"],
        ];
        for words in cases {
            let answer = words
                .iter()
                .map(|word| Value::BulkString(word.as_bytes().into()));
            let outcome = read_answer(&changes, Value::Array(answer.collect()));
            assert!(
                matches!(outcome, Err(CommitError::Storage(_))),
                "{words:?}: {outcome:?}"
            );
        }
    }
}
