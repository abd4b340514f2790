//! Which servers are connected to, and the hash tag of the keys.

use favonius_config::{HostPort, RedisSettings, RedisTopology, Storage};

use crate::Setup;

fn redis(variables: &[(&str, &str)]) -> RedisSettings {
    match Setup::s3_redis()
        .with_all(variables)
        .loaded()
        .settings
        .storage
    {
        Storage::S3Redis { redis, .. } => redis,
        Storage::Embedded { .. } => panic!("embedded"),
    }
}

fn shown(topology: &RedisTopology) -> String {
    let join = |hosts: &[HostPort]| {
        hosts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    match topology {
        RedisTopology::Single(host) => format!("single {host}"),
        RedisTopology::Cluster { seeds } => format!("cluster {}", join(seeds)),
        RedisTopology::Sentinel { sentinels, master } => format!("{master} {}", join(sentinels)),
    }
}

#[test]
fn hosts_take_the_common_port_unless_they_have_their_own() {
    let port = ("ZE_WORKER_REDIS_PORT", "7000");
    let seeds = ("ZE_WORKER_REDIS_HOST", "a:1,b,[::1]:2");
    let cluster = ("ZE_WORKER_REDIS_MODE", "cluster");
    let sentinel = ("ZE_WORKER_REDIS_MODE", "sentinel");
    let master = ("ZE_WORKER_REDIS_SENTINEL_MASTER", "m");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "single redis:6379"),
        (&[port], "single redis:7000"),
        (&[cluster, seeds], "cluster a:1 b:6379 [::1]:2"),
        (&[cluster, seeds, port], "cluster a:1 b:7000 [::1]:2"),
        (&[sentinel, seeds, master], "m a:1 b:26379 [::1]:2"),
        (&[sentinel, seeds, master, port], "m a:1 b:7000 [::1]:2"),
    ];
    for (variables, expected) in cases {
        assert_eq!(shown(&redis(variables).topology), expected, "{variables:?}");
    }
}

#[test]
fn the_hash_tag_is_that_of_the_envs_prefix() {
    for (prefix, expected) in [
        ("", Some("{ze-k8s-worker}")),
        ("a:{b}:c:", Some("{b}")),
        ("e:", None),
    ] {
        let redis = redis(&[("ZE_WORKER_REDIS_PREFIX_ENVS", prefix)]);
        assert_eq!(redis.hash_tag(), expected, "{prefix}");
    }
}
