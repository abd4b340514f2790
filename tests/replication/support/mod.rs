//! Regions and the network between them.

mod balancer;
mod content;
mod mesh;
mod region;

pub(crate) use balancer::Balancer;
pub(crate) use content::Content;
pub(crate) use mesh::{Mesh, Plan};
pub(crate) use region::{Region, metric_of};

/// Where Redis keeps what is to be sent.
pub(crate) const OUTBOX: &str = "{ze-k8s-worker}:outbox";

/// How many rounds a test shall go: what `FAVONIUS_TEST_ROUNDS` says, else as many as are usual.
pub(crate) fn rounds(usual: usize) -> usize {
    let asked = std::env::var_os("FAVONIUS_TEST_ROUNDS");
    asked.map_or(usual, |text| {
        let text = text.to_string_lossy();
        text.parse()
            .unwrap_or_else(|_| panic!("FAVONIUS_TEST_ROUNDS is no number: {text}"))
    })
}
