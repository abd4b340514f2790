//! `favonius token`

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use favonius_auth::{MintProblem, MintRequest, Minter, Scope};
use favonius_config::{Environment, Jwt, Secret};
use favonius_storage::Clock;
use serde_json::json;

use super::application::ApplicationArgs;
use crate::{failure::usage, output::Output};

/// Longest file with a secret that is read, in bytes.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// Mint a write token for an application, with the secret of the workers
///
/// The secret comes from --secret-file, else as a worker has it: from the file that `ZE_WORKER_CONFIG_JSON` names or from
/// `ZE_WORKER_JWT_SECRET`. Prints the token and nothing else.
#[derive(Args)]
#[command(
    after_help = "Example:\n  FAVONIUS_TOKEN=$(favonius token --app shop --project web --org acme --lifetime 30m)"
)]
pub(crate) struct Token {
    #[command(flatten)]
    application: ApplicationArgs,

    /// Mint an operator's token instead: for every application, and for taking hostnames over
    #[arg(long)]
    operator: bool,

    /// How long it is valid: a number with s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_lifetime)]
    lifetime: Duration,

    /// Name of the person that it is issued to
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// File that holds the secret and nothing else; a line end after it does not count
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl Token {
    pub(crate) fn run(&self, output: Output) -> anyhow::Result<()> {
        let scope = if self.operator {
            Scope::Operator
        } else {
            Scope::Application(self.application.uid()?)
        };
        let named = match &scope {
            Scope::Application(uid) => uid.to_string(),
            _ => "*".to_owned(),
        };
        let secret = self.secret(output)?;
        let minter = Minter::new(secret.expose())
            .map_err(|problem| usage(format!("ZE_WORKER_JWT_SECRET: {problem}")))?;
        let mut request = MintRequest::new(scope, self.lifetime);
        if let Some(user) = self.user.as_deref().filter(|user| !user.is_empty()) {
            request = request.for_user(user);
        }
        let now_s = Clock::system().now_ms() / 1000;
        let token = minter
            .mint(&request, now_s)
            .map_err(|problem| match problem {
                MintProblem::Signing => problem.into(),
                _ => usage(problem.to_string()),
            })?;
        let json = json!({
            "token": token,
            "application_uid": named,
            "expires_at": now_s.saturating_add(self.lifetime.as_secs()),
        });
        output.result(&format!("{token}\n"), &json)?;
        Ok(())
    }

    fn secret(&self, output: Output) -> anyhow::Result<Secret> {
        let Some(file) = &self.secret_file else {
            let (jwt, warnings) = Jwt::load(&Environment::process()).map_err(|problems| {
                usage(format!(
                    "there is no secret to mint with (see --secret-file):\n{problems}"
                ))
            })?;
            for warning in warnings
                .iter()
                .filter(|warning| warning.key().contains("JWT"))
            {
                output.note(&format!("warning: {warning}"));
            }
            return Ok(jwt.secret);
        };
        let wrong = |why: String| usage(format!("--secret-file {} {why}", file.display()));
        let length = fs::metadata(file).map_or(0, |meta| meta.len());
        if length > MAX_SECRET_FILE {
            return Err(wrong(format!("has {length} bytes: that is no secret")));
        }
        let text =
            fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(wrong("is empty".to_owned()));
        }
        Ok(Secret::new(text))
    }
}

/// Reads `90s`, `30m`, `1h` or `7d`.
fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a whole number with s, m, h or d, as in 30m".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let total = number
        .checked_mul(seconds)
        .ok_or_else(|| "is too long".to_owned())?;
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("1h", Some(3600)),
            ("7d", Some(604_800)),
            ("1", None),
            ("h", None),
            ("", None),
            ("-1h", None),
            ("+1h", None),
            ("1.5h", None),
            ("1w", None),
            ("1ü", None),
            ("99999999999999999999s", None),
            ("9999999999999999999d", None),
        ] {
            let found = parse_lifetime(text).ok().map(|lifetime| lifetime.as_secs());
            assert_eq!(found, expected, "{text}");
        }
    }
}
