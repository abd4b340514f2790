//! The files of a build: found, hashed, in an order that does not depend on the disk.

mod hash;
mod walk;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use favonius_contract::AssetRef;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use self::walk::{Found, walk};
use crate::failure::usage;

/// How many files are hashed at once.
const HASHED_AT_ONCE: usize = 4;
/// Where bundlers put what they build, and static site generators what they write.
const OUTPUT_DIRECTORIES: [&str; 6] = ["dist", "build", "out", "public", ".output/public", "_site"];
/// The page that a directory is served as.
const INDEX: &str = "index.html";

/// A file of a build.
#[derive(Debug, Clone)]
pub(crate) struct BuildFile {
    /// Where it stands in the build, with `/` between the parts.
    pub(crate) path: String,
    /// Where it is on this machine.
    pub(crate) file: PathBuf,
    /// Hash and size.
    pub(crate) asset: AssetRef,
}

/// All files of a build, by path in the order of bytes.
#[derive(Debug, Clone)]
pub(crate) struct Build(Vec<BuildFile>);

impl Build {
    /// Finds and hashes the files below a directory.
    pub(crate) async fn read(directory: &Path) -> anyhow::Result<Self> {
        let shown = directory.display();
        match std::fs::metadata(directory) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(usage(format!("{shown} is not a directory"))),
            Err(error) => return Err(usage(format!("{shown} cannot be read: {error}"))),
        }
        let root = directory.to_owned();
        let found = tokio::task::spawn_blocking(move || walk(&root))
            .await
            .context("could not look for files")??;
        if found.is_empty() {
            return Err(usage(format!(
                "{shown} has no files: build the application first"
            )));
        }
        let files: Vec<_> = stream::iter(found)
            .map(|found| async { tokio::task::spawn_blocking(move || hash_of(found)).await? })
            .buffered(HASHED_AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self(files))
    }

    pub(crate) fn files(&self) -> &[BuildFile] {
        &self.0
    }

    /// The size of all files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|file| file.asset.size).sum()
    }

    /// Whether the build has a page to begin with.
    pub(crate) fn has_index(&self) -> bool {
        self.0.iter().any(|file| file.path == INDEX)
    }

    /// What looks as if another directory was meant.
    pub(crate) fn doubts(&self, directory: &Path) -> Vec<String> {
        let shown = directory.display();
        let mut doubts = Vec::new();
        let source = ["package.json", ".env"]
            .into_iter()
            .find(|name| self.0.iter().any(|file| file.path == *name));
        if let Some(name) = source {
            let instead = output_directory(directory)
                .map(|output| format!(" Did you mean {}?", output.display()))
                .unwrap_or_default();
            doubts.push(format!(
                "{shown} holds {name}, so it looks like sources and not like a build; everybody can read what is \
                 deployed.{instead}"
            ));
        } else if !self.has_index() {
            let instead = output_directory(directory)
                .map(|output| format!(" {} has one: did you mean that?", output.display()))
                .unwrap_or_default();
            doubts.push(format!(
                "{shown} has no {INDEX}, so the application has no start page.{instead}"
            ));
        }
        doubts
    }
}

fn hash_of(found: Found) -> anyhow::Result<BuildFile> {
    let Found { path, file } = found;
    match hash::hash_file(&file, &path) {
        Ok(asset) => Ok(BuildFile { path, file, asset }),
        Err(error) => {
            let shown = file.display().to_string();
            Err(anyhow::Error::new(error).context(format!("could not read {shown}")))
        }
    }
}

/// The directory below this one that looks like the output of a build.
pub(crate) fn output_directory(directory: &Path) -> Option<PathBuf> {
    OUTPUT_DIRECTORIES
        .into_iter()
        .map(|name| directory.join(name))
        .find(|output| output.join(INDEX).is_file())
}

/// The directory to serve when none is named: this one, or the output of the build in it.
pub(crate) fn default_directory(here: &Path) -> anyhow::Result<PathBuf> {
    let is_source = here.join("package.json").is_file();
    if let Some(output) = output_directory(here)
        && (is_source || !here.join(INDEX).is_file())
    {
        return Ok(output);
    }
    if is_source {
        return Err(usage(format!(
            "{} has a package.json and no build (none of {} has an {INDEX}): build the application first, or name the \
             directory",
            here.display(),
            OUTPUT_DIRECTORIES.join(", "),
        )));
    }
    if !here.is_dir() {
        bail!("{} is not a directory", here.display());
    }
    Ok(here.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use favonius_contract::AssetHash;

    use super::*;

    fn write(root: &Path, path: &str, content: &str) {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    #[tokio::test]
    async fn a_build_is_hashed_as_clients_do() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "index.html", "<h1>hi</h1>");
        write(dir.path(), "data/empty.txt", "");
        let build = Build::read(dir.path()).await.unwrap();
        let files: Vec<_> = build
            .files()
            .iter()
            .map(|file| (&*file.path, file.asset))
            .collect();
        let expected = [
            // As recorded from a published client.
            (
                "data/empty.txt",
                "39d5239182af04942e303372ca2f093f275b8bb70c746153bf65043aefd75f49",
                0,
            ),
            (
                "index.html",
                &AssetHash::of(b"<h1>hi</h1>", "index.html").to_string(),
                11,
            ),
        ];
        for ((path, asset), expected) in files.iter().zip(expected) {
            assert_eq!((*path, &*asset.hash.to_string(), asset.size), expected);
        }
        assert_eq!((files.len(), build.bytes()), (2, 11));
        assert!(build.has_index() && build.doubts(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn what_is_no_build_is_refused_or_doubted() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Build::read(&dir.path().join("none")).await.unwrap_err();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
        let empty = Build::read(dir.path()).await.unwrap_err();
        assert!(empty.to_string().contains("has no files"), "{empty}");

        write(dir.path(), "remoteEntry.js", "");
        let file = Build::read(&dir.path().join("remoteEntry.js"))
            .await
            .unwrap_err();
        assert!(file.to_string().contains("is not a directory"), "{file}");
        let doubts = Build::read(dir.path()).await.unwrap().doubts(dir.path());
        assert!(doubts[0].contains("no index.html"), "{doubts:?}");

        write(dir.path(), "dist/index.html", "");
        let doubts = Build::read(dir.path()).await.unwrap().doubts(dir.path());
        assert!(doubts[0].contains("dist has one"), "{doubts:?}");

        write(dir.path(), "package.json", "{}");
        let doubts = Build::read(dir.path()).await.unwrap().doubts(dir.path());
        assert!(
            doubts[0].contains("package.json") && doubts[0].contains("dist?"),
            "{doubts:?}"
        );
    }

    #[test]
    fn the_default_directory_is_the_build() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        assert_eq!(default_directory(here).unwrap(), here, "nothing there");
        write(here, "package.json", "{}");
        let unbuilt = default_directory(here).unwrap_err().to_string();
        assert!(unbuilt.contains("build the application first"), "{unbuilt}");
        write(here, "index.html", "the source of the page");
        write(here, "build/index.html", "the page");
        assert_eq!(
            default_directory(here).unwrap(),
            here.join("build"),
            "sources and a build"
        );
        fs::remove_file(here.join("package.json")).unwrap();
        assert_eq!(default_directory(here).unwrap(), here, "a plain site");
    }
}
