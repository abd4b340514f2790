//! `favonius publish`

use std::collections::BTreeMap;

use clap::Args;
use favonius_contract::{ApplicationUid, Hostname, RouteKey, SnapshotId};
use serde_json::{Map, Value, json};

use super::application::ApplicationArgs;
use crate::{
    deploy::{Progress, parse_host},
    edge::EdgeArgs,
    failure::usage,
    names::application_of,
    output::Output,
};

/// Make hostnames answer with a version that has been deployed
///
/// All of them change together, or none. Publishing an older version is how one rolls back.
#[derive(Args)]
#[command(
    after_help = "Example:\n  favonius publish --snapshot ada-42.shop.web.acme --host shop.example.com \\\n      --var shop.example.com:ZE_PUBLIC_API=https://api.example.com"
)]
pub(crate) struct Publish {
    /// Id of the version's snapshot, as `favonius deploy` prints it
    #[arg(long, value_name = "ID", value_parser = parse_snapshot)]
    snapshot: SnapshotId,

    /// Hostname to publish to; give it again for more
    #[arg(long = "host", value_name = "HOST", value_parser = parse_host)]
    hosts: Vec<Hostname>,

    /// Route key to publish to, for path-addressed URLs; give it again for more
    #[arg(long = "route-key", value_name = "KEY", value_parser = parse_key)]
    route_keys: Vec<RouteKey>,

    /// Value of an environment variable of the application under one of those names; give it again for more
    #[arg(long = "var", value_name = "HOST:NAME=VALUE", value_parser = parse_variable)]
    variables: Vec<Variable>,

    #[command(flatten)]
    application: ApplicationArgs,

    #[command(flatten)]
    edge: EdgeArgs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    /// Hostname or route key.
    place: String,
    name: String,
    value: String,
}

impl Publish {
    pub(crate) async fn run(&self, output: Output) -> anyhow::Result<()> {
        let application = self.application()?;
        let body = self.body(&application)?;
        let edge = self.edge.connect(Progress::new(output))?;
        let urls = edge.publish(&body).await?;
        let mut names = urls.clone();
        names.extend(self.route_keys.iter().map(|key| format!("route key {key}")));
        let text = format!("Published {}\n  {}\n", self.snapshot, names.join("\n  "));
        let json = json!({
            "application_uid": application,
            "snapshot_id": self.snapshot,
            "urls": urls,
            "url_ids": self.route_keys,
        });
        output.result(&text, &json)?;
        Ok(())
    }

    /// The application that the snapshot's id names, which is the one that was given, if one was.
    fn application(&self) -> anyhow::Result<ApplicationUid> {
        let own = application_of(&self.snapshot).map_err(|_| {
            usage(format!(
                "--snapshot {} does not end in app.project.org: is it the whole id?",
                self.snapshot
            ))
        })?;
        match self.application.uid_if_named()? {
            Some(named) if named != own => Err(usage(format!(
                "snapshot {} is one of application {own}, not of {named}",
                self.snapshot
            ))),
            _ => Ok(own),
        }
    }

    fn body(&self, application: &ApplicationUid) -> anyhow::Result<Value> {
        if self.hosts.is_empty() && self.route_keys.is_empty() {
            return Err(usage(
                "there is nothing to publish to: give --host or --route-key",
            ));
        }
        let mut body = json!({
            "app_version": {"application_uid": application, "snapshot_id": self.snapshot},
            "urls": self.hosts,
            "url_ids": self.route_keys,
        });
        let variables = self.variables_by_place()?;
        if let Some(fields) = body.as_object_mut()
            && !variables.is_empty()
        {
            fields.insert("environmentVariables".to_owned(), json!(variables));
        }
        Ok(body)
    }

