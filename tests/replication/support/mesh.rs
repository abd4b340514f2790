//! Regions that all replicate to each other.

use std::collections::BTreeMap;
use std::ops::Index;
use std::time::Duration;

use favonius_testing::{FaultProxy, WorkerBuilder, eventually, workspace_binary};
use futures::future::join_all;
use tokio::time::sleep;

use super::{Content, Region};
use crate::common::Worker;

/// What regions there shall be.
#[derive(Debug)]
#[must_use = "nothing happens until it is started"]
pub(crate) struct Plan {
    names: Vec<String>,
    workers: usize,
    relays: usize,
    /// Region (all if there is none), key, value.
    settings: Vec<(Option<String>, String, String)>,
}

impl Plan {
    /// Regions with these names and two workers each, each of which sends to all others.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            workers: 2,
            relays: 0,
            settings: Vec::new(),
        }
    }

    /// So many workers in each region.
    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// So many relays in each region, to which the workers leave the sending. The first one is the receiving end as well.
    pub(crate) fn relays(mut self, relays: usize) -> Self {
        self.relays = relays;
        self
    }

    /// A setting of all processes. It counts against those that are made here.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((None, key.to_owned(), value.to_owned()));
        self
    }

    /// A setting of all processes of one region.
    pub(crate) fn set_in(mut self, region: &str, key: &str, value: &str) -> Self {
        let setting = (Some(region.to_owned()), key.to_owned(), value.to_owned());
        self.settings.push(setting);
        self
    }

    /// Starts everything and waits until it is ready.
    pub(crate) async fn start(self) -> Mesh {
        let mut mesh = self.start_servers();
        let names = self.names.clone();
        let started = names.iter().map(|name| self.start_processes(&mesh, name));
        let started = join_all(started).await;
        for (region, (workers, relays)) in mesh.regions.iter_mut().zip(started) {
            region.workers = workers;
            region.relays = relays;
            region.open_doors();
        }
        mesh
    }

    /// The servers and the links; their addresses are known before any process is.
    fn start_servers(&self) -> Mesh {
        let regions: Vec<Region> = self.names.iter().map(|name| Region::new(name)).collect();
        let mut links = BTreeMap::new();
        for from in &self.names {
            for to in regions.iter().filter(|region| region.name != *from) {
                let link = FaultProxy::start(to.inlet.address());
                links.insert((from.clone(), to.name.clone()), link);
            }
        }
        Mesh { regions, links }
    }

    async fn start_processes(&self, mesh: &Mesh, name: &str) -> (Vec<Worker>, Vec<Worker>) {
        let numbers = 1..=self.workers + self.relays;
        let processes = numbers.map(|number| Worker::start(self.process(mesh, name, number)));
        let mut workers = join_all(processes).await;
        let relays = workers.split_off(self.workers);
        (workers, relays)
    }

    fn process(&self, mesh: &Mesh, name: &str, number: usize) -> WorkerBuilder {
        let urls: Vec<String> = mesh
            .others(name)
            .map(|other| mesh.url(name, &other.name))
            .collect();
        let mut builder = mesh[name]
            .builder()
            .env("ZE_WORKER_REPLICA_NAME", format!("{name}-{number}"))
            .env("ZE_WORKER_REPLICAS_URLS", urls.join(","));
        if self.relays > 0 {
            builder = builder.env("ZE_WORKER_REPLICATION", "relay");
        }
        if number > self.workers {
            builder = builder.binary(workspace_binary("favonius-relay", "favonius-relay"));
        }
        for (region, key, value) in &self.settings {
            if region.as_ref().is_none_or(|region| region == name) {
                builder = builder.env(key, value);
            }
        }
        builder
    }
}

/// Regions, by name, and a link from each to each other one.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) regions: Vec<Region>,
    links: BTreeMap<(String, String), FaultProxy>,
}

impl Index<&str> for Mesh {
    type Output = Region;

    fn index(&self, name: &str) -> &Region {
        let found = self.regions.iter().find(|region| region.name == name);
        found.unwrap_or_else(|| panic!("there is no region {name}"))
    }
}

impl Mesh {
    /// What the first region sends to the second goes through this.
    pub(crate) fn link(&self, from: &str, to: &str) -> &FaultProxy {
        &self.links[&(from.to_owned(), to.to_owned())]
    }

    /// The URL by which the first region knows the second: the name of that target.
    pub(crate) fn url(&self, from: &str, to: &str) -> String {
        format!("http://{}", self.link(from, to).address())
    }

    /// All regions but this one.
    pub(crate) fn others(&self, name: &str) -> impl Iterator<Item = &Region> {
        self.regions
            .iter()
            .filter(move |region| region.name != name)
    }

    /// Nothing gets into this region from others, nor out of it.
    pub(crate) fn cut_off(&self, name: &str) {
        self.links_of(name).for_each(FaultProxy::cut);
    }

    /// Ends what [`cut_off`](Self::cut_off) and other faults did to the links of a region.
    pub(crate) fn join(&self, name: &str) {
        self.links_of(name).for_each(FaultProxy::pass);
    }

    /// Waits until all regions have the same, byte by byte, and nothing waits to be sent. Gives what they have.
    pub(crate) async fn equal(&self, within: Duration) -> Content {
        eventually("all regions are equal", within, async || {
            let outcome = self.compare().await;
            if outcome.is_err() {
                sleep(Duration::from_millis(200)).await;
            }
            outcome
        })
        .await
    }

    /// Whether all regions have the same and nothing waits to be sent: what they have, or what differs.
    pub(crate) async fn compare(&self) -> Result<Content, String> {
        for region in &self.regions {
            let waiting = region.waiting().await;
            if waiting > 0 {
                return Err(format!("{waiting} events wait in {}", region.name));
            }
        }
        let (first, rest) = self.regions.split_first().unwrap();
        let content = first.content().await;
        for region in rest {
            let other = region.content().await;
            let (a, b) = (&first.name, &region.name);
            content
                .compare(&other)
                .map_err(|what| format!("{a} and {b}: {what}"))?;
        }
        Ok(content)
    }

    fn links_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a FaultProxy> {
        self.links
            .iter()
            .filter(move |((from, to), _)| from == name || to == name)
            .map(|(_, link)| link)
    }
}
