//! Where a deployment is published, besides the URL of its own that every version has.

use clap::Args;
use favonius_contract::{ApplicationUid, Delimiter, EdgeHost, Hostname};

use crate::{
    failure::usage,
    names::{Kind, hostname},
};

#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Publish as well")]
pub(crate) struct Names {
    /// Environment, which gets the hostname e-ENV-APP-PROJECT-ORG of the edge
    #[arg(long = "env", value_name = "ENV")]
    pub(crate) environments: Vec<String>,

    /// Tag, e.g. a branch, which gets the hostname t-TAG-APP-PROJECT-ORG of the edge
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,

    /// Hostname, e.g. a domain of your own
    #[arg(long = "host", value_name = "HOST", value_parser = parse_host)]
    pub(crate) hosts: Vec<Hostname>,

    /// What joins those names and the edge's own: - . or _ [default: as the edge does]
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter, allow_hyphen_values = true)]
    pub(crate) delimiter: Option<Delimiter>,
}

impl Names {
    /// Whether nothing is to be published.
    pub(crate) fn is_empty(&self) -> bool {
        self.environments.is_empty() && self.tags.is_empty() && self.hosts.is_empty()
    }

    /// The hostnames, each once. The edge's delimiter holds when none was given.
    pub(crate) fn hosts(
        &self,
        application: &ApplicationUid,
        edge: &EdgeHost,
        of_edge: Delimiter,
    ) -> anyhow::Result<Vec<Hostname>> {
        let delimiter = self.delimiter.unwrap_or(of_edge);
        let environments = self
            .environments
            .iter()
            .map(|name| (Kind::Environment, name));
        let tags = self.tags.iter().map(|name| (Kind::Tag, name));
        let mut hosts = Vec::new();
        for (kind, name) in environments.chain(tags) {
            let host = hostname(kind, name, application, edge, delimiter).map_err(usage)?;
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        for host in &self.hosts {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        Ok(hosts)
    }
}

/// Reads a hostname, or the URL of one.
pub(crate) fn parse_host(text: &str) -> Result<Hostname, String> {
    Hostname::from_host_or_url(text).map_err(|problem| problem.to_string())
}

fn parse_delimiter(text: &str) -> Result<Delimiter, String> {
    text.parse()
        .map_err(|problem: favonius_contract::Invalid| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_order_and_once() {
        let names = Names {
            environments: vec!["production".into(), "Production".into()],
            tags: vec!["main".into()],
            hosts: vec![
                "www.shop.test".parse().unwrap(),
                "t-main-shop-web-acme.edge.test".parse().unwrap(),
            ],
            delimiter: None,
        };
        let application = "shop.web.acme".parse().unwrap();
        let edge = "https://edge.test".parse().unwrap();
        let hosts = |names: &Names| -> Vec<String> {
            let hosts = names.hosts(&application, &edge, Delimiter::Dot).unwrap();
            hosts.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            hosts(&names),
            [
                "e-production-shop-web-acme.edge.test",
                "t-main-shop-web-acme.edge.test",
                "www.shop.test",
            ]
        );
        let delimiter = Some(Delimiter::Underscore);
        let own = hosts(&Names {
            delimiter,
            hosts: Vec::new(),
            ..names
        });
        assert_eq!(
            own,
            [
                "e-production-shop-web-acme_edge.test",
                "t-main-shop-web-acme_edge.test"
            ]
        );
        assert!(Names::default().is_empty());
    }
}
