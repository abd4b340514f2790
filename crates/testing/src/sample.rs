//! Applications to deploy: files of all kinds with names of all kinds.

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};

/// The hash that names an asset on the wire: hex SHA-256 of its bytes followed by its path; of an empty file, of the path twice.
pub fn asset_hash(content: &[u8], path: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(if content.is_empty() {
        path.as_bytes()
    } else {
        content
    });
    hash.update(path.as_bytes());
    hex::encode(hash.finish())
}

/// Names that need care in URLs, headers, shells and file systems. Each gets an extension.
const ODD_NAMES: [&str; 9] = [
    "with space",
    "100% plus+plus",
    "hash#tag",
    "question?mark=1&two",
    "日本語",
    "menú (del día)",
    "@scope[x]",
    "Ünïcode~tilde;semi,comma",
    "dots..in...name",
];

/// The files of a build and what the client says about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleApp {
    files: Vec<(String, Vec<u8>)>,
}

impl SampleApp {
    /// The first build, see [`build`](Self::build).
    pub fn generate(files: usize) -> Self {
        Self::build(files, 1)
    }

    /// So many files, always the same for the same numbers. The first is `index.html`; then come, in turns, JavaScript, CSS, PNG,
    /// JSON, WebAssembly, text, HTML and an empty file, in directories up to three deep, from a few bytes to some 40 KiB. From
    /// twenty files on all odd names (spaces, `%`, `+`, `#`, `?`, kanji, ...) are among them.
    ///
    /// Builds differ in `index.html` and in two thirds of the other files, some of which change their name too (it
    /// holds a fingerprint), others only their content.
    pub fn build(files: usize, build: u32) -> Self {
        let index = (0..files).map(|number| file(number, build)).collect();
        Self { files: index }
    }

    /// An application of exactly these files.
    pub fn of(files: &[(&str, &[u8])]) -> Self {
        let owned = |&(path, content): &(&str, &[u8])| (path.to_owned(), content.to_vec());
        Self {
            files: files.iter().map(owned).collect(),
        }
    }

    /// Adds a file, or replaces the one of that path.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), content.into()));
        self
    }

    /// Paths and bytes.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// The bytes of a file.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        let found = self.files.iter().find(|(known, _)| known == path);
        found.map(|(_, content)| content.as_slice())
    }

    /// The `assets` of its snapshot.
    pub fn assets(&self) -> Map<String, Value> {
        let asset = |(path, content): &(String, Vec<u8>)| {
            let extension = std::path::Path::new(path).extension();
            let extension = extension.map(|extension| format!(".{}", extension.display()));
            let value = json!({
                "path": path,
                "extname": extension.unwrap_or_default(),
                "hash": asset_hash(content, path),
                "size": content.len(),
            });
            (path.clone(), value)
        };
        self.files.iter().map(asset).collect()
    }

    /// The snapshot as a published client writes it. `domain` is the edge's URL, such as `http://localhost:8080`. Remove or change
    /// fields as a test needs.
    ///
    /// # Panics
    /// If the ids are not of the form `<user>-<build>.<app>.<project>.<org>` and `<app>.<project>.<org>`.
    pub fn snapshot(&self, application_uid: &str, snapshot_id: &str, domain: &str) -> Value {
        let parts: Vec<&str> = application_uid.split('.').collect();
        let [app, project, org] = parts[..] else {
            panic!("`{application_uid}` is no application uid");
        };
        let version = snapshot_id.strip_suffix(application_uid);
        let version = version.and_then(|version| version.strip_suffix('.'));
        let (user, build) = version
            .and_then(|version| version.rsplit_once('-'))
            .unwrap_or_else(|| panic!("`{snapshot_id}` is no snapshot of {application_uid}"));
        json!({
            "application_uid": application_uid,
            "version": format!("1.4.0-{user}.{build}"),
            "snapshot_id": snapshot_id,
            "domain": domain,
            "target": "web",
            "uid": {"build": build, "app_name": app, "repo": project, "org": org},
            "git": {
                "name": "Ada Tester",
                "email": "ada@example.com",
                "branch": "main",
                "commit": "4a6e9c58d2f1b7e0439c85a6d1f0e2b3c4d5a697",
                "tags": [],
            },
            "creator": {"name": user, "email": "ada@example.com"},
            "createdAt": 1_795_246_552_409_u64,
            "builder": "vite",
            "plugin_version": "1.2.2",
            "type": "csr",
            "entrypoint": "index.html",
            "assets": self.assets(),
        })
    }
}

