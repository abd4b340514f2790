//! Which assets an application uploaded.

use std::collections::HashSet;

use favonius_contract::AssetRef;

use super::{
    Store,
    sample::{app, apply, asset, commit},
};
use crate::{Applied, Change};

fn put(application: &str, number: u64) -> Change {
    Change::AssetStored {
        application: app(application),
        asset: asset(number),
    }
}

fn lose(application: &str, number: u64) -> Change {
    Change::AssetLost {
        application: app(application),
        asset: asset(number),
    }
}

async fn known(store: &Store, application: &str) -> HashSet<AssetRef> {
    let listed = store.known_assets(&app(application)).await.unwrap();
    let set: HashSet<AssetRef> = listed.iter().copied().collect();
    assert_eq!(set.len(), listed.len(), "an asset is listed once");
    set
}

/// Also those whose names begin alike, and of assets that share a hash.
pub async fn each_application_knows_what_it_uploaded(store: Store) {
    let small = asset(1);
    let other_size = AssetRef { size: 2, ..small };
    let of_size = |asset| Change::AssetStored {
        application: app("a.b.c"),
        asset,
    };
    commit(
        &store,
        [put("a.b.c", 1), put("a.b.cc", 2), put("a.b.c-", 3)],
    )
    .await;

    assert_eq!(known(&store, "a.b.c").await, HashSet::from([small]));
    assert_eq!(known(&store, "a.b.cc").await, HashSet::from([asset(2)]));
    assert_eq!(known(&store, "a.b.c-").await, HashSet::from([asset(3)]));
    assert_eq!(known(&store, "x.y.z").await, HashSet::new());
    let knows =
        async |application: &str, asset| store.knows_asset(&app(application), asset).await.unwrap();
    assert!(knows("a.b.c", small).await);
    assert!(!knows("a.b.cc", small).await);
    assert!(!knows("a.b.c", other_size).await);

    assert_eq!(apply(&store, of_size(other_size)).await, Applied::Done);
    assert_eq!(
        known(&store, "a.b.c").await,
        HashSet::from([small, other_size])
    );
}

/// Each change says whether it changed anything.
pub async fn an_asset_is_known_until_it_is_lost(store: Store) {
    let steps = [
        ("lost before it was known", lose("a.b.c", 7), false, false),
        ("stored", put("a.b.c", 7), true, true),
        ("stored again", put("a.b.c", 7), false, true),
        ("lost for another one", lose("d.e.f", 7), false, true),
        ("lost", lose("a.b.c", 7), true, false),
        ("lost again", lose("a.b.c", 7), false, false),
        ("stored once more", put("a.b.c", 7), true, true),
    ];
    for (step, change, changes, then_known) in steps {
        let applied = apply(&store, change).await;
        assert_eq!(applied == Applied::Done, changes, "{step}: {applied:?}");
        let knows = store.knows_asset(&app("a.b.c"), asset(7)).await.unwrap();
        assert_eq!(knows, then_known, "{step}");
        let listed = known(&store, "a.b.c").await.contains(&asset(7));
        assert_eq!(listed, then_known, "{step}");
    }
}

/// The last one counts.
pub async fn asset_changes_of_one_commit_see_each_other(store: Store) {
    use Applied::{Done, Unchanged};
    let applied = commit(
        &store,
        [
            put("a.b.c", 1),
            put("a.b.c", 1),
            put("a.b.c", 2),
            lose("a.b.c", 2),
            lose("a.b.c", 2),
        ],
    )
    .await;
    assert_eq!(applied, [Done, Unchanged, Done, Done, Unchanged]);
    assert_eq!(known(&store, "a.b.c").await, HashSet::from([asset(1)]));

    let applied = commit(&store, [lose("a.b.c", 1), put("a.b.c", 1)]).await;
    assert_eq!(applied, [Done, Done]);
    assert_eq!(known(&store, "a.b.c").await, HashSet::from([asset(1)]));
}

/// Real applications have thousands.
pub async fn many_assets_are_listed_in_full(store: Store) {
    const ALL: u64 = 12_000;
    const AT_ONCE: u64 = 1_000;
    for first in (0..ALL).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let changes = (first..first + AT_ONCE).map(|number| put("a.b.c", number));
        commit(&store, changes).await;
    }
    let all: HashSet<AssetRef> = (0..ALL).map(asset).collect();
    assert!(known(&store, "a.b.c").await == all, "not all are listed");
}
