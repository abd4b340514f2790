//! What regions send to each other.
//!
//! Regions that are sent to are told apart by `target`: what their URL says of where they are, without scheme and user. How
//! each stands is read when somebody asks ([`Instruments::watch_replication`]).

use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Counter, Meter},
};

use super::{Instruments, counter, labels::label};

label! {
    /// What became of an event that was to be sent to a region.
    Delivery {
        /// The region has it.
        Delivered = "delivered",
        /// It is no longer of use: something newer has replaced what it tells.
        Superseded = "superseded",
        /// The attempt failed; there will be another one.
        Retried = "retried",
        /// The region refuses it for good: it is among the dead letters.
        Buried = "buried",
        /// It cannot be sent as it is; comparing the regions will find what it told.
        LeftToRepair = "left_to_repair",
        /// It waited for too long and was removed unsent.
        Trimmed = "trimmed",
    }
}

label! {
    /// What came of comparing this region with another one.
    Repair {
        /// They have the same.
        Equal = "equal",
        /// They differed, and what differed is queued.
        Different = "different",
        /// They could not be compared.
        Failed = "failed",
    }
}

label! {
    /// What another region sends.
    Received {
        /// A file.
        Asset = "asset",
        /// The list of a build's files.
        Snapshot = "snapshot",
        /// A name that answers with a snapshot.
        Name = "name",
        /// A name that was removed.
        Removal = "removal",
    }
}

label! {
    /// What became of something that another region sent.
    Receipt {
        /// It is so now.
        Applied = "applied",
        /// It was there already.
        Known = "known",
        /// Something newer stands.
        Older = "older",
        /// Somebody wrote here by hand, which repair leaves alone.
        ByHand = "by_hand",
        /// What it needs has to be sent first.
        Incomplete = "incomplete",
        /// It is not as it should be, or not allowed.
        Refused = "refused",
        /// The stores failed.
        Failed = "failed",
    }
}

label! {
    /// Why the token of a replica was not taken.
    ReplicaRejection {
        /// It cannot be read, or lacks what the token of a replica has.
        Malformed = "malformed",
        /// It is signed with another key.
        Signature = "signature",
        /// It has expired, or is not valid yet.
        Expired = "expired",
        /// It is valid for longer than the token of a replica may be.
        Lifetime = "lifetime",
        /// It was used before.
        Replayed = "replayed",
        /// It was made for another request.
        Foreign = "foreign",
        /// It names this region's own replica as the sender.
        OwnReplica = "own_replica",
        /// It has no id, and so is good for any request, where it has to be for one.
        NotBound = "not_bound",
        /// Anything else.
        Other = "other",
    }
}

label! {
    /// What came of fetching an asset, which the store lacks, from another region.
    ReadThrough {
        /// It is in the store now.
        Fetched = "fetched",
        /// No region has it.
        Absent = "absent",
        /// No region could be asked, or what came was not right.
        Failed = "failed",
        /// Too many others were being fetched.
        Busy = "busy",
    }
}

/// How a region that is sent to stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TargetReading {
    /// Events that are not acknowledged.
    pub waiting: u64,
    /// How old the oldest of them is, in seconds; 0 without any.
    pub lag_s: f64,
    /// Dead letters.
    pub buried: u64,
    /// When something was delivered for the last time, in seconds since 1970; not there before the first time.
    pub last_success_s: Option<u64>,
    /// Whether the last attempt reached the region; not there before the first one.
    pub up: Option<bool>,
}

type Read = Box<dyn Fn() -> Option<TargetReading> + Send + Sync>;

/// What can tell how one region stands.
struct Target {
    labels: [KeyValue; 1],
    read: Read,
}

/// All regions that are sent to. Clones share them.
#[derive(Clone, Default)]
struct Targets(Arc<RwLock<Vec<Target>>>);

impl Targets {
    fn observe<T>(
        &self,
        observer: &dyn AsyncInstrument<T>,
        value: impl Fn(&TargetReading) -> Option<T>,
    ) {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for target in targets.iter() {
            if let Some(value) = (target.read)().as_ref().and_then(&value) {
                observer.observe(value, &target.labels);
            }
        }
    }
}