    fn variables_by_place(&self) -> anyhow::Result<BTreeMap<String, Map<String, Value>>> {
        let mut by_place = BTreeMap::<_, Map<_, _>>::new();
        for Variable { place, name, value } in &self.variables {
            let host = Hostname::from_host_or_url(place).ok();
            let host = host
                .filter(|host| self.hosts.contains(host))
                .map(|host| host.to_string());
            let key = self.route_keys.iter().find(|key| key.as_str() == place);
            let Some(place) = host.or_else(|| key.map(ToString::to_string)) else {
                return Err(usage(format!(
                    "--var {place}:{name}: {place} is given as neither --host nor --route-key"
                )));
            };
            let variables = by_place.entry(place.clone()).or_default();
            if variables.insert(name.clone(), json!(value)).is_some() {
                return Err(usage(format!("--var {place}:{name} is given twice")));
            }
        }
        Ok(by_place)
    }
}

fn parse_snapshot(text: &str) -> Result<SnapshotId, String> {
    text.parse()
        .map_err(|problem: favonius_contract::Invalid| problem.to_string())
}

fn parse_key(text: &str) -> Result<RouteKey, String> {
    text.parse()
        .map_err(|problem: favonius_contract::Invalid| problem.to_string())
}

fn parse_variable(text: &str) -> Result<Variable, String> {
    let wrong = || "is not of the form HOST:NAME=VALUE".to_owned();
    let (target, value) = text.split_once('=').ok_or_else(wrong)?;
    let (place, name) = target.rsplit_once(':').ok_or_else(wrong)?;
    if place.is_empty() || name.is_empty() {
        return Err(wrong());
    }
    Ok(Variable {
        place: place.to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        publish: Publish,
    }

    fn publish(arguments: &[&str]) -> Result<Publish, String> {
        let arguments = ["publish", "--snapshot", "ada-1.shop.web.acme"]
            .iter()
            .chain(arguments);
        let parsed = Only::try_parse_from(arguments).map_err(|error| error.to_string())?;
        Ok(parsed.publish)
    }

    #[test]
    fn the_body_is_what_an_edge_reads() {
        let publish = publish(&[
            "--host=https://Shop.test/",
            "--route-key=t_main.shop.web.acme",
            "--var=shop.test:ZE_PUBLIC_API=https://api.test/?a=b",
            "--var=t_main.shop.web.acme:ZE_PUBLIC_API=x",
        ]);
        let publish = publish.unwrap();
        let application = publish.application().unwrap();
        let body = publish.body(&application).unwrap();
        let request =
            favonius_contract::PublishRequest::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(request.application_uid.as_str(), "shop.web.acme");
        let found: Vec<_> = request
            .targets
            .iter()
            .map(|target| {
                let variables = target.variables.as_ref().unwrap();
                (
                    target.name.as_str(),
                    target.is_hostname,
                    variables["ZE_PUBLIC_API"].as_str(),
                )
            })
            .collect();
        let expected = [
            ("shop.test", true, Some("https://api.test/?a=b")),
            ("t_main.shop.web.acme", false, Some("x")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_sent() {
        for (name, arguments, expected) in [
            ("no target", &[][..], "nothing to publish to"),
            (
                "variable elsewhere",
                &["--host=a.test", "--var=b.test:X=1"],
                "neither --host nor",
            ),
            (
                "variable twice",
                &["--host=a.test", "--var=a.test:X=1", "--var=a.test:X=2"],
                "given twice",
            ),
            (
                "no value",
                &["--host=a.test", "--var=a.test:X"],
                "HOST:NAME=VALUE",
            ),
            (
                "no host",
                &["--host=a.test", "--var=X=1"],
                "HOST:NAME=VALUE",
            ),
            ("not a host", &["--host=a b"], "a character other than"),
            ("not a key", &["--route-key=a/b"], "a slash"),
            (
                "another application",
                &["--host=a.test", "--app=blog", "--project=web", "--org=acme"],
                "not of blog.web.acme",
            ),
        ] {
            let refused = publish(arguments).and_then(|publish| {
                let body = publish
                    .application()
                    .and_then(|application| publish.body(&application));
                body.map(drop).map_err(|error| error.to_string())
            });
            let why = refused.unwrap_err();
            assert!(why.contains(expected), "case `{name}`: {why}");
        }
    }
}
