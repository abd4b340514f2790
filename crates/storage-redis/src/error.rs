//! What Redis' errors mean for who called.

use std::time::Duration;

use favonius_storage::ErrorKind;
use redis::{RedisError, ServerErrorKind};

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Redis, or the connection to it, said so.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Redis took too long.
    #[error("no answer within {} ms", .0.as_millis())]
    NoAnswer(Duration),
    /// All connections were busy, or none could be made, for too long.
    #[error("no connection within {} ms", .0.as_millis())]
    NoConnection(Duration),
}

impl Failure {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Redis(error) => kind_of(error),
            Self::NoAnswer(_) | Self::NoConnection(_) => ErrorKind::Unavailable,
        }
    }
}

/// Codes that are worth telling apart, also within the text of another error.
const CODES: [&str; 15] = [
    "OOM",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "WRONGTYPE",
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "NOREPLICAS",
    "BUSY",
    "MOVED",
    "ASK",
];

/// The code that an error begins with. Of a command in a script Redis 6 hides it in the middle of its text, and some
/// others have none.
pub(crate) fn code_of(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    let detail = error.detail().unwrap_or_default();
    if code == "ERR" && detail.contains("The user executing the script can't") {
        return Some("NOPERM");
    }
    if code == "ERR" && detail.starts_with("Error running script") {
        let inner = detail
            .split(|c: char| !c.is_ascii_uppercase())
            .find(|word| CODES.contains(word));
        return Some(inner.unwrap_or(code));
    }
    Some(code)
}

pub(crate) fn kind_of(error: &RedisError) -> ErrorKind {
    use redis::ErrorKind as R;
    match (error.kind(), code_of(error)) {
        (R::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
            ErrorKind::Denied
        }
        (_, Some("OOM")) => ErrorKind::Full,
        (_, Some("WRONGTYPE")) => ErrorKind::Corrupt,
        (R::Io | R::MasterNameNotFoundBySentinel | R::ClusterConnectionNotFound, _)
        | (
            _,
            Some(
                "LOADING" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" | "MISCONF"
                | "NOREPLICAS" | "BUSY" | "MOVED" | "ASK",
            ),
        ) => ErrorKind::Unavailable,
        (R::Server(ServerErrorKind::ResponseError), _)
            if error
                .detail()
                .is_some_and(|detail| detail.contains("max number of clients")) =>
        {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Internal,
    }
}

/// A time-out as the client library itself would tell it.
pub(crate) fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_can_be_done() {
        use ErrorKind::{Corrupt, Denied, Full, Internal, Unavailable};
        let cases = [
            ("NOAUTH Authentication required.", Denied),
            ("WRONGPASS invalid username-password pair", Denied),
            ("NOPERM this user has no permissions to run 'get'", Denied),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Full,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind",
                Corrupt,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                Unavailable,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Unavailable,
            ),
            ("CLUSTERDOWN The cluster is down", Unavailable),
            ("MASTERDOWN Link with MASTER is down", Unavailable),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Unavailable,
            ),
            ("NOREPLICAS Not enough good replicas to write.", Unavailable),
            ("BUSY Redis is busy running a script.", Unavailable),
            ("MOVED 1234 10.0.0.1:6379", Unavailable),
            ("ERR max number of clients reached", Unavailable),
            (
                "ERR The user executing the script can't run this command or subcommand script: 1",
                Denied,
            ),
            ("ERR unknown command 'FOO'", Internal),
            (
                "ERR Error running script (call to f_1): @user_script:12: -OOM command not allowed",
                Full,
            ),
            (
                "ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation",
                Corrupt,
            ),
            (
                "ERR Error running script (call to f_1): @user_script:1: attempt to index a nil value",
                Internal,
            ),
        ];
        for (reply, expected) in cases {
            let value = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
            let error = value.extract_error().unwrap_err();
            assert_eq!(kind_of(&error), expected, "{reply}");
        }
        assert_eq!(kind_of(&timed_out()), Unavailable);
    }
}
