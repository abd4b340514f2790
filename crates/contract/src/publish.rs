//! The forms in which control planes ask for a publish.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::{Map, Value};

use crate::{
    ApplicationUid, DeploymentName, Hostname, InvalidDocument, RouteKey, SnapshotId, error::excerpt,
};

/// Most names in one publish.
pub(crate) const MAX_TARGETS: usize = 1_000;

/// Values by variable name, e.g. `ZE_PUBLIC_API`.
pub type EnvironmentVariables = Map<String, Value>;

/// A checked request to make names answer with a snapshot. It has at least one target, and no name twice.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishRequest {
    /// Whose snapshot it is.
    pub application_uid: ApplicationUid,
    /// What to publish.
    pub snapshot_id: SnapshotId,
    /// Where: all of them change, or none.
    pub targets: Vec<PublishTarget>,
}

/// One name of a publish.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishTarget {
    /// The hostname or route key.
    pub name: DeploymentName,
    /// The text that the request named it by, for the answer.
    pub asked: String,
    /// Whether it is a hostname, which the answer lists.
    pub is_hostname: bool,
    /// A manifest for this name only.
    pub manifest: Option<Map<String, Value>>,
    /// Variables to lay over the manifest of the snapshot, for this name only.
    pub variables: Option<EnvironmentVariables>,
}

#[derive(Deserialize)]
struct Body {
    app_version: Option<AppVersion>,
    application_uid: Option<String>,
    snapshot_id: Option<String>,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    url_ids: Option<Vec<String>>,
    targets: Option<Targets>,
    #[serde(rename = "environmentVariables")]
    environment_variables: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct AppVersion {
    application_uid: Option<String>,
    snapshot_id: Option<String>,
}

enum Targets {
    List(Vec<Target>),
    Kinds(Kinds),
}

#[derive(Deserialize)]
struct Kinds {
    version: Option<Target>,
    tags: Option<Vec<Target>>,
    envs: Option<Vec<Target>>,
    cnames: Option<Vec<Target>>,
}

enum Target {
    Named(Named),
    Bare(String),
}

#[derive(Deserialize)]
struct Named {
    url: Option<String>,
    hostname: Option<String>,
    #[serde(rename = "zephyrManifestFile")]
    manifest: Option<ManifestFile>,
}

// Both are read as they come: an untagged enum would hold a copy of everything first, and not say what is wrong.
impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Targets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a list of targets, or an object of `version`, `tags`, `envs` and `cnames`",
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Targets, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Targets::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Targets, A::Error> {
                Kinds::deserialize(MapAccessDeserializer::new(map)).map(Targets::Kinds)
            }
        }

        deserializer.deserialize_any(Form)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a hostname, or an object with `hostname` or `url`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Target, E> {
                Ok(Target::Bare(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                Named::deserialize(MapAccessDeserializer::new(map)).map(Target::Named)
            }
        }

        deserializer.deserialize_any(Form)
    }
}

#[derive(Deserialize)]
struct ManifestFile {
    content: Value,
}

impl PublishRequest {
    /// Reads either form of the body.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidDocument> {
        let body: Body = serde_json::from_slice(json)?;
        let (mut uid, mut id) = (body.application_uid, body.snapshot_id);
        if let Some(version) = body.app_version {
            uid = version.application_uid.or(uid);
            id = version.snapshot_id.or(id);
        }
        let mut reader = Reader::default();
        for url in body.urls.unwrap_or_default() {
            reader.host("urls", url, None)?;
        }
        for key in body.url_ids.unwrap_or_default() {
            reader.key(key)?;
        }
        match body.targets {
            None => {}
            Some(Targets::List(list)) => reader.targets("targets", list)?,
            Some(Targets::Kinds(Kinds {
                version,
                tags,
                envs,
                cnames,
            })) => {
                reader.targets("targets.version", version.into_iter().collect())?;
                reader.targets("targets.tags", tags.unwrap_or_default())?;
                reader.targets("targets.envs", envs.unwrap_or_default())?;
                reader.targets("targets.cnames", cnames.unwrap_or_default())?;
            }
        }
        reader.variables(body.environment_variables.unwrap_or_default())?;
        Ok(Self {
            application_uid: required("application_uid", uid)?,
            snapshot_id: required("snapshot_id", id)?,
            targets: reader.finish()?,
        })
    }
}

