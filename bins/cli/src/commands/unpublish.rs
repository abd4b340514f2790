//! `favonius unpublish`

use clap::Args;
use favonius_contract::{ApplicationUid, DeploymentName, Hostname, Invalid};
use serde_json::json;

use crate::{deploy::Progress, edge::EdgeArgs, output::Output};

/// Remove hostnames or route keys: they answer with nothing from then on
///
/// All of them, or none. The versions that they answered with stay, and can be published again. Other regions remove them, too.
#[derive(Args)]
#[command(
    after_help = "Example:\n  favonius unpublish old.example.com --application shop.web.acme"
)]
pub(crate) struct Unpublish {
    /// Hostname (or its URL) or route key to remove, as it was published
    #[arg(value_name = "NAME", required = true, value_parser = parse_name)]
    names: Vec<DeploymentName>,

    /// Uid of the application that they belong to: app.project.org
    #[arg(long, value_name = "UID", value_parser = parse_uid)]
    application: ApplicationUid,

    #[command(flatten)]
    edge: EdgeArgs,
}

impl Unpublish {
    pub(crate) async fn run(&self, output: Output) -> anyhow::Result<()> {
        let edge = self.edge.connect(Progress::new(output))?;
        let body = json!({"application_uid": self.application, "names": self.names});
        let removed = edge.unpublish(&body).await?;
        let names: Vec<_> = self.names.iter().map(DeploymentName::as_str).collect();
        let text = format!("Removed ({removed})\n  {}\n", names.join("\n  "));
        let json = json!({
            "application_uid": self.application,
            "names": names,
            "removed": removed,
        });
        output.result(&text, &json)?;
        Ok(())
    }
}

fn parse_name(text: &str) -> Result<DeploymentName, String> {
    let name = if text.contains("://") {
        Hostname::from_host_or_url(text).map(DeploymentName::from)
    } else {
        text.parse()
    };
    name.map_err(|problem| problem.to_string())
}

fn parse_uid(text: &str) -> Result<ApplicationUid, String> {
    text.parse().map_err(|problem: Invalid| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("shop.example.com", Some("shop.example.com")),
            ("https://Shop.example.com/", Some("shop.example.com")),
            ("t_main.shop.web.acme", Some("t_main.shop.web.acme")),
            ("ftp://shop.example.com", None),
            ("a/b", None),
            ("", None),
        ] {
            let found = parse_name(text).ok();
            let found = found.as_ref().map(DeploymentName::as_str);
            assert_eq!(found, expected, "{text}");
        }
    }
}