fn file(number: usize, build: u32) -> (String, Vec<u8>) {
    if number == 0 {
        let html = page(&format!("build {build}"), 10);
        return ("index.html".to_owned(), html.into_bytes());
    }
    // A third stays the same from build to build.
    let seed = if number.is_multiple_of(3) { 0 } else { build };
    let kinds = ["js", "css", "png", "json", "wasm", "txt", "html", "bin"];
    let kind = kinds
        .get((number - 1) % kinds.len())
        .copied()
        .unwrap_or("txt");
    let lines = 5 + (number * 37) % 600;
    let text = |line: &dyn Fn(usize) -> String| (0..lines).map(line).collect::<String>();
    let bytes = |magic: &[u8]| {
        let noise = (0..lines * 8).map(|index| noise(number, index, seed));
        magic.iter().copied().chain(noise).collect::<Vec<u8>>()
    };
    let content = match kind {
        "js" => text(&|n| format!("export const v{n}_{seed} = () => {n} * {number};\n")).into(),
        "css" => text(&|n| format!(".c{n}-{seed} {{ margin: {number}px; }}\n")).into(),
        "png" => bytes(b"\x89PNG\r\n\x1a\n"),
        "json" => json!({"number": number, "seed": seed}).to_string().into(),
        "wasm" => bytes(b"\0asm\x01\0\0\0"),
        "txt" => text(&|n| format!("Zeile {n} – ligne {number} – 行 {seed}\n")).into(),
        "html" => page(&format!("page {number} of build {seed}"), lines).into(),
        // Every eighth file is empty.
        _ => Vec::new(),
    };
    let dir = ["", "assets/", "data/deep/er/", ".well-known/"];
    let dir = dir.get(number % dir.len()).copied().unwrap_or_default();
    let name = match ODD_NAMES.get(number / 2).filter(|_| number % 2 == 1) {
        Some(odd) => format!("{odd}-{number}.{kind}"),
        // Bundlers put a fingerprint into the names of scripts and styles.
        None if ["js", "css"].contains(&kind) => {
            format!(
                "chunk{number}-{}.{kind}",
                asset_hash(&content, kind).split_at(8).0
            )
        }
        None => format!("file{number}.{kind}"),
    };
    (format!("{dir}{name}"), content)
}

fn page(title: &str, paragraphs: usize) -> String {
    let paragraph = |n: usize| format!("<p>Paragraph {n} of {title}</p>\n");
    let text = (0..paragraphs).map(paragraph).collect::<Vec<_>>().concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n{text}</body>\n</html>\n"
    )
}

/// Bytes that do not compress, and are always the same.
fn noise(number: usize, index: usize, seed: u32) -> u8 {
    let mut state = (number as u64) << 40 ^ (index as u64) << 8 ^ u64::from(seed);
    // SplitMix64.
    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state ^ (state >> 31)).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hashes_are_those_that_clients_sent() {
        // Recorded from a published client.
        let cases = [
            (
                "text",
                "User-agent: *\n",
                "robots.txt",
                "288316f7dfe3b8e574f6bb52f44e96eaec0a194a83a66c8d9ab60d328c1a5fa1",
            ),
            (
                "kanji in the path",
                "kaze\n",
                "data/風.txt",
                "9f116c915d1b150a767f5dd1d054b7819e29f7e196d7b734fa2665260dfff2d9",
            ),
            (
                "empty",
                "",
                "data/empty.txt",
                "39d5239182af04942e303372ca2f093f275b8bb70c746153bf65043aefd75f49",
            ),
        ];
        for (name, content, path, expected) in cases {
            assert_eq!(
                asset_hash(content.as_bytes(), path),
                expected,
                "case `{name}`"
            );
        }
    }

    #[test]
    fn paths_are_distinct_and_all_kinds_are_there() {
        let app = SampleApp::generate(40);
        let paths: BTreeSet<&str> = app.files().iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths.len(), 40);
        for odd in ODD_NAMES {
            assert!(
                paths.iter().any(|path| path.contains(odd)),
                "{odd} in {paths:?}"
            );
        }
        for kind in ["html", "js", "css", "png", "json", "wasm", "txt", "bin"] {
            assert!(
                paths.iter().any(|path| path.ends_with(kind)),
                "{kind} in {paths:?}"
            );
        }
        assert!(app.files().iter().any(|(_, content)| content.is_empty()));
    }

    #[test]
    fn builds_repeat_themselves_and_differ_in_part() {
        let (one, two) = (SampleApp::build(40, 1), SampleApp::build(40, 2));
        assert_eq!(one, SampleApp::generate(40));
        let shared = one
            .files()
            .iter()
            .filter(|file| two.files().contains(file))
            .count();
        assert!((10..30).contains(&shared), "{shared} of 40 are the same");
        assert_ne!(one.file("index.html"), two.file("index.html"));
    }

    #[test]
    fn a_snapshot_lists_each_file() {
        let app = SampleApp::generate(20).with_file("no-extension", *b"x");
        let snapshot = app.snapshot(
            "shop.web.acme",
            "ada-l.-7.shop.web.acme",
            "http://localhost:1",
        );
        assert_eq!(snapshot["assets"].as_object().unwrap().len(), 21);
        let hash = asset_hash(b"x", "no-extension");
        let expected = json!({"path": "no-extension", "extname": "", "hash": hash, "size": 1});
        assert_eq!(snapshot["assets"]["no-extension"], expected);
        assert_eq!(snapshot["uid"]["build"], "7");
    }
}
