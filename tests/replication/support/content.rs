//! What a region has, to be compared with another one.

use std::collections::{BTreeMap, BTreeSet};

use favonius_testing::S3Server;

use crate::common::Resp;

/// Gives every record as JSON, by its key: names, snapshots, states and the sets of each application. What is of a region alone
/// (its outbox, leases, used tokens, the order in which things came) is left out.
const RECORDS: &str = "
local stem, found = '{ze-k8s-worker}:', {}
for _, family in ipairs({'envs:*', 'snapshots:*', 'states', 'hashes:*', 'versions:*', 'hosts:*'}) do
  for _, key in ipairs(redis.call('KEYS', stem .. family)) do
    local kind, list = redis.call('TYPE', key).ok
    if kind == 'string' then list = {redis.call('GET', key)} end
    if kind == 'hash' then
      list = {}
      local all = redis.call('HGETALL', key)
      for i = 1, #all, 2 do list[#list + 1] = all[i] .. ' = ' .. all[i + 1] end
      table.sort(list)
    end
    if kind == 'set' then list = redis.call('SMEMBERS', key); table.sort(list) end
    if kind == 'zset' then list = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end
    found[#found + 1] = {string.sub(key, #stem + 1), list}
  end
end
return cjson.encode(found)";

/// All that regions have to agree on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Bytes by key of the bucket, without what is derived from them (`.favonius/`).
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// By key of Redis, without `{ze-k8s-worker}:`. A string is a list of one; of a hash there are lines `field = value`.
    pub(crate) records: BTreeMap<String, Vec<String>>,
}

impl Content {
    pub(super) async fn of(redis: &mut Resp, s3: &S3Server) -> Self {
        // Names come after their files: what is read first is complete when the rest is.
        let json = redis.bulk(&["EVAL", RECORDS, "0"]).await;
        // An empty list is written as an object.
        let records = match json.as_str() {
            "{}" => BTreeMap::new(),
            json => serde_json::from_str::<Vec<(String, Vec<String>)>>(json)
                .unwrap()
                .into_iter()
                .collect(),
        };
        // What each region makes by itself of its files is its own affair.
        let keys = s3.keys().into_iter();
        let keys = keys.filter(|key| !key.starts_with(".favonius/"));
        let objects = keys.filter_map(|key| {
            let content = s3.object(&key)?;
            Some((key, content))
        });
        Self {
            objects: objects.collect(),
            records,
        }
    }

    /// Fails with what differs, if anything does: a few keys.
    pub(crate) fn compare(&self, other: &Self) -> Result<(), String> {
        differing(&self.records, &other.records)
            .or_else(|| differing(&self.objects, &other.objects))
            .map_or(Ok(()), Err)
    }
}

fn differing<T: PartialEq>(a: &BTreeMap<String, T>, b: &BTreeMap<String, T>) -> Option<String> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differs = |key: &&&String| a.get(**key) != b.get(**key);
    let differing: Vec<String> = keys
        .iter()
        .filter(differs)
        .map(|key| match (a.get(*key), b.get(*key)) {
            (None, _) => format!("{key} (missing in the first)"),
            (_, None) => format!("{key} (missing in the second)"),
            _ => format!("{key} (not the same)"),
        })
        .collect();
    let few = differing.iter().take(5).cloned().collect::<Vec<_>>();
    (!few.is_empty()).then(|| format!("{} differ: {}", differing.len(), few.join(", ")))
}
