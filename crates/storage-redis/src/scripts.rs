//! What is done at the server in one go.

use std::sync::LazyLock;

use redis::Script;

/// A script, and the hash by which the server knows it.
#[derive(Debug)]
pub(crate) struct Lua {
    pub(crate) code: &'static str,
    pub(crate) script: Script,
}

impl Lua {
    fn new(code: &'static str) -> Self {
        Self {
            code,
            script: Script::new(code),
        }
    }
}

/// Makes all changes of a commit.
pub(crate) static COMMIT: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("commit.lua")));
/// Everything that is done to the outbox.
pub(crate) static OUTBOX: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("outbox.lua")));
/// Puts a word under a key for so many milliseconds, unless another one is there.
pub(crate) static CLAIM: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        "local held = redis.call('GET', KEYS[1])
        if held and held ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1",
    )
});
/// Removes fields of a hash that have these values still.
pub(crate) static FORGET: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        "local forgotten = 0
        for place = 1, #ARGV, 2 do
          if redis.call('HGET', KEYS[1], ARGV[place]) == ARGV[place + 1] then
            forgotten = forgotten + redis.call('HDEL', KEYS[1], ARGV[place])
          end
        end
        return forgotten",
    )
});
