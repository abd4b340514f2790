//! Builds of the sample applications by the published bundler plugins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::control::ControlPlane;
use super::script::Script;

/// What the script may take for the build itself, and we for the script: whoever is slower is slow for good.
const BUILD_SECONDS: u64 = 120;
const DEADLINE: Duration = Duration::from_secs(BUILD_SECONDS + 30);

/// A build to be made.
#[derive(Debug)]
#[must_use = "nothing happens until it runs"]
pub(crate) struct Job<'a> {
    control: &'a ControlPlane,
    app: &'static str,
    workdir: PathBuf,
    args: Vec<String>,
}

/// A build that ended, well or not.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) ok: bool,
    pub(crate) version_url: String,
    pub(crate) snapshot_id: String,
    pub(crate) application_uid: String,
    /// The paths of the files that were uploaded, sorted.
    pub(crate) uploaded: Vec<String>,
    pub(crate) assets: Vec<Asset>,
    pub(crate) took: Duration,
    /// What the plugin printed.
    pub(crate) log: String,
    /// What it wrote of its errors.
    pub(crate) errors: Vec<String>,
}

/// A file as the snapshot lists it.
#[derive(Debug, Clone)]
pub(crate) struct Asset {
    pub(crate) path: String,
    pub(crate) hash: String,
    pub(crate) size: u64,
}

impl<'a> Job<'a> {
    /// A build in a directory below `dir`, where the application is put the first time.
    pub(crate) fn new(control: &'a ControlPlane, app: &'static str, dir: &Path) -> Self {
        Self {
            control,
            app,
            workdir: dir.join(app),
            args: Vec::new(),
        }
    }

    /// The number in the one chunk that differs from build to build; 0 otherwise.
    pub(crate) fn revision(self, revision: u32) -> Self {
        self.arg("--mutate", revision.to_string())
    }

    /// Sets a variable of the build's environment.
    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        self.arg("--env", format!("{name}={value}"))
    }

    /// Keeps what the plugin remembers of earlier builds, as on a developer's machine. Without it each build has an empty home, as
    /// in CI, and knows only what the edge tells.
    pub(crate) fn home(self, home: &Path) -> Self {
        self.arg("--home", home.display().to_string())
    }

    fn arg(mut self, name: &str, value: String) -> Self {
        self.args.extend([name.to_owned(), value]);
        self
    }

    /// Builds and deploys.
    ///
    /// # Panics
    /// If that fails; what the plugin said is shown.
    pub(crate) async fn deploy(self) -> Build {
        let app = self.app;
        let build = self.run().await;
        assert!(
            build.ok,
            "{app} was not deployed: {:#?}\n{}",
            build.errors, build.log
        );
        build
    }

    /// Builds and deploys something that must be refused.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) async fn refused(self) -> Build {
        let app = self.app;
        let build = self.run().await;
        assert!(!build.ok, "{app} was deployed:\n{}", build.log);
        build
    }

    async fn run(self) -> Build {
        let app = self.app;
        let (control, workdir) = (self.control.url(), self.workdir.display().to_string());
        let args = self
            .arg("--app", app.to_owned())
            .arg("--control", control)
            .arg("--workdir", workdir)
            .arg("--timeout", BUILD_SECONDS.to_string())
            .args;
        let ended = Script::start("build.mjs", &args).wait(DEADLINE).await;
        let result = ended.lines.last();
        let result = result.unwrap_or_else(|| panic!("{app}: no result\n{}", ended.stderr));
        Build::read(result)
    }
}

impl Build {
    fn read(result: &Value) -> Self {
        let text = |field: &str| result[field].as_str().unwrap_or_default().to_owned();
        let texts = |field: &str| {
            let list = result[field]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let texts = list.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        let assets = result["assets"].as_object().into_iter().flatten();
        let assets = assets.map(|(path, asset)| Asset {
            path: path.clone(),
            hash: asset["hash"].as_str().unwrap_or_default().to_owned(),
            size: asset["size"].as_u64().unwrap_or(u64::MAX),
        });
        Self {
            ok: result["ok"] == true,
            version_url: text("versionUrl"),
            snapshot_id: text("snapshotId"),
            application_uid: text("applicationUid"),
            uploaded: texts("uploadedFiles"),
            assets: assets.collect(),
            took: Duration::from_millis(result["milliseconds"].as_u64().unwrap_or_default()),
            log: text("log"),
            errors: texts("errorDetails"),
        }
    }

    /// The file whose path begins and ends so; bundlers put a fingerprint in between.
    pub(crate) fn asset(&self, start: &str, end: &str) -> &Asset {
        let fits = |asset: &&Asset| asset.path.starts_with(start) && asset.path.ends_with(end);
        let mut found = self.assets.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(one), None) => one,
            other => panic!("not one {start}*{end}: {other:?} in {:#?}", self.assets),
        }
    }
}
