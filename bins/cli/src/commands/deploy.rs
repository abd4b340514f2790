//! `favonius deploy`

use std::path::PathBuf;

use clap::Args;
use favonius_contract::EdgeHost;
use indicatif::HumanBytes;
use serde_json::json;

use super::application::ApplicationArgs;
use crate::{
    deploy::{Deployment, Names, Progress, deploy},
    edge::{EdgeArgs, parse_origin},
    files::Build,
    output::{Output, table},
};

/// Who deploys, where nobody says.
const NOBODY: &str = "anonymous";

/// Upload a build to an edge, and publish it
///
/// Uploads only the files that the edge does not have yet. Every version gets a URL of its own; --env, --tag and --host
/// publish it under further names.
#[derive(Args)]
#[command(
    after_help = "Example:\n  favonius deploy dist --app shop --project web --org acme --env production --tag main"
)]
pub(crate) struct Deploy {
    /// Directory with the build. `.git`, `node_modules`, `.DS_Store` and `thumbs.db` in it are left out
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    #[command(flatten)]
    application: ApplicationArgs,

    #[command(flatten)]
    names: Names,

    #[command(flatten)]
    edge: EdgeArgs,

    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Version")]
struct VersionArgs {
    /// Who deploys
    #[arg(long, value_name = "NAME", env = "USER", default_value = NOBODY)]
    user: String,

    /// Build id, one that this user has not used for this application [default: made from the time]
    #[arg(long, value_name = "ID")]
    build: Option<String>,

    /// Commit that was built
    #[arg(long, value_name = "HASH", env = "FAVONIUS_COMMIT")]
    commit: Option<String>,

    /// Branch that was built
    #[arg(long, value_name = "NAME", env = "FAVONIUS_BRANCH")]
    branch: Option<String>,

    /// URL of the edge as visitors know it, when it is not the one that is deployed to [default: --url]
    #[arg(long, value_name = "URL", env = "FAVONIUS_DOMAIN", value_parser = parse_origin)]
    domain: Option<EdgeHost>,
}

impl Deploy {
    pub(crate) async fn run(&self, output: Output) -> anyhow::Result<()> {
        let application = self.application.uid()?;
        let progress = Progress::new(output);
        let edge = self.edge.connect(progress.clone())?;
        let build = Build::read(&self.directory).await?;
        for doubt in build.doubts(&self.directory) {
            output.note(&format!("warning: {doubt}"));
        }
        let version = &self.version;
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let deployment = Deployment {
            application,
            user: if version.user.is_empty() {
                NOBODY.to_owned()
            } else {
                version.user.clone()
            },
            build: set(&version.build),
            domain: version
                .domain
                .clone()
                .unwrap_or_else(|| edge.origin().clone()),
            commit: set(&version.commit),
            branch: set(&version.branch),
            names: self.names.clone(),
        };
        let deployed = deploy(&edge, &progress, &build, &deployment).await?;
        let mut rows = vec![["  Version".to_owned(), deployed.version_url.clone()]];
        rows.extend(
            deployed
                .urls
                .iter()
                .map(|url| ["  Published".to_owned(), url.clone()]),
        );
        let text = format!(
            "Deployed {}: {} files ({}), {} uploaded ({})\n{}",
            deployed.snapshot_id,
            build.files().len(),
            HumanBytes(build.bytes()),
            deployed.uploaded_files,
            HumanBytes(deployed.uploaded_bytes),
            table(&rows),
        );
        let json = json!({
            "application_uid": deployment.application,
            "snapshot_id": deployed.snapshot_id,
            "version_url": deployed.version_url,
            "urls": deployed.urls,
            "files": build.files().len(),
            "bytes": build.bytes(),
            "uploaded_files": deployed.uploaded_files,
            "uploaded_bytes": deployed.uploaded_bytes,
        });
        output.result(&text, &json)?;
        Ok(())
    }
}
