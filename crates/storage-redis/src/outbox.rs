//! What the outbox' script is given, and what it answers.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use favonius_contract::replication::TargetRegion;
use favonius_storage::{CLAIMED_AFTER, DeadLetter, EventId, QueueState, StorageError};
use redis::FromRedisValue;

use crate::{
    keys::Key,
    records::{Inner, strange},
    scripts::OUTBOX,
};

/// Events that one call of the script changes at most: others wait for it.
pub(crate) const AT_ONCE: usize = 200;
/// Dead letters of a target that are kept, about.
const LETTERS: &str = "10000";

/// An event as it is in the stream.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: EventId,
    pub(crate) json: Vec<u8>,
}

impl Inner {
    async fn outbox<T: FromRedisValue>(
        &self,
        doing: &'static str,
        target: Option<&TargetRegion>,
        what: &str,
        further: impl IntoIterator<Item = &str>,
    ) -> Result<T, StorageError> {
        let mut keys = vec![self.keys.text(Key::Outbox)];
        let mut arguments: Vec<Cow<'_, [u8]>> = vec![what.as_bytes().into()];
        if let Some(target) = target {
            keys.push(self.keys.text(Key::Dead(target)));
            arguments.push(target.as_str().as_bytes().into());
        }
        arguments.extend(further.into_iter().map(|text| Cow::from(text.as_bytes())));
        self.run(doing, &OUTBOX, &keys, &arguments).await
    }

    pub(crate) async fn open_queue(&self, target: &TargetRegion) -> Result<(), StorageError> {
        let () = self
            .outbox("open a queue of", Some(target), "open", [])
            .await?;
        self.opened().insert(target.clone());
        Ok(())
    }

