//! A master, its replica and a Sentinel that watches them.

use std::time::Duration;

use super::{RedisBuilder, RedisServer};
use crate::poll::wait_blocking;
use crate::settings::Settings;

const DEADLINE: Duration = Duration::from_secs(30);

/// Two Redis servers, one of them the master, and one Sentinel that makes the other the master when the first one is gone for half
/// a second.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: [RedisServer; 2],
    sentinel: RedisServer,
}

impl RedisSentinel {
    /// The name that the Sentinel knows the master by.
    pub const MASTER: &str = "favonius";

    /// Starts the three and waits until the Sentinel could fail over.
    pub fn start() -> Self {
        let master = RedisServer::start();
        let replica = RedisServer::builder()
            .setting("replicaof", &format!("{} {}", master.host(), master.port()))
            .setting("repl-diskless-sync-delay", "0")
            .start();
        let name = Self::MASTER;
        let sentinel = RedisBuilder {
            sentinel: Some(format!(
                "sentinel monitor {name} {} {} 1\n\
                 sentinel down-after-milliseconds {name} 500\n\
                 sentinel failover-timeout {name} 3000\n",
                master.host(),
                master.port()
            )),
            ..RedisBuilder::default()
        }
        .start();
        let all = Self {
            servers: [master, replica],
            sentinel,
        };
        all.wait_for_replica();
        all
    }

    /// The Sentinel itself: its address is what a client is configured with.
    pub fn sentinel(&self) -> &RedisServer {
        &self.sentinel
    }

    /// The two servers, in the order in which they were started.
    pub fn servers(&self) -> &[RedisServer; 2] {
        &self.servers
    }

    /// The server that the Sentinel names as master.
    pub fn master(&self) -> &RedisServer {
        let reply = self
            .sentinel
            .cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER]);
        let port = reply.lines().nth(1).unwrap_or_default();
        let found = self
            .servers
            .iter()
            .find(|server| server.port().to_string() == port);
        found.unwrap_or_else(|| panic!("the Sentinel names a strange master: {reply}"))
    }

    /// Kills the master and waits until the Sentinel has made the other one master.
    pub fn fail_over(&self) {
        let old = self.master();
        old.stop();
        wait_blocking("the other server is master", DEADLINE, || {
            let master = self.master();
            let role = || master.cli(&["ROLE"]).lines().next() == Some("master");
            Ok((master.port() != old.port() && role()).then_some(()))
        })
        .unwrap_or_else(|why| panic!("{why}; the Sentinel's log:\n{}", self.sentinel.log()));
    }

    fn wait_for_replica(&self) {
        let replica = self.servers.last().expect("there are two");
        wait_blocking("the replica is in step and known", DEADLINE, || {
            let linked = replica
                .cli(&["INFO", "replication"])
                .contains("master_link_status:up");
            let known = self.sentinel.cli(&["SENTINEL", "REPLICAS", Self::MASTER]);
            let ready = linked
                && known.contains(&replica.port().to_string())
                && known.contains("master-link-status\nok");
            Ok(ready.then_some(()))
        })
        .unwrap_or_else(|why| panic!("{why}; the Sentinel's log:\n{}", self.sentinel.log()));
    }
}

impl Settings for RedisSentinel {
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ZE_WORKER_REDIS_MODE", "sentinel".to_owned()),
            ("ZE_WORKER_REDIS_HOST", self.sentinel.address().to_string()),
            ("ZE_WORKER_REDIS_SENTINEL_MASTER", Self::MASTER.to_owned()),
        ]
    }
}
