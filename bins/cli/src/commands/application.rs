//! Which application a command is about.

use clap::Args;
use favonius_contract::ApplicationUid;

use crate::{failure::usage, names::application_uid};

#[derive(Args)]
#[command(next_help_heading = "Application")]
pub(super) struct ApplicationArgs {
    /// Name of the application. Here and in the next two, what is no letter, digit or hyphen becomes a hyphen
    #[arg(long, value_name = "NAME", env = "FAVONIUS_APP")]
    app: Option<String>,

    /// Project that the application belongs to
    #[arg(long, value_name = "NAME", env = "FAVONIUS_PROJECT")]
    project: Option<String>,

    /// Organisation that the project belongs to
    #[arg(long, value_name = "NAME", env = "FAVONIUS_ORG")]
    org: Option<String>,
}

impl ApplicationArgs {
    /// The application, which has to be named.
    pub(super) fn uid(&self) -> anyhow::Result<ApplicationUid> {
        match (
            set(self.app.as_ref()),
            set(self.project.as_ref()),
            set(self.org.as_ref()),
        ) {
            (Some(app), Some(project), Some(org)) => application_uid(app, project, org)
                .map_err(|problem| usage(format!("--app, --project, --org: {problem}"))),
            (app, project, org) => {
                let given = [
                    (app, "--app (or FAVONIUS_APP)"),
                    (project, "--project (or FAVONIUS_PROJECT)"),
                    (org, "--org (or FAVONIUS_ORG)"),
                ];
                let missing: Vec<_> = given
                    .into_iter()
                    .filter_map(|(value, name)| value.is_none().then_some(name))
                    .collect();
                Err(usage(format!(
                    "which application? Give {}",
                    missing.join(", ")
                )))
            }
        }
    }

    /// The application, with these names where none are given.
    pub(super) fn uid_or(
        &self,
        app: &str,
        project: &str,
        org: &str,
    ) -> anyhow::Result<ApplicationUid> {
        let [app, project, org] = [(&self.app, app), (&self.project, project), (&self.org, org)]
            .map(|(given, default)| set(given.as_ref()).unwrap_or(default));
        application_uid(app, project, org)
            .map_err(|problem| usage(format!("--app, --project, --org: {problem}")))
    }

    /// The application, if it is named at all.
    pub(super) fn uid_if_named(&self) -> anyhow::Result<Option<ApplicationUid>> {
        let named = [&self.app, &self.project, &self.org]
            .into_iter()
            .any(|name| set(name.as_ref()).is_some());
        if named {
            self.uid().map(Some)
        } else {
            Ok(None)
        }
    }
}

/// A variable that a CI system leaves empty names nothing.
fn set(name: Option<&String>) -> Option<&str> {
    name.map(String::as_str).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(names: [&str; 3]) -> ApplicationArgs {
        let [app, project, org] = names.map(|name| Some(name.to_owned()));
        ApplicationArgs { app, project, org }
    }

    #[test]
    fn all_three_names_or_what_is_missing() {
        assert_eq!(
            args(["@acme/Shop", "web", "acme"]).uid().unwrap().as_str(),
            "-acme-shop.web.acme"
        );
        let why = args(["shop", "", "acme"]).uid().unwrap_err().to_string();
        assert_eq!(
            why,
            "which application? Give --project (or FAVONIUS_PROJECT)"
        );
        let defaulted = args(["Shop", "", ""])
            .uid_or("site", "local", "dev")
            .unwrap();
        assert_eq!(defaulted.as_str(), "shop.local.dev");
        assert_eq!(args(["", "", ""]).uid_if_named().unwrap(), None);
        assert!(args(["shop", "", ""]).uid_if_named().is_err());
    }
}