    /// Takes events; tells whether as many as were asked for were looked at, so that there may be more.
    pub(crate) async fn take_some(
        &self,
        target: &TargetRegion,
        taker: &str,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StorageError> {
        let doing = "take from";
        let (silence, limit) = (CLAIMED_AFTER.as_millis().to_string(), limit.to_string());
        let was_opened = if self.opened().contains(target) {
            "1"
        } else {
            "0"
        };
        let further = [taker, &silence, &limit, was_opened];
        let answer: Vec<Vec<u8>> = self.outbox(doing, Some(target), "take", further).await?;
        let (more, rest) = answer
            .split_first()
            .ok_or_else(|| strange(doing, target.as_str(), "the script answers nothing"))?;
        let entries = rest.as_chunks().0.iter().map(|[id, json]| Entry {
            id: EventId::new(String::from_utf8_lossy(id)),
            json: json.clone(),
        });
        Ok((entries.collect(), more == b"1"))
    }

    /// Lets a taker's events be as if it had been silent about them for so long.
    pub(crate) async fn set_silence(
        &self,
        doing: &'static str,
        target: &TargetRegion,
        taker: &str,
        silence_ms: u128,
        events: &[EventId],
    ) -> Result<(), StorageError> {
        let silence = silence_ms.to_string();
        for some in events.chunks(AT_ONCE) {
            let further = [taker, &silence].into_iter().chain(valid(some));
            let () = self.outbox(doing, Some(target), "hold", further).await?;
        }
        Ok(())
    }

    pub(crate) async fn acknowledge_all(
        &self,
        target: &TargetRegion,
        events: &[EventId],
    ) -> Result<(), StorageError> {
        for some in events.chunks(AT_ONCE) {
            let () = self
                .outbox("acknowledge in", Some(target), "acknowledge", valid(some))
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn bury_json(
        &self,
        target: &TargetRegion,
        id: &EventId,
        json: &[u8],
        reason: &str,
    ) -> Result<(), StorageError> {
        if !is_valid(id) {
            return Ok(());
        }
        let keys = [
            self.keys.text(Key::Outbox),
            self.keys.text(Key::Dead(target)),
        ];
        let queued_at = time_of(id.as_str()).to_string();
        let texts = ["bury", target.as_str(), id.as_str()];
        let mut arguments: Vec<Cow<'_, [u8]>> =
            texts.iter().map(|text| text.as_bytes().into()).collect();
        arguments.push(json.into());
        arguments.extend([reason, &queued_at, LETTERS].map(|text| Cow::from(text.as_bytes())));
        self.run("put aside in", &OUTBOX, &keys, &arguments).await
    }

    pub(crate) async fn enqueue_json(
        &self,
        target: &TargetRegion,
        events: &[String],
    ) -> Result<(), StorageError> {
        for some in events.chunks(AT_ONCE) {
            let events = some.iter().map(String::as_str);
            let () = self
                .outbox("append to", Some(target), "enqueue", events)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn state_of(&self, target: &TargetRegion) -> Result<QueueState, StorageError> {
        let doing = "look at";
        let (waiting, oldest, buried): (u64, String, u64) =
            self.outbox(doing, Some(target), "state", []).await?;
        Ok(QueueState {
            waiting,
            oldest_ms: (!oldest.is_empty()).then(|| time_of(&oldest)),
            buried,
        })
    }

    pub(crate) async fn open_queues(&self) -> Result<Vec<TargetRegion>, StorageError> {
        let names: Vec<String> = self.outbox("list queues of", None, "queues", []).await?;
        let mut targets: Vec<TargetRegion> =
            names.iter().filter_map(|name| name.parse().ok()).collect();
        targets.sort_unstable();
        Ok(targets)
    }

    /// Letters of a target up to one, oldest first.
    pub(crate) async fn letters(
        &self,
        target: &TargetRegion,
        upto: &str,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StorageError> {
        let key = self.keys.text(Key::Dead(target));
        let limit = limit.to_string();
        let found: Vec<(String, HashMap<String, Vec<u8>>)> = self
            .ask("read", "XRANGE", &key, &["-", upto, "COUNT", &limit])
            .await?;
        let letter = |(id, mut fields): (String, HashMap<String, Vec<u8>>)| {
            let mut text = |name| {
                let bytes = fields.remove(name).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            };
            DeadLetter {
                event: text("event"),
                reason: text("reason"),
                queued_at_ms: text("queued_at").parse().unwrap_or_default(),
                buried_at_ms: time_of(&id),
                id: EventId::new(id),
            }
        };
        Ok(found.into_iter().map(letter).collect())
    }

    /// The letter that was written last.
    pub(crate) async fn last_letter(
        &self,
        target: &TargetRegion,
    ) -> Result<Option<String>, StorageError> {
        let key = self.keys.text(Key::Dead(target));
        let found: Vec<(String, HashMap<String, Vec<u8>>)> = self
            .ask("read", "XREVRANGE", &key, &["+", "-", "COUNT", "1"])
            .await?;
        Ok(found.into_iter().next().map(|(id, _)| id))
    }

    pub(crate) async fn retry_some(
        &self,
        target: &TargetRegion,
        letters: &[EventId],
    ) -> Result<u64, StorageError> {
        let mut count = 0;
        for some in letters.chunks(AT_ONCE) {
            let retried: u64 = self
                .outbox("append to", Some(target), "retry", valid(some))
                .await?;
            count += retried;
        }
        Ok(count)
    }

    /// Removes what is not needed; tells how many events a target is not told of, by its URL.
    pub(crate) async fn trim_all(
        &self,
        keep_from_ms: u64,
    ) -> Result<BTreeMap<String, u64>, StorageError> {
        let (keep_from, most) = (keep_from_ms.to_string(), AT_ONCE.to_string());
        let mut lost = BTreeMap::new();
        loop {
            let answer: Vec<String> = self
                .outbox("trim", None, "trim", [&*keep_from, &most])
                .await?;
            let (more, rest) = answer
                .split_first()
                .ok_or_else(|| strange("trim", "the outbox", "the script answers nothing"))?;
            for [target, count] in rest.as_chunks().0 {
                *lost.entry(target.clone()).or_default() += count.parse().unwrap_or(0);
            }
            if more != "1" {
                return Ok(lost);
            }
        }
    }
}

/// Ids that are none of ours name nothing.
fn valid(ids: &[EventId]) -> impl Iterator<Item = &str> {
    ids.iter().filter(|id| is_valid(id)).map(EventId::as_str)
}

fn is_valid(id: &EventId) -> bool {
    id.as_str()
        .split_once('-')
        .is_some_and(|(time, number)| time.parse::<u64>().is_ok() && number.parse::<u64>().is_ok())
}

/// When an entry was made, milliseconds since the Unix epoch.
pub(crate) fn time_of(id: &str) -> u64 {
    let time = id.split_once('-').map(|(time, _)| time);
    time.and_then(|time| time.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_other_texts() {
        let cases = [
            ("1795246541123-0", true, 1_795_246_541_123),
            ("0-18446744073709551615", true, 0),
            ("5", false, 0),
            ("5-", false, 5),
            ("-5", false, 0),
            ("5-5-5", false, 5),
            ("+", false, 0),
            ("5-99999999999999999999", false, 5),
        ];
        for (text, expected, time) in cases {
            assert_eq!(is_valid(&EventId::new(text)), expected, "{text}");
            assert_eq!(time_of(text), time, "{text}");
        }
    }
}
