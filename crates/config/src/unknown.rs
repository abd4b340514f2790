//! Names that look like keys and are none, which is how a misspelt key shows.

use crate::{
    keys::{self, Key},
    problem::{Origin, Warning},
    show,
    source::Sources,
};

/// How alike two names have to be for one to be taken for the other, misspelt.
const MISSPELT: f64 = 0.8;

/// A warning for each name that is no key, in the file's order of names, then the environment's.
pub(crate) fn warnings(sources: &Sources<'_>) -> Vec<Warning> {
    let warning = |(name, origin): (&str, Origin)| {
        let message = complaint(name, &origin)?;
        Some(Warning {
            key: show::name(name),
            origin,
            message,
        })
    };
    sources.names().filter_map(warning).collect()
}

fn complaint(name: &str, origin: &Origin) -> Option<String> {
    if name == keys::CONFIG_JSON.name {
        let in_file = matches!(origin, Origin::File { .. });
        let message = "has no effect in the file: the environment names the file";
        return in_file.then(|| message.to_owned());
    }
    if keys::find(name).is_some() || keys::is_telemetry(name) {
        return None;
    }
    Some(match keys::nearest(name) {
        Some((key, alike)) if keys::is_own(name) || alike > MISSPELT => {
            format!(
                "is not a setting and is ignored; the nearest is {}",
                key.name
            )
        }
        _ => "is not a setting and is ignored".to_owned(),
    })
}

/// A name that is set and is probably `key`, misspelt.
pub(crate) fn misspelling<'a>(sources: &'a Sources<'_>, key: &Key) -> Option<&'a str> {
    let is_nearly_key = |name: &&str| {
        keys::find(name).is_none()
            && keys::nearest(name)
                .is_some_and(|(nearest, alike)| nearest.name == key.name && alike > MISSPELT)
    };
    sources.names().map(|(name, _)| name).find(is_nearly_key)
}
