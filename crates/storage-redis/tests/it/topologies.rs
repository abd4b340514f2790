//! Clusters, Sentinels and TLS: finding the server that holds the records, also after it has changed.

use favonius_storage::{Applied, ChangeEvent, ErrorKind, RecordStore};
use favonius_storage_redis::{
    Endpoint, InvalidOptions, RedisOptions, RedisRecords, RedisTopology, TlsOptions,
};
use favonius_testing::{RedisCluster, RedisSentinel, RedisServer, eventually};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::support::{
    PATIENCE, answer, commit, connect_with, connected, document, endpoint, name, options,
    published, stored, text_of, until,
};

const PROBE: &str = "{ze-k8s-worker}:probe";
const WWW: &str = "{ze-k8s-worker}:envs:www";

fn www() -> ChangeEvent {
    ChangeEvent::Name(name("www"))
}

/// One of the seeds is enough, and a node that answers late or never holds up nobody.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn the_master_of_the_slot_is_found_from_any_node() {
    let cluster = RedisCluster::start();
    let gone = RedisServer::start();
    gone.stop();
    let paused = RedisServer::start();
    paused.pause();
    let document = document("u-1");
    for (number, node) in cluster.nodes().iter().enumerate() {
        let seeds = vec![endpoint(&gone), endpoint(&paused), endpoint(node)];
        let store = connect_with(&RedisOptions::new(RedisTopology::Cluster { seeds }));
        store.check().await.unwrap();
        let outcome = commit(&store, [stored(&document)]).await;
        let expected = if number == 0 {
            Applied::Done
        } else {
            Applied::Unchanged
        };
        assert_eq!(outcome, [expected]);
    }
    let holder = cluster.node_of(PROBE);
    assert_eq!(holder.cli(&["DBSIZE"]), "3");
}

/// While a slot moves to another node, and after.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_slot_that_moves_is_followed() {
    let cluster = RedisCluster::start();
    let seeds = vec![endpoint(&cluster.nodes()[0])];
    let store = connect_with(&RedisOptions::new(RedisTopology::Cluster { seeds }));
    let mut changes = connected(&store).await;
    let (one, two) = (document("u-1"), document("u-2"));
    commit(&store, [stored(&one), published("www", &one, 10)]).await;
    until(&mut changes, &www()).await;

    let from = cluster.node_of(PROBE);
    let to = cluster
        .nodes()
        .iter()
        .find(|node| node.port() != from.port())
        .unwrap();
    let id_of = |node: &RedisServer| node.cli(&["CLUSTER", "MYID"]);
    let slot = from.cli(&["CLUSTER", "KEYSLOT", PROBE]);
    to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id_of(from)]);
    from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id_of(to)]);
    // What is not there yet is already the other node's; what is here is still this one's.
    let other = "u-9.a.b.c".parse().unwrap();
    assert_eq!(store.snapshot(&other).await.unwrap(), None);
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");
    // Changes are not told any more: a key that is written there is not written here.
    until(&mut changes, &ChangeEvent::Disconnected).await;

    let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
    let port = to.port().to_string();
    let mut migrate = vec!["MIGRATE", to.host(), &port, "", "0", "5000", "KEYS"];
    migrate.extend(keys.lines());
    assert_eq!(from.cli(&migrate), "OK");
    assert_eq!(
        answer(&store, "www").await.unwrap(),
        "u-1.a.b.c",
        "from where it is now"
    );
    for node in [
        to,
        from,
        &cluster.nodes()[0],
        &cluster.nodes()[1],
        &cluster.nodes()[2],
    ] {
        node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &id_of(to)]);
    }

    let applied = commit(&store, [stored(&two), published("www", &two, 20)]).await;
    assert_eq!(applied, [Applied::Done, Applied::Done]);
    assert_eq!(answer(&store, "www").await.unwrap(), "u-2.a.b.c");
    assert_eq!(from.cli(&["DBSIZE"]), "0");
    until(&mut changes, &ChangeEvent::Connected).await;
    to.cli(&["SET", WWW, text_of(&one)]);
    until(&mut changes, &www()).await;
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_new_master_is_followed() {
    let servers = RedisSentinel::start();
    let absent = Endpoint::new("127.0.0.1", 1);
    let store = connect_with(&RedisOptions::new(RedisTopology::Sentinel {
        sentinels: vec![absent, endpoint(servers.sentinel())],
        master: RedisSentinel::MASTER.into(),
    }));
    let mut changes = connected(&store).await;
    let (one, two) = (document("u-1"), document("u-2"));
    commit(&store, [stored(&one), published("www", &one, 10)]).await;
    servers.master().cli(&["WAIT", "1", "5000"]);

    servers.fail_over();
    until(&mut changes, &ChangeEvent::Disconnected).await;
    eventually("the new master takes commits", PATIENCE, async || {
        store.check().await
    })
    .await;
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");
    commit(&store, [stored(&two), published("www", &two, 20)]).await;
    until(&mut changes, &ChangeEvent::Connected).await;
    servers.master().cli(&["SET", WWW, text_of(&one)]);
    until(&mut changes, &www()).await;
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_master_that_nobody_knows_is_named_in_the_error() {
    let servers = RedisSentinel::start();
    let store = connect_with(&RedisOptions::new(RedisTopology::Sentinel {
        sentinels: vec![endpoint(servers.sentinel())],
        master: "another".into(),
    }));
    let error = store.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("`another`"), "{cause}");
}

