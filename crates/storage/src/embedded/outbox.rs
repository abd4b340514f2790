//! The outbox and its queues: who has yet to be told of what.
//!
//! An event has one entry in the outbox, and one in the queue of each target that is to be told of it. With the last of
//! these it goes.

use favonius_contract::replication::{RegionEvent, TargetRegion};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::{
    steps::json,
    tables::{LETTERS, OUTBOX, QUEUE, TARGETS, Tables},
};
use crate::{DeadLetter, EventId, QueueState};

/// Dead letters of a target that are kept.
const LETTERS_KEPT: usize = 10_000;

/// Appends an event for all targets whose queues are open.
pub(super) fn announce(
    tables: &mut Tables<'_>,
    event: &RegionEvent,
    now_ms: u64,
) -> Result<(), redb::Error> {
    let number = append(tables, &json(event), false, now_ms)?;
    for target in open_targets(tables)? {
        tables.queue.insert((target.as_str(), number), ())?;
    }
    Ok(())
}

/// Appends an event for one target.
pub(super) fn enqueue(
    tables: &mut Tables<'_>,
    target: &TargetRegion,
    event: &[u8],
    now_ms: u64,
) -> Result<(), redb::Error> {
    // An event is looked for in open queues only: in another one it would be lost.
    open(tables, target)?;
    let number = append(tables, event, true, now_ms)?;
    tables.queue.insert((target.as_str(), number), ())?;
    Ok(())
}

fn append(
    tables: &mut Tables<'_>,
    event: &[u8],
    for_one: bool,
    now_ms: u64,
) -> Result<u64, redb::Error> {
    let number = tables.next.get("event")?.map_or(0, |next| next.value());
    tables.next.insert("event", number.saturating_add(1))?;
    tables.outbox.insert(number, (now_ms, for_one, event))?;
    Ok(number)
}

/// Opens a target's queue, with all that is kept for others.
pub(super) fn open(tables: &mut Tables<'_>, target: &TargetRegion) -> Result<(), redb::Error> {
    let target = target.as_str();
    if tables.targets.insert(target, ())?.is_some() {
        return Ok(());
    }
    for row in tables.outbox.iter()? {
        let (number, event) = row?;
        let (_, for_one, _) = event.value();
        if !for_one {
            tables.queue.insert((target, number.value()), ())?;
        }
    }
    Ok(())
}

/// A target has been told of these.
pub(super) fn acknowledge(
    tables: &mut Tables<'_>,
    target: &TargetRegion,
    numbers: &[u64],
) -> Result<(), redb::Error> {
    let targets = open_targets(tables)?;
    for number in numbers {
        if tables.queue.remove((target.as_str(), *number))?.is_some() {
            remove_if_told(tables, &targets, *number)?;
        }
    }
    Ok(())
}

/// Puts an event aside, unless it is not in the target's queue any more.
pub(super) fn bury(
    tables: &mut Tables<'_>,
    target: &TargetRegion,
    number: u64,
    reason: &str,
    now_ms: u64,
) -> Result<(), redb::Error> {
    let key = (target.as_str(), number);
    if tables.queue.remove(key)?.is_none() {
        return Ok(());
    }
    if let Some(event) = tables.outbox.get(number)? {
        let (queued_at_ms, _, event) = event.value();
        let letter = (queued_at_ms, now_ms, reason, event);
        tables.letters.insert(key, letter)?;
    }
    keep_newest(tables, target, LETTERS_KEPT)?;
    let targets = open_targets(tables)?;
    remove_if_told(tables, &targets, number)
}

/// Removes the oldest letters of a target, so that one that refuses everything does not fill the disk.
fn keep_newest(
    tables: &mut Tables<'_>,
    target: &TargetRegion,
    kept: usize,
) -> Result<(), redb::Error> {
    // How many there are of all targets is known without looking at them.
    if usize::try_from(tables.letters.len()?).is_ok_and(|all| all <= kept) {
        return Ok(());
    }
    let numbers = numbers_of(&tables.letters, target, usize::MAX)?;
    let surplus = numbers.len().saturating_sub(kept);
    for number in numbers.into_iter().take(surplus) {
        tables.letters.remove((target.as_str(), number))?;
    }
    Ok(())
}