pub(crate) fn required<T>(field: &'static str, value: Option<String>) -> Result<T, InvalidDocument>
where
    T: std::str::FromStr<Err = crate::Invalid>,
{
    value
        .ok_or_else(|| InvalidDocument::field(field, "is missing"))?
        .parse()
        .map_err(|problem| InvalidDocument::field(field, problem))
}

/// Collects targets by name.
#[derive(Default)]
struct Reader {
    targets: Vec<PublishTarget>,
    by_name: BTreeMap<DeploymentName, usize>,
}

impl Reader {
    fn targets(&mut self, field: &str, list: Vec<Target>) -> Result<(), InvalidDocument> {
        for target in list {
            match target {
                Target::Bare(text) => self.host(field, text, None)?,
                Target::Named(Named {
                    url,
                    hostname,
                    manifest,
                }) => {
                    let manifest = manifest
                        .map(|file| manifest_object(field, file))
                        .transpose()?;
                    let asked = url.clone().or_else(|| hostname.clone()).ok_or_else(|| {
                        InvalidDocument::field(field, "a target has neither `hostname` nor `url`")
                    })?;
                    let host = hostname.unwrap_or_else(|| asked.clone());
                    self.add(field, &host, asked, manifest)?;
                }
            }
        }
        Ok(())
    }

    fn host(
        &mut self,
        field: &str,
        text: String,
        manifest: Option<Map<String, Value>>,
    ) -> Result<(), InvalidDocument> {
        self.add(field, &text.clone(), text, manifest)
    }

    fn add(
        &mut self,
        field: &str,
        host: &str,
        asked: String,
        manifest: Option<Map<String, Value>>,
    ) -> Result<(), InvalidDocument> {
        let host = Hostname::from_host_or_url(host)
            .map_err(|problem| InvalidDocument::field(field, problem))?;
        self.push(
            field,
            PublishTarget {
                name: host.into(),
                asked,
                is_hostname: true,
                manifest,
                variables: None,
            },
        )
    }

    fn key(&mut self, text: String) -> Result<(), InvalidDocument> {
        let key: RouteKey = text
            .parse()
            .map_err(|problem| InvalidDocument::field("url_ids", problem))?;
        self.push(
            "url_ids",
            PublishTarget {
                name: key.into(),
                asked: text,
                is_hostname: false,
                manifest: None,
                variables: None,
            },
        )
    }

    fn push(&mut self, field: &str, target: PublishTarget) -> Result<(), InvalidDocument> {
        if let Some(known) = self
            .by_name
            .get(&target.name)
            .and_then(|i| self.targets.get_mut(*i))
        {
            if known.manifest.is_some()
                && target.manifest.is_some()
                && known.manifest != target.manifest
            {
                return Err(InvalidDocument::field(
                    field,
                    format!("`{}` is listed twice with different manifests", target.name),
                ));
            }
            known.manifest = known.manifest.take().or(target.manifest);
            known.is_hostname |= target.is_hostname;
            return Ok(());
        }
        if self.targets.len() == MAX_TARGETS {
            return Err(InvalidDocument::field(
                field,
                "more than 1,000 names in one request",
            ));
        }
        self.by_name.insert(target.name.clone(), self.targets.len());
        self.targets.push(target);
        Ok(())
    }

    /// Variables by hostname.
    fn variables(&mut self, all: Map<String, Value>) -> Result<(), InvalidDocument> {
        const FIELD: &str = "environmentVariables";
        for (host, variables) in all {
            let name = Hostname::from_host_or_url(&host)
                .map(DeploymentName::from)
                .or_else(|_| host.parse())
                .map_err(|problem| InvalidDocument::field(FIELD, problem))?;
            let Value::Object(variables) = variables else {
                return Err(InvalidDocument::field(
                    format!("{FIELD}[{:?}]", excerpt(&host)),
                    "is not an object of values by variable name",
                ));
            };
            let target = self
                .by_name
                .get(&name)
                .and_then(|i| self.targets.get_mut(*i))
                .ok_or_else(|| {
                    InvalidDocument::field(FIELD, format!("`{name}` is not one of the targets"))
                })?;
            target.variables = Some(variables);
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<PublishTarget>, InvalidDocument> {
        if self.targets.is_empty() {
            return Err(InvalidDocument::field(
                "targets",
                "there is nothing to publish to: name at least one in `urls`, `url_ids` or `targets`",
            ));
        }
        Ok(self.targets)
    }
}

/// The manifest itself, which some control planes send as text.
fn manifest_object(field: &str, file: ManifestFile) -> Result<Map<String, Value>, InvalidDocument> {
    let content = match file.content {
        Value::String(text) => serde_json::from_str(&text)?,
        other => other,
    };
    match content {
        Value::Object(object) => Ok(object),
        _ => Err(InvalidDocument::field(
            format!("{field}.zephyrManifestFile.content"),
            "is not a JSON object",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "reads better with a literal")]
    fn parse(body: Value) -> Result<PublishRequest, String> {
        PublishRequest::parse(body.to_string().as_bytes()).map_err(|problem| problem.to_string())
    }

    fn names(request: &PublishRequest) -> Vec<&str> {
        request
            .targets
            .iter()
            .map(|target| target.name.as_str())
            .collect()
    }

    #[test]
    fn the_older_body() {
        let request = parse(json!({
            "app_version": {"application_uid": "a.b.c", "snapshot_id": "u-1.a.b.c"},
            "urls": ["T-main.test", "https://www.test:8443/"],
            "url_ids": ["t_main.a.b.c"],
            "jwt": "x",
        }))
        .unwrap();
        assert_eq!(names(&request), ["t-main.test", "www.test", "t_main.a.b.c"]);
        assert_eq!(request.snapshot_id.as_str(), "u-1.a.b.c");
        assert_eq!(request.targets[0].asked, "T-main.test");
        assert!(!request.targets[2].is_hostname);
    }

    #[test]
    fn the_newer_body_in_both_shapes() {
        let manifest = json!({"content": {"zeVars": {"A": "1"}}, "hash": "djb2"});
        let list = parse(json!({
            "application_uid": "a.b.c", "snapshot_id": "u-1.a.b.c",
            "targets": [{"url": "https://e.test/", "hostname": "e.test", "zephyrManifestFile": manifest}, "f.test"],
            "environmentVariables": {"f.test": {"ZE_PUBLIC_X": "2"}},
        }))
        .unwrap();
        assert_eq!(names(&list), ["e.test", "f.test"]);
        assert!(list.targets[0].manifest.is_some());
        assert_eq!(
            list.targets[1].variables.as_ref().unwrap()["ZE_PUBLIC_X"],
            "2"
        );

        let kinds = parse(json!({
            "application_uid": "a.b.c", "app_version": {"snapshot_id": "u-1.a.b.c"},
            "targets": {
                "version": {"hostname": "v.test"}, "tags": [{"url": "http://t.test"}],
                "envs": [], "cnames": [{"hostname": "c.test", "zephyrManifestFile": {"content": "{\"a\":1}"}}],
            },
        }))
        .unwrap();
        assert_eq!(names(&kinds), ["v.test", "t.test", "c.test"]);
        assert_eq!(kinds.targets[2].manifest.as_ref().unwrap()["a"], 1);
    }

    #[test]
    fn refused_bodies_say_why() {
        let with = |extra: Value| {
            let mut body =
                json!({"application_uid": "a.b.c", "snapshot_id": "u-1.a.b.c", "urls": ["x.test"]});
            body.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            body
        };
        let target = |content: Value| json!({"targets": [{"hostname": "x.test", "zephyrManifestFile": {"content": content}}]});
        let twice = json!({"targets": [
            {"hostname": "y.test", "zephyrManifestFile": {"content": {"a": 1}}},
            {"hostname": "y.test", "zephyrManifestFile": {"content": {"a": 2}}},
        ]});
        let many: Vec<_> = (0..1_001).map(|i| format!("{i}.test")).collect();
        let cases = [
            ("no target", with(json!({"urls": []})), "nothing to publish"),
            (
                "no snapshot",
                with(json!({"snapshot_id": null})),
                "snapshot_id: is missing",
            ),
            ("bad host", with(json!({"urls": ["a b"]})), "urls"),
            ("bad key", with(json!({"url_ids": ["a/b"]})), "url_ids"),
            (
                "manifest is a list",
                with(target(json!([]))),
                "not a JSON object",
            ),
            ("manifest text is no JSON", with(target(json!("{"))), "JSON"),
            (
                "variables of a stranger",
                with(json!({"environmentVariables": {"z.test": {}}})),
                "not one of",
            ),
            (
                "variables are text",
                with(json!({"environmentVariables": {"x.test": "a"}})),
                "not an object",
            ),
            ("two manifests", with(twice), "different manifests"),
            ("too many", with(json!({"urls": many})), "1,000"),
            ("a list", json!([]), "JSON"),
            (
                "targets are text",
                with(json!({"targets": "x.test"})),
                "a list of targets",
            ),
            (
                "a target is a number",
                with(json!({"targets": {"tags": ["y.test", 1]}})),
                "a hostname, or an object",
            ),
            (
                "a target without a name",
                with(json!({"targets": [{}]})),
                "neither `hostname` nor `url`",
            ),
        ];
        for (name, body, expected) in cases {
            let problem = parse(body).expect_err(name);
            assert!(problem.contains(expected), "case `{name}`: {problem}");
        }
    }

    #[test]
    fn the_same_name_twice_is_one_target() {
        let request = parse(json!({
            "application_uid": "a.b.c", "snapshot_id": "u-1.a.b.c", "urls": ["x.test", "X.test."],
            "targets": [{"hostname": "x.test", "zephyrManifestFile": {"content": {}}}],
        }))
        .unwrap();
        assert_eq!(names(&request), ["x.test"]);
        assert!(request.targets[0].manifest.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused_without_panic(bytes: Vec<u8>) {
            drop(PublishRequest::parse(&bytes));
        }
    }
}
