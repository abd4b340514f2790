//! Finding the one server that holds the records: the master of their slot in a cluster, or the one that Sentinels name.

use std::{sync::Arc, time::Duration};

use futures::future::select_ok;
use redis::{RedisError, RedisResult, Value, cmd};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use crate::{
    Endpoint, RedisTopology,
    dial::{Dialer, Login},
    error::{kind_of, timed_out},
};

/// How long a node may take to say where the others are.
const ANSWER: Duration = Duration::from_millis(500);

/// Where the records are. Grows with each move, so that what was made for an earlier place can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The server.
    pub(crate) endpoint: Endpoint,
    /// Which place this is, counted.
    pub(crate) generation: u64,
}

#[derive(Debug)]
struct State {
    endpoint: Option<Endpoint>,
    generation: u64,
    /// Whether it is to be asked before the next connection is made.
    is_in_doubt: bool,
    /// Every node that a cluster named last: the seeds may be gone one day.
    nodes: Vec<Endpoint>,
}

impl State {
    fn settle(&mut self, endpoint: Endpoint) {
        if self.endpoint.as_ref() != Some(&endpoint) {
            self.endpoint = Some(endpoint);
            self.generation += 1;
        }
        self.is_in_doubt = false;
    }
}

/// Knows where the records are, and finds it out again when they have moved.
#[derive(Debug)]
pub(crate) struct Locator {
    topology: RedisTopology,
    /// Some key of the store: all are in one slot.
    key: String,
    dialer: Arc<Dialer>,
    state: watch::Sender<State>,
    asking: Mutex<()>,
}

impl Locator {
    pub(crate) fn new(topology: RedisTopology, key: String, dialer: Arc<Dialer>) -> Self {
        let state = State {
            endpoint: None,
            generation: 0,
            is_in_doubt: true,
            nodes: Vec::new(),
        };
        Self {
            topology,
            key,
            dialer,
            state: watch::Sender::new(state),
            asking: Mutex::new(()),
        }
    }

