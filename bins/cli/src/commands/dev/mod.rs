//! `favonius dev`: an edge on this machine that serves one directory.

mod data;
mod place;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use aws_lc_rs::rand;
use clap::Args;
use favonius_auth::{MintRequest, Minter, Scope};
use favonius_config::{Environment, Settings};
use favonius_contract::{ApplicationUid, EdgeHost, Hostname};
use favonius_storage::Clock;
use favonius_worker::{Reporter, Worker};
use indicatif::HumanBytes;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use self::{
    data::Data,
    place::{app_name, hostname, shell_word},
};
use super::application::ApplicationArgs;
use crate::{
    deploy::{Deployed, Deployment, Names, Progress, deploy},
    edge::{Edge, Way, header},
    failure::usage,
    files::{Build, default_directory},
    output::{Output, table},
};

/// How long requests under way may take after Ctrl-C.
const GRACE_MS: u32 = 200;
/// How long the token is valid; it is of no use once the edge has ended.
const TOKEN_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// Who deploys here, and names of what an application belongs to when nobody says.
const USER: &str = "dev";
const PROJECT: &str = "local";
const ORG: &str = "dev";

/// Serve a directory on this machine, by an edge of its own
///
/// Starts an edge that only this machine can reach, deploys the directory to it and prints a URL that opens in a
/// browser. More can be deployed to it with the token in the file that it names. Ends with Ctrl-C.
#[derive(Args)]
#[command(after_help = "Example:\n  favonius dev dist --port 3000")]
pub(crate) struct Dev {
    /// Directory to serve [default: this one, or the output of the build in it, e.g. dist]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// Keep what is deployed in this directory [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Log every request to standard error
    #[arg(long, short)]
    verbose: bool,

    #[command(flatten)]
    application: ApplicationArgs,
}

impl Dev {
    pub(crate) async fn run(&self, output: Output) -> anyhow::Result<()> {
        let directory = match &self.directory {
            Some(directory) => directory.clone(),
            None => default_directory(Path::new("."))?,
        };
        let build = Build::read(&directory).await?;
        for doubt in build.doubts(&directory) {
            output.note(&format!("warning: {doubt}"));
        }
        let application = self
            .application
            .uid_or(&app_name(&directory), PROJECT, ORG)?;
        let mut data = Data::open(self.data.as_deref())?;
        let secret = new_secret()?;
        let settings = self.settings(&data, &secret)?;
        start_log(self.verbose);
        let worker =
            Worker::start(&settings, Reporter::default()).map_err(|error| self.explain(error))?;
        let address = worker.address();
        let session = Session::new(directory, build, application, address.port())?;
        let token = mint(&secret)?;
        data.write_token(&token)?;

        let mut interrupt = signal(SignalKind::interrupt()).context("could not await Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("could not await SIGTERM")?;
        let stop = CancellationToken::new();
        let mut serving = Box::pin(worker.run(stop.clone().cancelled_owned()));
        let outcome = tokio::select! {
            ended = serving.as_mut() => {
                return ended.and_then(|()| Err(anyhow!("the edge ended by itself")));
            }
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            Err(error) = session.begin(address, &token, &data, output) => Err(error),
        };
        stop.cancel();
        outcome.and(serving.await)
    }

    /// The settings of the edge, checked as those of any worker. Nothing is taken from the environment.
    fn settings(&self, data: &Data, secret: &str) -> anyhow::Result<Settings> {
        let (level, access_log) = if self.verbose {
            ("info", "true")
        } else {
            ("warn", "false")
        };
        let environment = Environment::from([
            ("ZE_WORKER_STORAGE", "embedded"),
            ("ZE_WORKER_JWT_SECRET", secret),
            // Browsers know that every name under localhost is this machine.
            ("ZE_WORKER_DELIMITER", "."),
            ("ZE_WORKER_HOST", "127.0.0.1"),
            ("ZE_WORKER_LOG_LEVEL", level),
            ("ZE_WORKER_ACCESS_LOG", access_log),
        ]);
        let environment = environment
            .with("ZE_WORKER_DATA_DIR", data.path().as_os_str())
            .with("ZE_WORKER_PORT", self.port.to_string())
            .with("ZE_WORKER_SHUTDOWN_GRACE_MS", GRACE_MS.to_string());
        let loaded =
            Settings::load(&environment).map_err(|problems| usage(problems.to_string()))?;
        Ok(loaded.settings)
    }

    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let taken = error.chain().any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            io.is_some_and(|io| io.kind() == io::ErrorKind::AddrInUse)
        });
        if taken {
            return anyhow!(
                "port {} is in use: end what listens there, or choose another with --port (0 takes a free one)",
                self.port
            );
        }
        error
    }
}

