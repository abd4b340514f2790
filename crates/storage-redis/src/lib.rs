//! Records in Redis: one server, a cluster, or a master that Sentinels watch.
//!
//! 1. Everything that a commit changes is changed by one script, so that nobody sees a half of it.
//! 2. Every call answers within its time, 1.7 s unless configured otherwise, also when Redis does not.
//! 3. Changes by anyone are told within milliseconds, also those made by hand. When they cannot be told, that is told.
//! 4. It starts without Redis and finds it again after a restart or a fail-over.
//!
//! # Keys
//! With the usual prefixes, where `{ze-k8s-worker}` is the hash tag that keeps all keys in one slot of a cluster:
//!
//! | Key | Type | Content |
//! |---|---|---|
//! | `{ze-k8s-worker}:snapshots:<snapshot id>` | string | a snapshot's JSON as it was uploaded |
//! | `{ze-k8s-worker}:envs:<name>` | string | the snapshot's JSON with one more field at its end, `favonius`: what publishing adds |
//! | `{ze-k8s-worker}:hashes:<application>` | set | `<hash>.<size>` of each asset that the application uploaded |
//! | `{ze-k8s-worker}:versions:<application>` | sorted set | its snapshot ids by the time of their build |
//! | `{ze-k8s-worker}:hosts:<application>` | set | the names that it published to |
//! | `{ze-k8s-worker}:history:<name>` | list | what the name answered with, newest first |
//! | `{ze-k8s-worker}:states` | hash | what regions have to agree on: `s:<snapshot id>` without content, `n:<name>` with what was published or removed there last |
//! | `{ze-k8s-worker}:outbox` | stream | what other regions are to be told, in `event`, with a consumer group for each; an event for one of them names it in `only` |
//! | `{ze-k8s-worker}:outbox:dead:<region>` | stream | what that region refused for good: `event`, `reason`, `queued_at` |
//! | `{ze-k8s-worker}:once:<name>` | string | a one-time name that was used; it expires |
//! | `{ze-k8s-worker}:lease:<role>` | string | who has a role; it expires |
//!
//! A snapshot that is copied to a name's key by hand, without the `favonius` field, is served like any other; the
//! name then belongs to the snapshot's application. In the order of publishes it counts as what it replaced: the states
//! say what that was. To remove a name's key by hand, or to change it, changes this region only.
//!
//! The prefixes of the first two can be configured. The others follow that of the names: they have another word in the
//! place of `envs`; where it does not end in that word, they begin with `<hash tag>:favonius:<prefix>:`.
//!
//! # Assumptions
//! Redis 6 or later, or a server that speaks its third protocol with client tracking. It does not evict our keys
//! (`maxmemory-policy noeviction`), and keeps what it acknowledged. The queues for other regions need Redis 6.2. ACL users
//! may do all that `@string`, `@set`, `@sortedset`, `@list`, `@hash`, `@stream`, `@scripting` and `@connection` stand for
//! on these keys, `DEL` and `TYPE` as well, and `CLUSTER SLOTS` and `CLUSTER KEYSLOT` in a cluster.

mod changes;
mod client;
mod commit;
mod dial;
mod error;
mod keys;
mod locate;
mod options;
mod outbox;
mod records;
mod replicated;
mod scripts;

pub use options::{Endpoint, InvalidOptions, Password, RedisOptions, RedisTopology, TlsOptions};
pub use records::RedisRecords;