/// What is measured of replication.
pub(super) struct Replication {
    events: Counter<u64>,
    sent: Counter<u64>,
    repairs: Counter<u64>,
    received: Counter<u64>,
    rejected: Counter<u64>,
    read_through: Counter<u64>,
    targets: Targets,
}

impl Replication {
    pub(super) fn new(meter: &Meter) -> Self {
        let count = |name, unit, about| counter(meter, name, unit, about);
        let this = Self {
            events: count(
                "favonius.replication.events",
                "{event}",
                "What became of events that were to be sent to another region.",
            ),
            sent: count(
                "favonius.replication.sent",
                "By",
                "Content of the assets and documents that were sent to another region.",
            ),
            repairs: count(
                "favonius.replication.repairs",
                "{comparison}",
                "Comparisons of this region with another one.",
            ),
            received: count(
                "favonius.replication.received",
                "{thing}",
                "What other regions sent here.",
            ),
            rejected: count(
                "favonius.replication.rejected",
                "{request}",
                "Requests with the token of a replica that was not taken.",
            ),
            read_through: count(
                "favonius.replication.read_through",
                "{asset}",
                "Assets that the store lacks and that were to be fetched from another region.",
            ),
            targets: Targets::default(),
        };
        this.begin_at_zero();
        define_gauges(meter, &this.targets);
        this
    }

    /// Makes what has no target be there before anything happens, whether or not this process replicates.
    fn begin_at_zero(&self) {
        for kind in Received::ALL {
            for receipt in Receipt::ALL {
                self.received.add(0, &of_receipt(*kind, *receipt));
            }
        }
        for reason in ReplicaRejection::ALL {
            let labels = [KeyValue::new("reason", reason.as_str())];
            self.rejected.add(0, &labels);
        }
        for outcome in ReadThrough::ALL {
            self.read_through.add(0, &[of_outcome(outcome.as_str())]);
        }
    }
}

fn define_gauges(meter: &Meter, targets: &Targets) {
    type Value = fn(&TargetReading) -> Option<u64>;
    let whole: [(_, _, _, Value); 4] = [
        (
            "favonius.replication.waiting",
            "{event}",
            "Events that wait to be sent to another region.",
            |reading| Some(reading.waiting),
        ),
        (
            "favonius.replication.buried",
            "{letter}",
            "Dead letters: events that another region refuses for good.",
            |reading| Some(reading.buried),
        ),
        (
            "favonius.replication.last_success",
            "s",
            "When something was delivered to another region for the last time, in seconds since 1970.",
            |reading| reading.last_success_s,
        ),
        (
            "favonius.replication.up",
            "1",
            "Whether the last attempt reached the other region.",
            |reading| reading.up.map(u64::from),
        ),
    ];
    // The meter keeps what it was given; what it returns is of no use.
    for (name, unit, about, value) in whole {
        let targets = targets.clone();
        let gauge = meter.u64_observable_gauge(name).with_unit(unit);
        let _gauge = gauge
            .with_description(about)
            .with_callback(move |observer| targets.observe(observer, value))
            .build();
    }
    let targets = targets.clone();
    let _gauge = meter
        .f64_observable_gauge("favonius.replication.lag")
        .with_unit("s")
        .with_description("Age of the oldest event that waits to be sent to another region.")
        .with_callback(move |observer| targets.observe(observer, |reading| Some(reading.lag_s)))
        .build();
}

impl Instruments {
    /// Makes the counts of these regions be there before anything is sent. Each is a URL, or what is left of one as a label.
    pub fn expect_replication<T: AsRef<str>>(&self, targets: &[T]) {
        let Some(inner) = &self.0 else { return };
        let replication = &inner.replication;
        for target in targets {
            let target = of_target(target.as_ref());
            for outcome in Delivery::ALL {
                let labels = [target.clone(), of_outcome(outcome.as_str())];
                replication.events.add(0, &labels);
            }
            for outcome in Repair::ALL {
                let labels = [target.clone(), of_outcome(outcome.as_str())];
                replication.repairs.add(0, &labels);
            }
            replication.sent.add(0, &[target]);
        }
    }

