//! Waiting for what is done in one region to show in another one.

use std::time::Duration;

use favonius_testing::eventually;
use http::Method;

use crate::common::Site;
use crate::support::Region;

/// How long something may take to arrive, on a machine that has more to do.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(90);

/// Waits until a host answers with this build, or with nothing.
pub(crate) async fn shows(site: &Site, host: &str, build: Option<u32>) {
    let what = format!("{host} shows build {build:?}");
    eventually(&what, ARRIVAL, async || {
        let shown = site.named(host).await;
        if shown == build { Ok(()) } else { Err(shown) }
    })
    .await;
}

/// Waits until nothing waits in a region to be sent.
pub(crate) async fn sent(region: &Region) {
    let what = format!("{} has sent all", region.name);
    eventually(&what, ARRIVAL, async || match region.waiting().await {
        0 => Ok(()),
        waiting => Err(waiting),
    })
    .await;
}

/// Has a region compared with all others now, and waits until that is done.
pub(crate) async fn repair(region: &Region) {
    let before = comparisons(region).await;
    let asked = region.control(Method::POST, "/__favonius/replication/repair");
    let _asked = asked.await.expect_status(202);
    let targets = region.targets().await.len() as u64;
    let what = format!("{} compares", region.name);
    eventually(&what, ARRIVAL, async || {
        let done = comparisons(region).await - before;
        if done >= targets { Ok(()) } else { Err(done) }
    })
    .await;
}

/// How many comparisons with others a region made, whatever came of them.
async fn comparisons(region: &Region) -> u64 {
    region
        .metric("favonius_replication_repairs_total", &[])
        .await
}