    /// Whether a server can send us on to another one.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.topology, RedisTopology::Cluster { .. })
    }

    /// Counts the moves.
    pub(crate) fn generation(&self) -> u64 {
        self.state.borrow().generation
    }

    /// Waits until the records are not at this place any more.
    pub(crate) async fn moved_from(&self, generation: u64) {
        let mut state = self.state.subscribe();
        let moved = state.wait_for(|state| state.generation != generation).await;
        // The sender is in `self`, so it cannot be gone.
        drop(moved);
    }

    /// Where the records are, as far as is known; asks if nothing is.
    pub(crate) async fn place(&self) -> RedisResult<Place> {
        if let Some(place) = self.known() {
            return Ok(place);
        }
        // One asks, the others wait for what it learns.
        let _asking = self.asking.lock().await;
        if let Some(place) = self.known() {
            return Ok(place);
        }
        let (endpoint, nodes) = self.ask().await?;
        let mut generation = 0;
        self.state.send_modify(|state| {
            if !nodes.is_empty() {
                state.nodes = nodes;
            }
            state.settle(endpoint.clone());
            generation = state.generation;
        });
        Ok(Place {
            endpoint,
            generation,
        })
    }

    fn known(&self) -> Option<Place> {
        let state = self.state.borrow();
        let endpoint = state.endpoint.clone().filter(|_| !state.is_in_doubt)?;
        Some(Place {
            endpoint,
            generation: state.generation,
        })
    }

    /// The server of this generation cannot be reached: it may be another one by now.
    pub(crate) fn doubt(&self, generation: u64) {
        self.change(generation, |state| state.is_in_doubt = true);
    }

    /// The server of this generation is not the right one any more: connections to it are of no use.
    pub(crate) fn leave(&self, generation: u64) {
        self.change(generation, |state| {
            state.is_in_doubt = true;
            state.endpoint = None;
            state.generation += 1;
        });
    }

    /// The server of this generation sends us to another one.
    pub(crate) fn follow(&self, generation: u64, to: Endpoint) {
        self.change(generation, |state| state.settle(to));
    }

    fn change(&self, generation: u64, change: impl FnOnce(&mut State)) {
        self.state.send_if_modified(|state| {
            let is_present = state.generation == generation;
            if is_present {
                change(state);
            }
            is_present
        });
    }

    /// Asks the Sentinels again: a master that was cut off from them does not know that it was replaced.
    pub(crate) async fn recheck(&self) {
        if !matches!(self.topology, RedisTopology::Sentinel { .. }) {
            return;
        }
        let Some(place) = self.known() else { return };
        if let Ok((master, _)) = self.ask().await
            && master != place.endpoint
        {
            self.follow(place.generation, master);
        }
    }

    /// The server, and all nodes of a cluster. The first answer of several counts.
    async fn ask(&self) -> RedisResult<(Endpoint, Vec<Endpoint>)> {
        match &self.topology {
            RedisTopology::Single(endpoint) => Ok((endpoint.clone(), Vec::new())),
            RedisTopology::Cluster { seeds } => {
                let known = self.state.borrow().nodes.clone();
                let others = seeds.iter().filter(|seed| !known.contains(seed));
                let nodes: Vec<&Endpoint> = known.iter().chain(others).collect();
                let questions = nodes.into_iter().map(|node| Box::pin(self.ask_node(node)));
                Ok(select_ok(questions).await?.0)
            }
            RedisTopology::Sentinel { sentinels, master } => {
                let questions = sentinels
                    .iter()
                    .map(|sentinel| Box::pin(self.ask_sentinel(sentinel, master)));
                Ok((select_ok(questions).await?.0, Vec::new()))
            }
        }
    }

    async fn ask_node(&self, node: &Endpoint) -> RedisResult<(Endpoint, Vec<Endpoint>)> {
        let mut link = self.dialer.dial(node, Login::Records, None).await?;
        let answer = async {
            let slot: i64 = cmd("CLUSTER")
                .arg("KEYSLOT")
                .arg(&self.key)
                .query_async(&mut link.connection)
                .await?;
            let slots: Value = cmd("CLUSTER")
                .arg("SLOTS")
                .query_async(&mut link.connection)
                .await?;
            RedisResult::Ok((slot, slots))
        };
        let (slot, slots) = timeout(ANSWER, answer).await.map_err(|_| timed_out())??;
        let (master, nodes) = read_slots(slot, &slots, node);
        let master =
            master.ok_or_else(|| no_master(format!("no node of the cluster holds slot {slot}")))?;
        Ok((master, nodes))
    }

    async fn ask_sentinel(&self, sentinel: &Endpoint, master: &str) -> RedisResult<Endpoint> {
        let mut link = match self.dialer.dial(sentinel, Login::Sentinel, None).await {
            Err(error) if kind_of(&error) == favonius_storage::ErrorKind::Denied => {
                self.dialer.dial(sentinel, Login::Nobody, None).await?
            }
            connected => connected?,
        };
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let answer = question.query_async(&mut link.connection);
        let found: Option<(String, u16)> =
            timeout(ANSWER, answer).await.map_err(|_| timed_out())??;
        let (host, port) = found
            .ok_or_else(|| no_master(format!("the Sentinel at {sentinel} knows no `{master}`")))?;
        Ok(Endpoint { host, port })
    }
}

fn no_master(why: String) -> RedisError {
    let kind = redis::ErrorKind::ClusterConnectionNotFound;
    (kind, "there is no master", why).into()
}

