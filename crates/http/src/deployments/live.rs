//! A deployment as it is served.

use favonius_contract::{Delimiter, Deployment, version_labels};

/// A deployment together with what need not be worked out again for each request.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) deployment: Deployment,
    /// Whether the name stands for this one version for ever, so that what it serves may be kept for ever too.
    pub(crate) is_version: bool,
}

impl Live {
    pub(super) fn new(name: &str, deployment: Deployment, delimiter: Delimiter) -> Self {
        let says_so = deployment
            .publication
            .as_ref()
            .is_some_and(|publication| publication.version);
        // Records of another worker, and those made by hand, do not say it; their name does.
        let [label, _] = version_labels(&deployment.snapshot.snapshot_id, usize::MAX);
        let named_so = || {
            name.strip_prefix(label.as_str())
                .is_some_and(|rest| rest.starts_with(delimiter.as_str()))
        };
        let is_version = says_so || named_so();
        Self {
            deployment,
            is_version,
        }
    }
}
