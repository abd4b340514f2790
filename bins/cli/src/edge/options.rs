//! Where the edge is and who may write, on the command line.

use std::{fs, path::PathBuf};

use clap::Args;
use favonius_contract::EdgeHost;
use reqwest::header::HeaderValue;

use super::{Edge, Way};
use crate::{deploy::Progress, failure::usage};

/// Longest file with a token that is read, in bytes: more than an edge takes.
const MAX_TOKEN_FILE: u64 = 64 * 1024;

#[derive(Args)]
#[command(next_help_heading = "Edge")]
pub(crate) struct EdgeArgs {
    /// URL of the edge
    #[arg(
        long,
        value_name = "URL",
        env = "FAVONIUS_URL",
        default_value = "http://localhost:8080"
    )]
    #[arg(value_parser = parse_origin)]
    url: EdgeHost,

    /// Write token. Other users of this machine see arguments: better in the environment, or with --token-file
    #[arg(
        long,
        value_name = "JWT",
        env = "FAVONIUS_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,

    /// File that holds the write token; counts more than --token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// PEM file with a private certificate authority to trust besides those of the system
    #[arg(long, value_name = "FILE", env = "FAVONIUS_CA_FILE")]
    ca_file: Option<PathBuf>,
}

impl EdgeArgs {
    /// A client as these options say.
    pub(crate) fn connect(&self, progress: Progress) -> anyhow::Result<Edge> {
        let token = header(&self.token()?)?;
        Edge::new(
            self.url.clone(),
            token,
            self.ca_file.as_deref(),
            Way::Environment,
            progress,
        )
    }

    fn token(&self) -> anyhow::Result<String> {
        let text = match (&self.token_file, &self.token) {
            (Some(file), _) => {
                let shown = file.display();
                let wrong = |why: String| usage(format!("--token-file {shown} {why}"));
                let length = fs::metadata(file).map_or(0, |meta| meta.len());
                if length > MAX_TOKEN_FILE {
                    return Err(wrong(format!("has {length} bytes: that is no token")));
                }
                fs::read_to_string(file)
                    .map_err(|error| wrong(format!("cannot be read: {error}")))?
            }
            (None, Some(token)) => token.clone(),
            (None, None) => String::new(),
        };
        let token = text.trim();
        if token.is_empty() {
            return Err(usage(
                "there is no token: give one in FAVONIUS_TOKEN or with --token-file; `favonius token` makes one",
            ));
        }
        Ok(token.to_owned())
    }
}

/// A token as the value of a header, which is never printed.
pub(crate) fn header(token: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(token)
        .ok()
        .filter(|value| value.to_str().is_ok())
        .ok_or_else(|| usage("the token has characters that no token has: is it whole?"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads the URL of an edge: an origin, with the scheme written out.
pub(crate) fn parse_origin(text: &str) -> Result<EdgeHost, String> {
    let Some((_, rest)) = text.split_once("://") else {
        return Err("begins with neither http:// nor https://".to_owned());
    };
    if rest.contains('@') {
        return Err("has credentials, which no edge asks for: leave them out".to_owned());
    }
    if let Some((_, path)) = rest.split_once(['/', '?', '#'])
        && !path.is_empty()
    {
        return Err("has a path: an edge is the whole of an origin".to_owned());
    }
    text.parse()
        .map_err(|problem: favonius_contract::Invalid| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (name, text, expected) in [
            (
                "usual",
                "https://edge.example.com",
                Ok("https://edge.example.com"),
            ),
            (
                "slash at the end",
                "http://localhost:8080/",
                Ok("http://localhost:8080"),
            ),
            (
                "no scheme",
                "localhost:8080",
                Err("neither http:// nor https://"),
            ),
            (
                "other scheme",
                "ftp://edge.test",
                Err("neither http nor https"),
            ),
            ("path", "https://edge.test/base", Err("has a path")),
            (
                "credentials",
                "https://u:p@edge.test",
                Err("has credentials"),
            ),
            ("empty", "", Err("neither http:// nor https://")),
        ] {
            match (parse_origin(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.origin(), expected, "case `{name}`"),
                (Err(why), Err(expected)) => {
                    assert!(why.contains(expected), "case `{name}`: {why}");
                }
                (found, _) => panic!("case `{name}`: {found:?}"),
            }
        }
    }

    #[test]
    fn a_token_never_shows() {
        let value = header("abc.def.ghi").unwrap();
        assert_eq!(format!("{value:?}"), "Sensitive");
        assert!(header("abc\ndef").is_err());
        assert!(header("ümlaut").is_err());
    }
}
