//! The control plane that the published client talks to.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use favonius_testing::{Client, token};
use serde_json::{Map, Value, json};

use super::edge::Edge;
use super::script::Script;

const DEADLINE: Duration = Duration::from_mins(1);

/// How a control plane shall be.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    /// What it publishes with after each upload: `old`, `new`, `flat` or `none`.
    pub(crate) publish: &'static str,
    pub(crate) path: &'static str,
    /// Environment, variables.
    pub(crate) variables: Value,
    /// How those travel: `variables` or `manifest`.
    pub(crate) variables_as: &'static str,
    pub(crate) environments: &'static str,
    pub(crate) secret: &'static str,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            publish: "new",
            path: "/upload?type=envs",
            variables: json!({}),
            variables_as: "variables",
            environments: "production",
            secret: token::SECRET,
        }
    }
}

impl Control {
    pub(crate) async fn start(self, edge: &Edge) -> ControlPlane {
        let options = [
            ("--edge", edge.url()),
            ("--secret", self.secret.to_owned()),
            ("--publish", self.publish.to_owned()),
            ("--publish-path", self.path.to_owned()),
            ("--env-vars", self.variables.to_string()),
            ("--vars-as", self.variables_as.to_owned()),
            ("--environments", self.environments.to_owned()),
            ("--delimiter", edge.delimiter().to_owned()),
        ];
        let mut args = vec!["--end-with-stdin".to_owned()];
        for (name, value) in options {
            args.push(name.to_owned());
            args.push(value);
        }
        let mut script = Script::start("control-plane.mjs", &args);
        let ready = script.next(DEADLINE).await;
        let port = ready.as_ref().and_then(|ready| ready.get("port")?.as_u64());
        let port = port.and_then(|port| u16::try_from(port).ok());
        let port = port.unwrap_or_else(|| panic!("the control plane says {ready:?}"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        ControlPlane {
            script,
            client: Client::new(address),
        }
    }
}

/// A control plane that runs.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    script: Script,
    client: Client,
}

/// What the edge answered to a publish.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) status: u64,
    pub(crate) body: Value,
}

impl ControlPlane {
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}", self.client.address().port())
    }

    /// Publishes a build that it knows, without a new build; `more` are further fields of `POST /publish-again`.
    pub(crate) async fn publish_again(&self, snapshot_id: &str, more: Value) -> Published {
        let application = snapshot_id.split_once('.').map_or("", |(_, uid)| uid);
        let mut body = Map::from_iter([
            ("application_uid".to_owned(), json!(application)),
            ("snapshot_id".to_owned(), json!(snapshot_id)),
        ]);
        match more {
            Value::Object(more) => body.extend(more),
            other => panic!("no fields: {other}"),
        }
        let request = self.client.post("/publish-again").timeout(DEADLINE);
        let reply = request.json(&Value::Object(body)).send().await;
        let mut reply = reply.expect_status(200).json();
        Published {
            status: reply["status"].as_u64().unwrap_or_default(),
            body: reply["body"].take(),
        }
    }

    /// The same, and the edge must take it.
    pub(crate) async fn publish_again_ok(&self, snapshot_id: &str, more: Value) {
        let published = self.publish_again(snapshot_id, more).await;
        assert_eq!(published.status, 200, "{published:?}");
        assert_eq!(published.body["message"], "published", "{published:?}");
    }

    /// Ends it and gives the events that there were.
    ///
    /// # Panics
    /// If it was asked something that it does not know, or failed itself.
    pub(crate) async fn end(self) -> Vec<Value> {
        let ended = self.script.end(DEADLINE).await;
        assert!(ended.status.success(), "{ended:?}");
        for event in &ended.lines {
            let odd = ["unknown-request", "failure"]
                .iter()
                .any(|odd| event["event"] == *odd);
            assert!(!odd, "the control plane did not expect this: {event}");
        }
        ended.lines
    }
}
