//! Regions, workers that are watched for leaks, sites to deploy, and how figures are shown.

mod day;
mod figures;
mod resp;
mod s3_sink;
mod site;
mod worker;

pub(crate) use day::live_a_day;
pub(crate) use figures::{Figures, show};
pub(crate) use resp::Resp;
pub(crate) use s3_sink::S3Sink;
pub(crate) use site::{Build, Site, distinct_bytes};
pub(crate) use worker::{QUERY_VALUE, REDIS_PASSWORD, Region, Worker};

/// The application that most tests deploy.
pub(crate) const APP: &str = "shop.web.acme";
/// Another one, of somebody else.
pub(crate) const OTHER: &str = "blog.web.acme";

/// Where Redis keeps the record of a hostname.
pub(crate) fn env_key(host: &str) -> String {
    format!("{{ze-k8s-worker}}:envs:{host}")
}

/// Where Redis keeps a snapshot.
pub(crate) fn snapshot_key(id: &str) -> String {
    format!("{{ze-k8s-worker}}:snapshots:{id}")
}
