//! Who reads a store is told what changes.

use favonius_contract::DeploymentName;
use futures::StreamExt;

use super::{
    Store,
    sample::{apply, commit, connected, id_of, name, publish, snapshot, stored, until},
};
use crate::{Change, ChangeEvent};

/// Each name and each snapshot that a commit changes, after it can be read.
pub async fn commits_are_told(store: Store) {
    let mut changes = connected(&*store).await;
    let (one, two) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2));
    let to: Vec<DeploymentName> = ["x", "y", "z"].map(name).into();

    let mut all = vec![stored(&one)];
    all.extend(
        to.iter()
            .map(|to| Change::from(publish(to.as_str(), &one, 5))),
    );
    commit(&store, all).await;
    let mut missing: Vec<ChangeEvent> = to.iter().cloned().map(ChangeEvent::Name).collect();
    missing.push(ChangeEvent::Snapshot(id_of(&one)));
    while !missing.is_empty() {
        let wait = std::time::Duration::from_secs(20);
        let event = tokio::time::timeout(wait, changes.next()).await;
        let event = event.unwrap_or_else(|_| panic!("not told of {missing:?}"));
        missing.retain(|missing| Some(missing) != event.as_ref());
    }

    commit(&store, [stored(&two), publish("y", &two, 6).into()]).await;
    until(&mut changes, &ChangeEvent::Name(name("y"))).await;
    let deployment = store.deployment(&name("y")).await.unwrap().unwrap();
    assert_eq!(deployment.snapshot.snapshot_id, id_of(&two));
}

/// Also one that does not read, which holds up nobody and is told in the end that it missed something.
pub async fn every_reader_is_told(store: Store) {
    let mut slow = connected(&*store).await;
    let mut readers = [connected(&*store).await, connected(&*store).await];
    let document = snapshot("a.b.c", "u-1", 1);
    apply(&store, stored(&document)).await;
    for batch in 0..60 {
        let names = (0..100).map(|number| format!("name-{batch}-{number}"));
        let changes = names.map(|to| Change::from(publish(&to, &document, 5)));
        commit(&store, changes).await;
        let last = ChangeEvent::Name(name(&format!("name-{batch}-99")));
        for reader in &mut readers {
            until(reader, &last).await;
        }
    }
    let last = ChangeEvent::Name(name("name-59-99"));
    let told = until(&mut slow, &last).await;
    let all_told = (0..60).all(|batch| {
        (0..100).all(|number| {
            let event = ChangeEvent::Name(name(&format!("name-{batch}-{number}")));
            event == last || told.contains(&event)
        })
    });
    let told_to_look_again = told.contains(&ChangeEvent::Connected);
    assert!(all_told || told_to_look_again, "a reader missed something");
}

/// `check` asks for no more than commits do.
pub async fn a_store_that_works_passes_its_check(store: Store) {
    store.check().await.unwrap();
    apply(&store, stored(&snapshot("a.b.c", "u-1", 1))).await;
    store.check().await.unwrap();
}
