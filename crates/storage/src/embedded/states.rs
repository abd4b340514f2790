//! What regions compare, and what is remembered for a while.

use std::ops::Bound;

use favonius_contract::{
    SnapshotId,
    replication::{NameRecord, NameState, Removal},
};
use redb::{ReadTransaction, ReadableTable, TableDefinition};

use super::tables::{NAMES, REMOVALS, SNAPSHOTS, Tables};
use crate::StateEntry;

/// Entries that are read at once.
const PAGE: usize = 1000;
/// One-time names that are forgotten at once, at most: more than come, so that none stay.
const FORGOTTEN_AT_ONCE: usize = 100;

/// A place in a consistent view: the table and the last key that was read.
pub(super) struct Cursor {
    view: ReadTransaction,
    table: Kind,
    after: Option<String>,
}

#[derive(Clone, Copy)]
enum Kind {
    Snapshots,
    Names,
    Removals,
}

impl Cursor {
    pub(super) fn new(view: ReadTransaction) -> Self {
        Self {
            view,
            table: Kind::Snapshots,
            after: None,
        }
    }

    /// The next entries, and where it goes on; none at the end.
    pub(super) fn read(self) -> Result<(Vec<StateEntry>, Option<Self>), redb::Error> {
        let Self { view, table, after } = self;
        let after = after.as_deref();
        let (found, last) = match table {
            Kind::Snapshots => page(&view, SNAPSHOTS, after, |id, _| {
                id.parse::<SnapshotId>().ok().map(StateEntry::Snapshot)
            })?,
            // What cannot be read is as if it were not there: another region mends it.
            Kind::Names => page(&view, NAMES, after, |name, entry| {
                let entry = serde_json::from_slice(entry).ok()?;
                state(name, NameState::Published(entry))
            })?,
            Kind::Removals => page(&view, REMOVALS, after, |name, removal| {
                let removal = serde_json::from_slice(removal).ok()?;
                state(name, NameState::Removed(removal))
            })?,
        };
        let table = match (&last, table) {
            (Some(_), same) => Some(same),
            (None, Kind::Snapshots) => Some(Kind::Names),
            (None, Kind::Names) => Some(Kind::Removals),
            (None, Kind::Removals) => None,
        };
        let next = table.map(|table| Self {
            view,
            table,
            after: last,
        });
        Ok((found, next))
    }
}

fn state(name: &str, state: NameState) -> Option<StateEntry> {
    let name = name.parse().ok()?;
    Some(StateEntry::Name(NameRecord { name, state }))
}

/// The entries after this key, and the last key if there may be more.
fn page(
    view: &ReadTransaction,
    table: TableDefinition<'_, &'static str, &'static [u8]>,
    after: Option<&str>,
    read: impl Fn(&str, &[u8]) -> Option<StateEntry>,
) -> Result<(Vec<StateEntry>, Option<String>), redb::Error> {
    let table = view.open_table(table)?;
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = Vec::new();
    let mut last = None;
    for (count, row) in table.range::<&str>((from, Bound::Unbounded))?.enumerate() {
        let (key, value) = row?;
        found.extend(read(key.value(), value.value()));
        if count + 1 == PAGE {
            last = Some(key.value().to_owned());
            break;
        }
    }
    Ok((found, last))
}

/// Forgets removals that were made before this time; tells how many.
pub(super) fn forget_removals(tables: &mut Tables<'_>, before_ms: u64) -> Result<u64, redb::Error> {
    let mut old = Vec::new();
    for row in tables.removals.iter()? {
        let (name, removal) = row?;
        let removal = serde_json::from_slice::<Removal>(removal.value());
        if removal.map_or(true, |removal| removal.published_at < before_ms) {
            old.push(name.value().to_owned());
        }
    }
    for name in &old {
        tables.removals.remove(name.as_str())?;
    }
    Ok(u64::try_from(old.len()).unwrap_or(u64::MAX))
}

/// Whether a one-time name is not remembered; from now on it is.
pub(super) fn use_once(
    tables: &mut Tables<'_>,
    name: &str,
    now_ms: u64,
    until_ms: u64,
) -> Result<bool, redb::Error> {
    let mut old = Vec::new();
    for row in tables
        .once_until
        .range(..=(now_ms, "\u{10ffff}"))?
        .take(FORGOTTEN_AT_ONCE)
    {
        let (key, _) = row?;
        let (until, name) = key.value();
        old.push((until, name.to_owned()));
    }
    for (until, name) in &old {
        tables.once_until.remove((*until, name.as_str()))?;
        tables.once.remove(name.as_str())?;
    }
    let known = tables.once.get(name)?.map(|until| until.value());
    if let Some(until) = known {
        if until > now_ms {
            return Ok(false);
        }
        tables.once_until.remove((until, name))?;
    }
    tables.once.insert(name, until_ms)?;
    tables.once_until.insert((until_ms, name), ())?;
    Ok(true)
}