/// The master of a slot, and all nodes, from the answer to CLUSTER SLOTS.
fn read_slots(slot: i64, answer: &Value, asked: &Endpoint) -> (Option<Endpoint>, Vec<Endpoint>) {
    let mut master = None;
    let mut all: Vec<Endpoint> = Vec::new();
    let Value::Array(ranges) = answer else {
        return (None, all);
    };
    for range in ranges {
        let Value::Array(range) = range else { continue };
        let [Value::Int(first), Value::Int(last), nodes @ ..] = &range[..] else {
            continue;
        };
        let nodes: Vec<Option<Endpoint>> =
            nodes.iter().map(|node| read_node(node, asked)).collect();
        if (*first..=*last).contains(&slot) {
            // The master comes first.
            master = nodes.first().cloned().flatten();
        }
        for node in nodes.into_iter().flatten() {
            if !all.contains(&node) {
                all.push(node);
            }
        }
    }
    (master, all)
}

fn read_node(node: &Value, asked: &Endpoint) -> Option<Endpoint> {
    let Value::Array(node) = node else {
        return None;
    };
    let [host, Value::Int(port), ..] = &node[..] else {
        return None;
    };
    let host = match host {
        // A node that does not know its own address is where we reached it.
        Value::Nil => asked.host.clone(),
        Value::BulkString(text) if text.is_empty() => asked.host.clone(),
        Value::BulkString(text) => String::from_utf8(text.clone()).ok()?,
        Value::SimpleString(text) => text.clone(),
        _ => return None,
    };
    // So says a node of another one whose address it does not know.
    if host == "?" {
        return None;
    }
    Some(Endpoint {
        host,
        port: u16::try_from(*port).ok()?,
    })
}

/// Where a MOVED or ASK sends us; `asked` is who said it.
pub(crate) fn redirection(error: &RedisError, asked: &Endpoint) -> Option<Endpoint> {
    let (address, _slot) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { &asked.host } else { host };
    Some(Endpoint::new(host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Value {
        redis::parse_redis_value(text.replace('\n', "\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn the_master_of_a_slot_is_found() {
        let slots = reply(
            "*4\n\
             *3\n:0\n:99\n*3\n$8\n10.0.0.1\n:7000\n$1\na\n\
             *4\n:100\n:199\n*4\n$0\n\n:7001\n$1\nb\n*0\n*3\n$8\n10.0.0.9\n:7009\n$1\nz\n\
             *3\n:200\n:299\n*3\n$-1\n:7002\n$1\nc\n\
             *3\n:300\n:399\n*3\n$1\n?\n:7003\n$1\nd\n",
        );
        let asked = Endpoint::new("seed", 1);
        let cases = [
            ("the first", 0, Some(Endpoint::new("10.0.0.1", 7000))),
            (
                "the end of a range",
                99,
                Some(Endpoint::new("10.0.0.1", 7000)),
            ),
            ("an empty host", 150, Some(Endpoint::new("seed", 7001))),
            ("no host", 200, Some(Endpoint::new("seed", 7002))),
            ("an unknown host", 300, None),
            ("nobody's slot", 400, None),
        ];
        for (case, slot, expected) in cases {
            let (master, nodes) = read_slots(slot, &slots, &asked);
            assert_eq!(master, expected, "case `{case}`");
            let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
            assert_eq!(ports, [7000, 7001, 7009, 7002], "case `{case}`");
        }
    }

    #[test]
    fn redirections_are_followed_to_where_they_point() {
        let asked = Endpoint::new("10.0.0.1", 7000);
        let cases = [
            (
                "MOVED 1 10.0.0.2:7001",
                Some(Endpoint::new("10.0.0.2", 7001)),
            ),
            (
                "ASK 1 redis-2.svc:7001",
                Some(Endpoint::new("redis-2.svc", 7001)),
            ),
            ("MOVED 1 :7001", Some(Endpoint::new("10.0.0.1", 7001))),
            ("MOVED 1 fd00::2:7001", Some(Endpoint::new("fd00::2", 7001))),
            ("MOVED 1 nowhere", None),
            ("ERR no", None),
        ];
        for (text, expected) in cases {
            let error = reply(&format!("-{text}\n")).extract_error().unwrap_err();
            assert_eq!(redirection(&error, &asked), expected, "{text}");
        }
    }
}
