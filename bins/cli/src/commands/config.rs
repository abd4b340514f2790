//! `favonius config`

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use favonius_auth::{KeyRole, Verifier, VerifierOptions};
use favonius_config::{Environment, Loaded, Problems, Settings, Warning};
use serde_json::{Value, json};

use crate::output::{Output, table, to_stderr};

/// Exit status of a configuration that no worker would start with.
const INVALID: u8 = 2;

/// Look at the configuration of a worker
#[derive(Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    Check(Check),
}

/// Load the configuration as a worker would, and show what is in effect, or all that is wrong
///
/// Reads the environment and the file that `ZE_WORKER_CONFIG_JSON` names. Secrets are shown as ***. Nothing is connected to.
/// Exit status: 0 when a worker would start with it, else 2.
#[derive(Args)]
#[command(after_help = "Example:\n  favonius config check --file /etc/favonius/config.json")]
struct Check {
    /// Configuration file, instead of the one that `ZE_WORKER_CONFIG_JSON` names
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What is wrong, whoever found it.
struct Finding {
    line: String,
    json: Value,
}

impl Config {
    pub(crate) fn run(&self, output: Output) -> anyhow::Result<ExitCode> {
        let ConfigCommand::Check(check) = &self.command;
        let mut environment = Environment::process();
        if let Some(file) = &check.file {
            environment = environment.with("ZE_WORKER_CONFIG_JSON", file.as_os_str());
        }
        match Settings::load(&environment) {
            Ok(loaded) => match unusable_key(&loaded) {
                None => show(&loaded, output).map(|()| ExitCode::SUCCESS),
                Some(finding) => refuse(&[finding], &loaded.warnings, output),
            },
            Err(problems) => refuse(&findings(&problems), problems.warnings(), output),
        }
    }
}

fn show(loaded: &Loaded, output: Output) -> anyhow::Result<()> {
    for warning in &loaded.warnings {
        output.note(&format!("warning: {warning}"));
    }
    let entries = loaded.effective.entries();
    let heading = ["KEY", "VALUE", "SOURCE"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        [
            entry.key().to_owned(),
            entry.value().to_owned(),
            entry.origin().to_string(),
        ]
    });
    let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
    let settings: Vec<_> = entries
        .iter()
        .map(|entry| {
            json!({"key": entry.key(), "value": entry.value(), "source": entry.origin().to_string()})
        })
        .collect();
    let json = json!({
        "valid": true,
        "settings": settings,
        "warnings": warnings(&loaded.warnings),
    });
    output.result(&table(&rows), &json)?;
    Ok(())
}

/// Problems are the result here, and no failure of the command: one line each, on standard error.
fn refuse(findings: &[Finding], odd: &[Warning], output: Output) -> anyhow::Result<ExitCode> {
    if output.is_json() {
        let problems: Vec<_> = findings
            .iter()
            .map(|finding| finding.json.clone())
            .collect();
        let json = json!({"valid": false, "problems": problems, "warnings": warnings(odd)});
        output.result("", &json)?;
    } else {
        for finding in findings {
            to_stderr(&finding.line);
        }
        for warning in odd {
            to_stderr(&format!("warning: {warning}"));
        }
    }
    Ok(ExitCode::from(INVALID))
}

fn findings(problems: &Problems) -> Vec<Finding> {
    let problems = problems.problems().iter();
    problems
        .map(|problem| Finding {
            line: problem.to_string(),
            json: json!({
                "key": problem.key(),
                "source": problem.origin().map(ToString::to_string),
                "message": problem.message(),
                "example": problem.example(),
            }),
        })
        .collect()
}

fn warnings(warnings: &[Warning]) -> Vec<Value> {
    let value = |warning: &Warning| {
        json!({
            "key": warning.key(),
            "source": warning.origin().to_string(),
            "message": warning.message(),
        })
    };
    warnings.iter().map(value).collect()
}

/// A worker looks into the keys when it starts, after the configuration is read.
fn unusable_key(loaded: &Loaded) -> Option<Finding> {
    let jwt = &loaded.settings.jwt;
    let options = VerifierOptions {
        require_application: jwt.require_application,
    };
    let previous = jwt.previous.as_ref().map(favonius_config::Secret::expose);
    let problem = Verifier::new(jwt.secret.expose(), previous, options).err()?;
    let key = match problem.role() {
        KeyRole::Current => "ZE_WORKER_JWT_SECRET",
        KeyRole::Previous => "ZE_WORKER_JWT_SECRET_PREVIOUS",
    };
    let origin = loaded
        .effective
        .entries()
        .iter()
        .find(|entry| entry.key() == key);
    let source = origin.map(|entry| entry.origin().to_string());
    Some(Finding {
        line: format!(
            "{key} ({}): {problem}",
            source.as_deref().unwrap_or("default")
        ),
        json: json!({"key": key, "source": source, "message": problem.to_string(), "example": null}),
    })
}
