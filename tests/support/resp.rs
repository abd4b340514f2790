//! A connection to Redis that says when a command was answered, without the start of a program in between.

use std::time::{Duration, Instant};

use favonius_testing::{RawConnection, RedisServer};

const DEADLINE: Duration = Duration::from_secs(5);

/// Speaks the protocol that `redis-cli` speaks.
#[derive(Debug)]
pub(crate) struct Resp(RawConnection);

impl Resp {
    pub(crate) async fn open(redis: &RedisServer) -> Self {
        Self(RawConnection::open(redis.address()).await.unwrap())
    }

    /// Sends a command and gives the first line of its reply, and when that was there.
    pub(crate) async fn command(&mut self, args: &[&str]) -> (String, Instant) {
        let words = args
            .iter()
            .map(|arg| format!("${}\r\n{arg}\r\n", arg.len()));
        let words: String = words.collect();
        let request = format!("*{}\r\n{words}", args.len());
        self.0.send(request).await.unwrap();
        let line = self.0.read_until(b"\r\n", DEADLINE).await.unwrap();
        let answered = Instant::now();
        let line = String::from_utf8(line).unwrap().trim_end().to_owned();
        assert!(!line.starts_with('-'), "{args:?}: {line}");
        (line, answered)
    }

    /// Sends a command whose reply is a bulk string, and gives that.
    pub(crate) async fn bulk(&mut self, args: &[&str]) -> String {
        let (line, _) = self.command(args).await;
        let length: usize = line.strip_prefix('$').unwrap().parse().unwrap();
        let bytes = self.0.read_exact(length + 2, DEADLINE).await.unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}
