//! What other regions tell, where somebody changed a record by hand.

use favonius_storage::Applied;

use crate::{
    hand_made::{STATES, WWW, begin, snapshot_key},
    support::{answer, commit, published, removed, replicated, stored},
};

/// What counts when nothing is known of what was written last: a copy is older than any publish.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_record_of_another_worker_stands_as_it_is() {
    let (server, store, [one, two, _]) = begin().await;
    server.cli(&["COPY", &snapshot_key(&two), WWW]);
    assert_eq!(
        commit(&store, [replicated("www", &one, 1, true)]).await,
        [Applied::Done]
    );
    server.cli(&["DEL", STATES]);
    for (at, expected) in [(1, Applied::Superseded), (2, Applied::Done)] {
        let applied = commit(&store, [replicated("www", &one, at, true)]).await;
        assert_eq!(applied, [expected], "{at}");
    }
    // From now on other regions can be told of it, as after any publish.
    server.cli(&["DEL", STATES]);
    let again = [stored(&one), published("www", &one, 1)];
    assert_eq!(
        commit(&store, again).await,
        [Applied::Unchanged, Applied::Done]
    );
    assert_eq!(
        server.cli(&["HGET", STATES, "n:www"]),
        r#"{"published":{"snapshot_id":"u-1.a.b.c","application_uid":"a.b.c","published_at":3,"replica":"eu"}}"#
    );
    assert_eq!(server.cli(&["HEXISTS", STATES, "s:u-1.a.b.c"]), "1");
}

/// Whatever was done to it, only repair leaves it alone.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn repair_leaves_alone_what_was_done_by_hand() {
    let (server, store, [one, two, _]) = begin().await;
    let (copied, others) = (snapshot_key(&two), "{ze-k8s-worker}:envs:other");
    commit(&store, [published("other", &two, 50)]).await;
    let cases = [
        ("nothing", vec!["PING"], false),
        ("copied", vec!["COPY", &*copied, WWW, "REPLACE"], true),
        (
            "copied from a name",
            vec!["COPY", others, WWW, "REPLACE"],
            true,
        ),
        ("removed", vec!["DEL", WWW], true),
        ("damaged", vec!["APPEND", WWW, "x"], true),
        (
            "the state is damaged",
            vec!["HSET", STATES, "n:www", "x"],
            false,
        ),
    ];
    for (case, by_hand, is_by_hand) in cases {
        server.cli(&["DEL", WWW, STATES]);
        commit(&store, [published("www", &one, 10)]).await;
        server.cli(&by_hand);
        let before = server.cli(&["GET", WWW]);
        let steps = [
            (
                "older",
                replicated("www", &one, 9, true),
                Applied::Superseded,
            ),
            ("the same", replicated("www", &one, 10, true), Applied::Done),
            ("newer", replicated("www", &two, 11, true), Applied::Done),
            ("gone", removed("www", 12, true), Applied::Done),
        ];
        for (step, change, otherwise) in steps {
            let expected = if is_by_hand && otherwise == Applied::Done {
                Applied::ByHand
            } else {
                otherwise
            };
            let applied = commit(&store, [change]).await;
            assert_eq!(applied, [expected], "{case}: {step}");
        }
        if is_by_hand {
            assert_eq!(server.cli(&["GET", WWW]), before, "{case}");
            let applied = commit(&store, [replicated("www", &two, 13, false)]).await;
            assert_eq!(applied, [Applied::Done], "{case}");
        }
    }

    // So does a record that somebody put where a name was removed.
    commit(&store, [removed("www", 20, false)]).await;
    server.cli(&["COPY", &copied, WWW]);
    let steps = [
        ("removed again", removed("www", 21, true), Applied::ByHand),
        (
            "published",
            replicated("www", &one, 21, true),
            Applied::ByHand,
        ),
        ("as it happens", removed("www", 21, false), Applied::Done),
    ];
    for (step, change, expected) in steps {
        assert_eq!(commit(&store, [change]).await, [expected], "{step}");
    }
    assert_eq!(answer(&store, "www").await, None);
}
