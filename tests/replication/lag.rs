//! How long it takes until another region shows what was published.

use std::time::{Duration, Instant};

use favonius_testing::eventually;

use crate::common::{APP, Figures, show};
use crate::support::{Plan, rounds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn publishes_are_seen_in_the_other_region() {
    let mesh = Plan::of(&["eu", "us"]).start().await;
    let here = mesh["eu"].site_at(0, APP);
    let there = mesh["us"].site_at(0, APP);
    let rounds = u32::try_from(rounds(30)).unwrap();
    let (mut with_files, mut names_alone) = (Figures::default(), Figures::default());
    for number in 1..=rounds {
        // Five files that the other region has never seen.
        let texts = ["a.txt", "b.txt", "c.txt"];
        let files = texts.map(|path| (path, format!("{path} of {number}").into_bytes()));
        let build = here.build_with(number, &files);
        here.deploy(&build).await;
        for (host, figures) in [
            ("first.test", &mut with_files),
            ("next.test", &mut names_alone),
        ] {
            let _published = here.publish(&build, &[host]).await.expect_status(200);
            let published = Instant::now();
            eventually(
                "the other region shows it",
                Duration::from_mins(1),
                async || match there.shown(host).await {
                    Some(shown) if shown == number => Ok(()),
                    shown => Err(shown),
                },
            )
            .await;
            figures.add(published.elapsed());
        }
    }
    let title = "from a publish to its sight in another region";
    show(title, format!("five new files: {with_files}"));
    show(title, format!("a further name: {names_alone}"));
}