    /// Reads how a region stands with this from now on, whenever somebody asks for metrics. Call it once for each; `read`
    /// must not wait.
    pub fn watch_replication(
        &self,
        target: &str,
        read: impl Fn() -> Option<TargetReading> + Send + Sync + 'static,
    ) {
        if let Some(inner) = &self.0 {
            let targets = &inner.replication.targets.0;
            let mut targets = targets.write().unwrap_or_else(PoisonError::into_inner);
            targets.push(Target {
                labels: [of_target(target)],
                read: Box::new(read),
            });
        }
    }

    /// Something became of an event that was to be sent to a region.
    pub fn replication_event(&self, target: &str, outcome: Delivery) {
        self.replication_events(target, outcome, 1);
    }

    /// The same became of so many events.
    pub fn replication_events(&self, target: &str, outcome: Delivery, count: u64) {
        if let Some(inner) = &self.0 {
            let labels = [of_target(target), of_outcome(outcome.as_str())];
            inner.replication.events.add(count, &labels);
        }
    }

    /// Content of this size was sent to a region.
    pub fn replication_sent(&self, target: &str, bytes: u64) {
        if let Some(inner) = &self.0 {
            inner.replication.sent.add(bytes, &[of_target(target)]);
        }
    }

    /// This region was compared with another one, or should have been.
    pub fn repair(&self, target: &str, outcome: Repair) {
        if let Some(inner) = &self.0 {
            let labels = [of_target(target), of_outcome(outcome.as_str())];
            inner.replication.repairs.add(1, &labels);
        }
    }

    /// Another region sent something.
    pub fn received(&self, kind: Received, receipt: Receipt) {
        if let Some(inner) = &self.0 {
            inner
                .replication
                .received
                .add(1, &of_receipt(kind, receipt));
        }
    }

    /// A request came with the token of a replica, which was not taken.
    pub fn replica_rejected(&self, reason: ReplicaRejection) {
        if let Some(inner) = &self.0 {
            let labels = [KeyValue::new("reason", reason.as_str())];
            inner.replication.rejected.add(1, &labels);
        }
    }

    /// An asset that the store lacks was to be fetched from another region.
    pub fn read_through(&self, outcome: ReadThrough) {
        if let Some(inner) = &self.0 {
            let labels = [of_outcome(outcome.as_str())];
            inner.replication.read_through.add(1, &labels);
        }
    }
}

/// The label of a region: its URL without scheme, user and slash at the end.
fn of_target(url: &str) -> KeyValue {
    let rest = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let label = match authority.rsplit_once('@') {
        Some((user, _)) => rest.get(user.len() + 1..).unwrap_or(rest),
        None => rest,
    };
    KeyValue::new("target", label.trim_end_matches('/').to_owned())
}

fn of_outcome(outcome: &'static str) -> KeyValue {
    KeyValue::new("outcome", outcome)
}

fn of_receipt(kind: Received, receipt: Receipt) -> [KeyValue; 2] {
    [
        KeyValue::new("kind", kind.as_str()),
        of_outcome(receipt.as_str()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_labelled_by_where_they_are() {
        let cases = [
            ("https://edge.us.example.com", "edge.us.example.com"),
            ("https://edge.us.example.com/", "edge.us.example.com"),
            ("http://10.0.0.7:8443/in/eu/", "10.0.0.7:8443/in/eu"),
            ("https://[::1]:8443", "[::1]:8443"),
            ("https://user:secret@eu.test/a@b", "eu.test/a@b"),
            ("https://eu.test/a?token=secret#x", "eu.test/a"),
            ("edge.us.example.com", "edge.us.example.com"),
            ("", ""),
        ];
        for (url, expected) in cases {
            assert_eq!(of_target(url), KeyValue::new("target", expected), "{url}");
        }
    }
}