/// What is served, and under which names.
struct Session {
    directory: PathBuf,
    build: Build,
    application: ApplicationUid,
    origin: EdgeHost,
    host: Hostname,
}

impl Session {
    fn new(
        directory: PathBuf,
        build: Build,
        application: ApplicationUid,
        port: u16,
    ) -> anyhow::Result<Self> {
        let origin = format!("http://localhost:{port}").parse()?;
        let host = hostname(&application)?;
        Ok(Self {
            directory,
            build,
            application,
            origin,
            host,
        })
    }

    /// Deploys, says so, and stays.
    async fn begin(
        &self,
        address: SocketAddr,
        token: &str,
        data: &Data,
        output: Output,
    ) -> anyhow::Result<std::convert::Infallible> {
        let progress = Progress::new(output);
        let way = Way::Direct(address);
        let edge = Edge::new(
            self.origin.clone(),
            header(token)?,
            None,
            way,
            progress.clone(),
        )?;
        let deployment = Deployment {
            application: self.application.clone(),
            user: USER.to_owned(),
            build: None,
            domain: self.origin.clone(),
            commit: None,
            branch: None,
            names: Names {
                hosts: vec![self.host.clone()],
                ..Names::default()
            },
        };
        let deployed = deploy(&edge, &progress, &self.build, &deployment).await?;
        self.announce(&deployed, data, output)?;
        std::future::pending().await
    }

    fn announce(&self, deployed: &Deployed, data: &Data, output: Output) -> anyhow::Result<()> {
        let url = format!("{}/", self.origin.url(&self.host));
        let token_file = data.token_file();
        let rows = [
            ["  Application", &url],
            ["  This version", &format!("{}/", deployed.version_url)],
        ];
        let again = self.deploy_command(&token_file);
        let text = format!(
            "Serving {} ({} files, {}):\n{}\nTo deploy to it again:\n  {again}\nCtrl-C ends it.\n",
            self.directory.display(),
            self.build.files().len(),
            HumanBytes(self.build.bytes()),
            table(&rows.map(|row| row.map(str::to_owned))),
        );
        let json = json!({
            "url": url,
            "version_url": deployed.version_url,
            "edge_url": self.origin.origin(),
            "application_uid": self.application,
            "snapshot_id": deployed.snapshot_id,
            "token_file": token_file,
        });
        output.result(&text, &json)?;
        Ok(())
    }

    fn deploy_command(&self, token_file: &Path) -> String {
        let mut names = self.application.as_str().split('.');
        let mut name = || names.next().unwrap_or_default();
        // A name may begin with a hyphen.
        format!(
            "favonius deploy {} --app={} --project={} --org={} --host={} --url={} --token-file={}",
            shell_word(&self.directory.display().to_string()),
            name(),
            name(),
            name(),
            self.host,
            self.origin,
            shell_word(&token_file.display().to_string()),
        )
    }
}

fn new_secret() -> anyhow::Result<String> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).context("there are no random numbers")?;
    Ok(hex::encode(secret))
}

/// A token for whatever is deployed here.
fn mint(secret: &str) -> anyhow::Result<String> {
    let request = MintRequest::new(Scope::Operator, TOKEN_LIFETIME).for_user(USER);
    Ok(Minter::new(secret)?.mint(&request, Clock::system().now_ms() / 1000)?)
}

/// Logs of the edge, for people.
fn start_log(verbose: bool) {
    // That a browser's connections are cut off at the end is nothing to worry about here.
    let quiet = "warn,favonius_http::server=error";
    let filter = EnvFilter::new(if verbose { "info" } else { quiet });
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter);
    // It fails when there is a log already, which is as well.
    log.try_init().ok();
}
