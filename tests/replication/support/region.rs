//! A region: one bucket, one Redis, and the processes on them.

use std::time::Duration;

use favonius_testing::{
    Client, RedisServer, Reply, S3Server, WorkerBuilder, WorkerProcess, eventually, token,
};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Balancer, Content};
use crate::common::{Resp, Site, Worker};

/// Servers of its own, and processes that share them. Other regions reach it through [`inlet`](Self::inlet).
#[derive(Debug)]
pub(crate) struct Region {
    /// `<name>-1`, `<name>-2`, ... are the names of its replicas.
    pub(crate) name: String,
    pub(crate) workers: Vec<Worker>,
    pub(crate) relays: Vec<Worker>,
    /// The load balancer for visitors and for who deploys, in front of its workers.
    pub(crate) door: Balancer,
    /// What other regions are told as its URL (with a link in between): in front of its workers, or its first relay if it
    /// has any.
    pub(crate) inlet: Balancer,
    pub(crate) redis: RedisServer,
    pub(crate) s3: S3Server,
    records: Mutex<Option<Resp>>,
}

impl Region {
    /// Starts the servers, and no process yet.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            workers: Vec::new(),
            relays: Vec::new(),
            door: Balancer::start(),
            inlet: Balancer::start(),
            redis: RedisServer::start(),
            s3: S3Server::start(),
            records: Mutex::default(),
        }
    }

    /// One more process on its servers, with nothing set of replication.
    pub(crate) fn builder(&self) -> WorkerBuilder {
        WorkerProcess::builder().redis(&self.redis).s3(&self.s3)
    }

    /// Lets the balancers know all processes.
    pub(super) fn open_doors(&self) {
        self.door
            .to(self.workers.iter().map(|worker| worker.address()));
        match self.relays.first() {
            Some(relay) => self.inlet.to([relay.address()]),
            None => self
                .inlet
                .to(self.workers.iter().map(|worker| worker.address())),
        }
    }

    /// An application as its owner sees it through the load balancer: each request goes to the next worker.
    pub(crate) fn site(&self, application: &str) -> Site {
        let mut site = Site::new(&self.workers[0], application);
        site.client = Client::without_reuse(self.door.address());
        site
    }

    /// The same at one of the workers.
    pub(crate) fn site_at(&self, worker: usize, application: &str) -> Site {
        Site::new(&self.workers[worker], application)
    }

    /// Everything that it has now.
    pub(crate) async fn content(&self) -> Content {
        let mut records = self.records.lock().await;
        if records.is_none() {
            *records = Some(Resp::open(&self.redis).await);
        }
        Content::of(records.as_mut().unwrap(), &self.s3).await
    }

    /// The sum of a counter over all its processes, of the series that have these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let mut sum = 0;
        for process in self.processes() {
            sum += metric_of(process, name, labels).await;
        }
        sum
    }

    /// Asks the control routes of its first worker as an operator: `/__favonius/replication` and what is below it.
    pub(crate) async fn control(&self, method: Method, path: &str) -> Reply {
        let operator = token::mint(
            token::SECRET.as_bytes(),
            &json!({"application_uid": "*", "can_write": true, "iat": token::now(), "exp": token::now() + 600}),
        );
        let client = self.workers[0].client();
        client.request(method, path).token(&operator).send().await
    }

    /// How each target stands, as its first worker tells. On a busy machine that may take more than one attempt.
    pub(crate) async fn targets(&self) -> Vec<Value> {
        let within = Duration::from_mins(1);
        eventually("the status of replication", within, async || {
            let status = self.control(Method::GET, "/__favonius/replication").await;
            if status.status == 200 {
                Ok(status.json()["targets"].as_array().unwrap().clone())
            } else {
                Err(status)
            }
        })
        .await
    }

    /// How many events wait for other regions.
    pub(crate) async fn waiting(&self) -> u64 {
        let targets = self.targets().await;
        let waiting = targets
            .iter()
            .map(|target| target["waiting"].as_u64().unwrap());
        waiting.sum()
    }

    fn processes(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().chain(&self.relays)
    }
}

/// The sum of a counter of one process, of the series that have these labels.
pub(crate) async fn metric_of(process: &WorkerProcess, name: &str, labels: &[(&str, &str)]) -> u64 {
    let page = process.client().get("/metrics").send().await;
    let page = page.expect_status(200).text();
    let values = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let rest = series.strip_prefix(name)?;
        let is_it = rest.is_empty() || rest.starts_with('{');
        let has = |(label, value): &(&str, &str)| rest.contains(&format!("{label}=\"{value}\""));
        (is_it && labels.iter().all(has)).then(|| value.parse::<u64>().unwrap())
    });
    values.sum()
}
