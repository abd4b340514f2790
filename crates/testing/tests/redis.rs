//! Redis servers come up, answer, can be broken and mended, and leave nothing behind.

use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use favonius_testing::{RedisCluster, RedisSentinel, RedisServer, eventually};

#[test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
fn a_single_server_answers_and_starts_again_empty() {
    let redis = RedisServer::start();
    assert_eq!(redis.cli(&["SET", "key", "a value\nof two lines"]), "OK");
    assert_eq!(redis.cli(&["GET", "key"]), "a value\nof two lines");
    assert!(
        redis
            .try_cli(&["NOSUCH"])
            .unwrap_err()
            .contains("unknown command")
    );
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}/0", redis.port()));

    redis.stop();
    assert!(
        redis
            .try_cli(&["PING"])
            .unwrap_err()
            .contains("Connection refused")
    );
    redis.start_again();
    assert_eq!(redis.cli(&["EXISTS", "key"]), "0");
}

#[test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
fn an_append_only_server_keeps_its_data() {
    let redis = RedisServer::builder().append_only().start();
    redis.cli(&["SET", "key", "kept"]);
    redis.stop();
    redis.start_again();
    assert_eq!(redis.cli(&["GET", "key"]), "kept");
    redis.shut_down();
    redis.start_again();
    assert_eq!(redis.cli(&["GET", "key"]), "kept");
}

#[test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
fn a_server_with_tls_and_password_takes_nothing_else() {
    let redis = RedisServer::builder().tls().password("pa ss").start();
    assert_eq!(redis.cli(&["PING"]), "PONG");
    assert!(redis.ca_file().is_some_and(|file| file.is_file()));

    let port = redis.port().to_string();
    let ca = redis.ca_file().unwrap();
    let cases: [(&str, &[&str]); 2] = [
        ("without TLS", &[]),
        (
            "without a password",
            &["--tls", "--cacert", ca.to_str().unwrap()],
        ),
    ];
    for (name, options) in cases {
        let ping = std::process::Command::new("redis-cli")
            .args(["-e", "-p", &port])
            .args(options)
            .arg("PING")
            .output()
            .unwrap();
        assert!(!ping.status.success(), "case `{name}`: {ping:?}");
    }
}

#[test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
fn a_paused_server_is_silent_until_it_goes_on() {
    let redis = RedisServer::start();
    redis.pause();
    // The kernel still takes the connection.
    let stream = TcpStream::connect(redis.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    std::io::Write::write_all(&mut &stream, b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    assert!(std::io::Read::read(&mut &stream, &mut reply).is_err());
    redis.resume();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    std::io::Read::read_exact(&mut &stream, &mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
fn nothing_is_left_of_a_dropped_server() {
    let redis = RedisServer::start();
    let pid = redis.cli(&["INFO", "server"]);
    let pid = pid
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"))
        .unwrap()
        .to_owned();
    let dir = redis
        .cli(&["CONFIG", "GET", "dir"])
        .lines()
        .nth(1)
        .unwrap()
        .to_owned();
    assert!(Path::new("/proc").join(&pid).exists() && Path::new(&dir).exists());
    let address = redis.address();
    drop(redis);
    assert!(!Path::new("/proc").join(&pid).exists());
    assert!(!Path::new(&dir).exists());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
fn a_cluster_shares_the_slots_and_survives_a_restart_of_a_node() {
    let cluster = RedisCluster::start_with(&RedisServer::builder().append_only());
    assert_eq!(cluster.nodes().len(), 3);
    let mut owners = std::collections::BTreeSet::new();
    for key in [
        "one", "two", "three", "four", "five", "six", "seven", "eight",
    ] {
        assert_eq!(cluster.cli(&["SET", key, "value"]), "OK");
        let owner = cluster.node_of(key);
        assert_eq!(
            owner.cli(&["GET", key]),
            "value",
            "the owner of `{key}` answers without a redirection"
        );
        owners.insert(owner.port());
    }
    assert_eq!(owners.len(), 3);

    let node = cluster.node_of("one");
    node.stop();
    node.start_again();
    cluster.wait_until_ok();
    assert_eq!(cluster.cli(&["GET", "one"]), "value");
}

#[test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
fn a_sentinel_makes_the_replica_master() {
    let redis = RedisSentinel::start();
    let [first, second] = redis.servers();
    assert_eq!(redis.master().port(), first.port());
    first.cli(&["SET", "key", "value"]);
    assert_eq!(first.cli(&["WAIT", "1", "5000"]), "1");
    redis.fail_over();
    assert_eq!(redis.master().port(), second.port());
    assert_eq!(second.cli(&["GET", "key"]), "value");
    assert_eq!(second.cli(&["SET", "key", "new"]), "OK");
}

/// A test process that is killed takes its servers along: the child of this test starts one and kills itself.
#[tokio::test]
#[cfg_attr(
    not(all(has_redis, target_os = "linux")),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn servers_die_with_a_test_process_that_is_killed() {
    if let Some(file) = std::env::var_os("FAVONIUS_TEST_KILL_YOURSELF") {
        let redis = RedisServer::start();
        std::fs::write(file, redis.port().to_string()).unwrap();
        std::process::abort();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("port");
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_die_with_a_test_process_that_is_killed"])
        .env("FAVONIUS_TEST_KILL_YOURSELF", &file)
        // What a killed process cannot remove goes with this test.
        .env("TMPDIR", dir.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    let port: u16 = std::fs::read_to_string(file).unwrap().parse().unwrap();
    eventually(
        "the server is gone",
        Duration::from_secs(10),
        async || match TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => Err(Instant::now()),
            Err(_) => Ok(()),
        },
    )
    .await;
}
