//! Names for what is served on this machine.

use std::path::Path;

use favonius_contract::{ApplicationUid, Hostname};

use crate::names::part;

/// Longest DNS label (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;
/// Directories that are called the same in every application.
const GENERIC: [&str; 6] = ["dist", "build", "out", "public", ".output", "_site"];
/// What an application is called when its directory has no name that could be one.
const NAMELESS: &str = "app";

/// The name of the application in a directory: the directory's own, or that of the one above a `dist`.
pub(super) fn app_name(directory: &Path) -> String {
    let resolved = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.to_owned());
    let mut names = resolved
        .ancestors()
        .filter_map(|place| place.file_name()?.to_str());
    let name = names
        .find(|name| !GENERIC.contains(name))
        .unwrap_or(NAMELESS);
    let name = part(name).trim_matches('-').to_owned();
    if name.is_empty() {
        NAMELESS.to_owned()
    } else {
        name
    }
}

/// The hostname of an application on this machine, e.g. `shop.localhost`.
pub(super) fn hostname(application: &ApplicationUid) -> anyhow::Result<Hostname> {
    let app = application.as_str().split('.').next().unwrap_or_default();
    // Uids are ASCII, so any cut is on a boundary.
    let label = app.trim_matches('-');
    let label = label
        .get(..MAX_LABEL)
        .unwrap_or(label)
        .trim_end_matches('-');
    let label = if label.is_empty() { NAMELESS } else { label };
    Ok(format!("{label}.localhost").parse()?)
}

/// A word that a shell takes as it is.
pub(super) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_called_like_their_directory() {
        for (directory, expected) in [
            ("/none/My Shop", "my-shop"),
            ("/none/shop/dist", "shop"),
            ("/none/shop/.output/public", "shop"),
            ("/none/@acme", "acme"),
            ("/none/日本語", "app"),
            ("/dist", "app"),
            ("/", "app"),
        ] {
            assert_eq!(app_name(Path::new(directory)), expected, "{directory}");
        }
    }

    #[test]
    fn hostnames_open_in_a_browser() {
        let long = format!("{}-b.local.dev", "a".repeat(62));
        let cut = format!("{}.localhost", "a".repeat(62));
        for (uid, expected) in [
            ("shop.local.dev", "shop.localhost"),
            ("-acme-shop.web.acme", "acme-shop.localhost"),
            ("--.web.acme", "app.localhost"),
            (&long, &cut),
        ] {
            let host = hostname(&uid.parse().unwrap()).unwrap();
            assert_eq!(host.as_str(), expected, "{uid}");
        }
    }

    #[test]
    fn words_for_a_shell() {
        for (text, expected) in [
            ("dist", "dist"),
            ("./a-b/ü_1.x", "./a-b/ü_1.x"),
            ("my shop", "'my shop'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), expected, "{text}");
        }
    }
}
