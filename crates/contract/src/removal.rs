//! The request to make names answer with nothing.

use std::collections::HashSet;

use serde::Deserialize;

use crate::{
    ApplicationUid, DeploymentName, Hostname, InvalidDocument, RouteKey,
    publish::{MAX_TARGETS, required},
};

/// A checked request to remove names. It has at least one, and none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalRequest {
    /// Whose names they are.
    pub application_uid: ApplicationUid,
    /// All of them are removed, or none.
    pub names: Vec<DeploymentName>,
}

#[derive(Deserialize)]
struct Body {
    application_uid: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    /// Route keys that would be read as hostnames, which are in lower case.
    #[serde(default)]
    url_ids: Vec<String>,
}

impl RemovalRequest {
    /// Reads the body.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidDocument> {
        let body: Body = serde_json::from_slice(json)?;
        let names = body.names.iter().map(|text| name(text));
        let keys = body.url_ids.iter().map(|text| key("url_ids", text));
        let mut seen = HashSet::new();
        let mut distinct = Vec::new();
        for name in names.chain(keys) {
            let name = name?;
            if seen.insert(name.clone()) {
                distinct.push(name);
            }
        }
        let problem = match distinct.len() {
            0 => "there is nothing to remove: name at least one hostname or route key",
            1..=MAX_TARGETS => {
                return Ok(Self {
                    application_uid: required("application_uid", body.application_uid)?,
                    names: distinct,
                });
            }
            _ => "more than 1,000 names in one request",
        };
        Err(InvalidDocument::field("names", problem))
    }
}

/// A hostname or the URL of one, as in a publish; what can be neither is a route key.
fn name(text: &str) -> Result<DeploymentName, InvalidDocument> {
    match Hostname::from_host_or_url(text) {
        Ok(host) => Ok(host.into()),
        Err(_) => key("names", text),
    }
}

fn key(field: &'static str, text: &str) -> Result<DeploymentName, InvalidDocument> {
    let key: Result<RouteKey, _> = text.parse();
    key.map(DeploymentName::from)
        .map_err(|problem| InvalidDocument::field(field, problem))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(body: &Value) -> Result<RemovalRequest, String> {
        let parsed = RemovalRequest::parse(body.to_string().as_bytes());
        parsed.map_err(|problem| problem.to_string())
    }

    #[test]
    fn names_of_each_kind() {
        let request = parse(&json!({
            "application_uid": "a.b.c",
            "names": ["WWW.test", "https://www.test:8443/x", "t main", "t_main.a.b.c"],
            "url_ids": ["T_Main.a.b.c", "t main"],
        }))
        .unwrap();
        let names: Vec<_> = request.names.iter().map(DeploymentName::as_str).collect();
        assert_eq!(
            names,
            ["www.test", "t main", "t_main.a.b.c", "T_Main.a.b.c"]
        );
        assert_eq!(request.application_uid.as_str(), "a.b.c");
    }

    #[test]
    fn what_cannot_be_removed() {
        let many: Vec<String> = (0..1001).map(|i| format!("h{i}.test")).collect();
        let cases = [
            ("nothing", json!({"application_uid": "a.b.c", "names": []})),
            ("no names", json!({"application_uid": "a.b.c"})),
            ("no application", json!({"names": ["www.test"]})),
            (
                "a bad name",
                json!({"application_uid": "a.b.c", "names": ["a b/c"]}),
            ),
            (
                "too many",
                json!({"application_uid": "a.b.c", "names": many}),
            ),
            ("numbers", json!({"application_uid": "a.b.c", "names": [7]})),
            ("a list", json!(["www.test"])),
        ];
        for (name, body) in cases {
            parse(&body).expect_err(name);
        }
    }
}