/// Queues letters again as new events: these, or all.
pub(super) fn retry(
    tables: &mut Tables<'_>,
    target: &TargetRegion,
    numbers: Option<Vec<u64>>,
    now_ms: u64,
) -> Result<u64, redb::Error> {
    let numbers = match numbers {
        Some(numbers) => numbers,
        None => numbers_of(&tables.letters, target, usize::MAX)?,
    };
    let mut count = 0;
    for number in numbers {
        let letter = tables.letters.remove((target.as_str(), number))?;
        let event = letter.map(|letter| letter.value().3.to_vec());
        if let Some(event) = event {
            enqueue(tables, target, &event, now_ms)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Removes what was queued before this time, and what was queued when there was no target. What was queued after something
/// that stays does stay as well: clocks may go back, but nobody wants to look at all events. Tells who is not told of what.
pub(super) fn trim(
    tables: &mut Tables<'_>,
    keep_from_ms: u64,
) -> Result<Vec<(TargetRegion, Vec<u64>)>, redb::Error> {
    let targets = open_targets(tables)?;
    let mut old = Vec::new();
    for row in tables.outbox.iter()? {
        let (number, event) = row?;
        if event.value().0 >= keep_from_ms {
            break;
        }
        old.push(number.value());
    }
    let mut lost = Vec::new();
    for target in targets {
        let mut numbers = Vec::new();
        for number in &old {
            if tables.queue.remove((target.as_str(), *number))?.is_some() {
                numbers.push(*number);
            }
        }
        let known = target.parse().ok().filter(|_| !numbers.is_empty());
        lost.extend(known.map(|target| (target, numbers)));
    }
    for number in old {
        tables.outbox.remove(number)?;
    }
    Ok(lost)
}

fn open_targets(tables: &Tables<'_>) -> Result<Vec<String>, redb::Error> {
    let mut targets = Vec::new();
    for row in tables.targets.iter()? {
        let (target, _) = row?;
        targets.push(target.value().to_owned());
    }
    Ok(targets)
}

fn remove_if_told(
    tables: &mut Tables<'_>,
    targets: &[String],
    number: u64,
) -> Result<(), redb::Error> {
    for target in targets {
        if tables.queue.get((target.as_str(), number))?.is_some() {
            return Ok(());
        }
    }
    tables.outbox.remove(number)?;
    Ok(())
}

fn numbers_of<V: redb::Value + 'static>(
    table: &impl ReadableTable<(&'static str, u64), V>,
    target: &TargetRegion,
    limit: usize,
) -> Result<Vec<u64>, redb::Error> {
    let mut numbers = Vec::new();
    let all = (target.as_str(), 0)..=(target.as_str(), u64::MAX);
    for row in table.range(all)?.take(limit) {
        let (key, _) = row?;
        numbers.push(key.value().1);
    }
    Ok(numbers)
}

/// An event that may be taken.
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) queued_at_ms: u64,
    pub(super) event: serde_json::Result<RegionEvent>,
}

/// The oldest events of a queue that are free.
pub(super) fn waiting(
    view: &ReadTransaction,
    target: &TargetRegion,
    limit: usize,
    is_free: impl Fn(u64) -> bool,
) -> Result<Vec<Waiting>, redb::Error> {
    let (queue, outbox) = (view.open_table(QUEUE)?, view.open_table(OUTBOX)?);
    let mut found = Vec::new();
    let mut readable = 0;
    let all = (target.as_str(), 0)..=(target.as_str(), u64::MAX);
    for row in queue.range(all)? {
        if readable >= limit {
            break;
        }
        let number = row?.0.value().1;
        if !is_free(number) {
            continue;
        }
        if let Some(event) = outbox.get(number)? {
            let (queued_at_ms, _, json) = event.value();
            let event = serde_json::from_slice(json);
            readable += usize::from(event.is_ok());
            found.push(Waiting {
                number,
                queued_at_ms,
                event,
            });
        }
    }
    Ok(found)
}

pub(super) fn state(
    view: &ReadTransaction,
    target: &TargetRegion,
) -> Result<QueueState, redb::Error> {
    let waiting = numbers_of(&view.open_table(QUEUE)?, target, usize::MAX)?;
    let oldest = match waiting.first() {
        Some(number) => view.open_table(OUTBOX)?.get(*number)?,
        None => None,
    };
    let buried = numbers_of(&view.open_table(LETTERS)?, target, usize::MAX)?;
    Ok(QueueState {
        waiting: u64::try_from(waiting.len()).unwrap_or(u64::MAX),
        oldest_ms: oldest.map(|event| event.value().0),
        buried: u64::try_from(buried.len()).unwrap_or(u64::MAX),
    })
}

pub(super) fn queues(view: &ReadTransaction) -> Result<Vec<TargetRegion>, redb::Error> {
    let targets = view.open_table(TARGETS)?;
    let mut found = Vec::with_capacity(usize::try_from(targets.len()?).unwrap_or(0));
    for row in targets.iter()? {
        let (target, _) = row?;
        found.extend(target.value().parse::<TargetRegion>().ok());
    }
    Ok(found)
}

pub(super) fn letters(
    view: &ReadTransaction,
    target: &TargetRegion,
    limit: usize,
) -> Result<Vec<DeadLetter>, redb::Error> {
    let letters = view.open_table(LETTERS)?;
    let mut found = Vec::new();
    for number in numbers_of(&letters, target, limit)? {
        let Some(letter) = letters.get((target.as_str(), number))? else {
            continue;
        };
        let (queued_at_ms, buried_at_ms, reason, event) = letter.value();
        found.push(DeadLetter {
            id: id_of(number),
            event: String::from_utf8_lossy(event).into_owned(),
            reason: reason.to_owned(),
            queued_at_ms,
            buried_at_ms,
        });
    }
    Ok(found)
}

pub(super) fn id_of(number: u64) -> EventId {
    EventId::new(number.to_string())
}

/// The numbers of these events. An id that is none of ours names no event.
pub(super) fn numbers(ids: &[EventId]) -> Vec<u64> {
    ids.iter()
        .filter_map(|id| id.as_str().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use redb::{Database, backends::InMemoryBackend};

    use super::*;

    #[test]
    fn the_newest_letters_of_a_target_are_kept() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new());
        let db = db.unwrap();
        let write = db.begin_write().unwrap();
        let mut tables = Tables::open(&write).unwrap();
        let [full, other]: [TargetRegion; 2] =
            ["https://eu.test", "https://us.test"].map(|url| url.parse().unwrap());
        let letter = (1, 2, "400", &b"{}"[..]);
        for number in 0..10_000 {
            tables
                .letters
                .insert((full.as_str(), number), letter)
                .unwrap();
        }
        tables.letters.insert((other.as_str(), 1), letter).unwrap();
        open(&mut tables, &full).unwrap();
        for _ in 0..10_002 {
            append(&mut tables, b"{}", true, 1).unwrap();
        }
        for number in [10_000, 10_001] {
            tables.queue.insert((full.as_str(), number), ()).unwrap();
            bury(&mut tables, &full, number, "400", 2).unwrap();
        }
        let kept = numbers_of(&tables.letters, &full, usize::MAX).unwrap();
        assert_eq!(kept.len(), 10_000);
        assert_eq!((kept[0], kept[9_999]), (2, 10_001));
        assert_eq!(numbers_of(&tables.letters, &other, 9).unwrap(), [1]);
    }
}