/// One that does not say who it is, or is not the one that was asked for, is not spoken to.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn only_a_server_with_the_right_certificate_is_used() {
    let (server, other) = (RedisServer::start_tls(), RedisServer::start_tls());
    let plain = RedisServer::start();
    let trust_other = || {
        let mut options = options(&server);
        options.tls = Some(TlsOptions {
            ca_file: other.ca_file(),
        });
        options
    };
    let speak_plain = || {
        let mut options = options(&server);
        options.tls = None;
        options
    };
    let speak_tls_to_plain = || {
        let mut options = options(&server);
        options.topology = RedisTopology::Single(endpoint(&plain));
        options
    };
    let by_name = || {
        let mut options = options(&server);
        options.topology = RedisTopology::Single(Endpoint::new("localhost", server.port()));
        options
    };
    let other_name = || {
        let mut options = options(&server);
        // Also this machine, but not in the certificate.
        options.topology = RedisTopology::Single(Endpoint::new("127.0.0.2", server.port()));
        options
    };
    let cases = [
        ("by address", options(&server), true),
        ("by name", by_name(), true),
        ("another authority", trust_other(), false),
        ("another name", other_name(), false),
        ("without TLS", speak_plain(), false),
        ("a server without TLS", speak_tls_to_plain(), false),
    ];
    for (case, options, expected) in cases {
        let store = connect_with(&options);
        let outcome = store.check().await;
        assert_eq!(outcome.is_ok(), expected, "{case}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{case}: {error:?}");
        }
    }
}

#[test]
fn options_that_cannot_work_are_refused() {
    let usual = || RedisOptions::new(RedisTopology::Single(Endpoint::new("localhost", 6379)));
    let cluster = |seeds| RedisTopology::Cluster { seeds };
    let with = |change: fn(&mut RedisOptions)| {
        let mut options = usual();
        change(&mut options);
        options
    };
    let no_tag = with(|options| {
        options.envs_prefix = "envs:".into();
        options.snapshots_prefix = "snapshots:".into();
    });
    let cases = [
        (
            "no seeds",
            RedisOptions {
                topology: cluster(vec![]),
                ..usual()
            },
            "node of the cluster",
        ),
        (
            "no Sentinels",
            with(|options| {
                options.topology = RedisTopology::Sentinel {
                    sentinels: vec![],
                    master: "m".into(),
                };
            }),
            "Sentinel",
        ),
        (
            "no tag in a cluster",
            RedisOptions {
                topology: cluster(vec![Endpoint::new("localhost", 1)]),
                ..no_tag
            },
            "hash tag",
        ),
        (
            "one prefix",
            with(|options| options.snapshots_prefix.clone_from(&options.envs_prefix)),
            "cannot be told",
        ),
        (
            "no connections",
            with(|options| options.pool_size = 0),
            "0 connections",
        ),
        (
            "no certificates",
            with(|options| {
                options.tls = Some(TlsOptions {
                    ca_file: Some("/nowhere/ca.pem".into()),
                });
            }),
            "/nowhere/ca.pem",
        ),
    ];
    for (case, options, expected) in cases {
        let outcome =
            RedisRecords::connect(&options, &TaskTracker::new(), &CancellationToken::new());
        let error: InvalidOptions = outcome.map(drop).unwrap_err();
        assert!(
            error.to_string().contains(expected),
            "case `{case}`: {error}"
        );
    }
}
