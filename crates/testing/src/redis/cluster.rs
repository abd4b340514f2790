//! A Redis Cluster of three masters.

use std::time::Duration;

use super::{RedisBuilder, RedisServer};
use crate::poll::wait_blocking;
use crate::ports::ReservedPort;
use crate::settings::Settings;

const FORM_DEADLINE: Duration = Duration::from_secs(30);
/// Slot ranges of the nodes (a cluster has 16,384 slots).
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// Three masters without replicas on free ports (the cluster bus as well).
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    bus_ports: Vec<ReservedPort>,
}

impl RedisCluster {
    /// Starts the nodes, forms the cluster and waits until each node says `cluster_state:ok`.
    pub fn start() -> Self {
        Self::start_with(&RedisServer::builder())
    }

    /// The same with options for each node (not TLS).
    pub fn start_with(options: &RedisBuilder) -> Self {
        assert!(!options.tls, "a cluster with TLS is not supported here");
        let bus_ports: Vec<ReservedPort> = SLOTS.iter().map(|_| ReservedPort::new()).collect();
        let start = |bus: &ReservedPort| {
            options
                .clone()
                .setting("cluster-enabled", "yes")
                .setting("cluster-config-file", "nodes.conf")
                .setting("cluster-node-timeout", "2000")
                .setting("cluster-announce-ip", "127.0.0.1")
                .setting("cluster-port", &bus.number().to_string())
                .start()
        };
        let cluster = Self {
            nodes: bus_ports.iter().map(start).collect(),
            bus_ports,
        };
        cluster.form();
        cluster
    }

    fn form(&self) {
        let first = self.nodes.first().expect("a cluster has nodes");
        let nodes = self.nodes.iter().zip(&self.bus_ports).zip(SLOTS);
        for (index, ((node, bus), (from, to))) in nodes.enumerate() {
            // Distinct epochs, given by hand: the nodes would otherwise have to settle a collision first.
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
            if index > 0 {
                let (port, bus) = (node.port().to_string(), bus.number().to_string());
                first.cli(&["CLUSTER", "MEET", node.host(), &port, &bus]);
            }
        }
        self.wait_until_ok();
    }

    /// Waits until each node says `cluster_state:ok` and knows the others, for instance after one was stopped and started again.
    ///
    /// # Panics
    /// When that has not come true after 30 s.
    pub fn wait_until_ok(&self) {
        let mut last = String::new();
        wait_blocking("the cluster is formed", FORM_DEADLINE, || {
            let ok = self.nodes.iter().all(|node| {
                last = node.cli(&["CLUSTER", "INFO"]);
                [
                    "cluster_state:ok",
                    "cluster_known_nodes:3",
                    "cluster_size:3",
                ]
                .iter()
                .all(|wanted| last.lines().any(|line| line == *wanted))
            });
            Ok(ok.then_some(()))
        })
        .unwrap_or_else(|why| panic!("{why}; a node says:\n{last}"));
    }

    /// The nodes, in the order of their slots.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The node that holds a key.
    pub fn node_of(&self, key: &str) -> &RedisServer {
        let first = self.nodes.first().expect("a cluster has nodes");
        let slot: u32 = first
            .cli(&["CLUSTER", "KEYSLOT", key])
            .parse()
            .expect("a slot is a number");
        let holds = |(_, to): &(&RedisServer, (&str, &str))| {
            to.1.parse::<u32>().is_ok_and(|last| slot <= last)
        };
        let found = self.nodes.iter().zip(SLOTS).find(holds);
        found.expect("each slot has a node").0
    }

    /// Runs a command with `redis-cli -c`, which follows redirections.
    pub fn cli(&self, args: &[&str]) -> String {
        let first = self.nodes.first().expect("a cluster has nodes");
        first.cli(&[&["-c"], args].concat())
    }
}

impl Settings for RedisCluster {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let seeds: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.address().to_string())
            .collect();
        let first = self.nodes.first().expect("a cluster has nodes");
        let common = first.settings().into_iter();
        let own = |key| ["ZE_WORKER_REDIS_HOST", "ZE_WORKER_REDIS_PORT"].contains(&key);
        common
            .filter(|(key, _)| !own(*key))
            .chain([
                ("ZE_WORKER_REDIS_MODE", "cluster".to_owned()),
                ("ZE_WORKER_REDIS_HOST", seeds.join(",")),
            ])
            .collect()
    }
}
