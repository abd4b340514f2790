//! Finds the files of a build.
//!
//! 1. `.git`, `node_modules`, `.DS_Store` and `thumbs.db` are left out in any spelling, as clients do.
//! 2. A symbolic link is followed when it stays inside the directory. One that leads out is refused: what is deployed
//!    is public.
//! 3. What cannot be deployed is reported all at once.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use favonius_contract::{AssetPath, MAX_ASSETS};

/// Names that are no part of any build.
const IGNORED: [&str; 4] = [".git", "node_modules", ".DS_Store", "thumbs.db"];
/// How many problems are listed.
const LISTED: usize = 20;

/// A file that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it stands in the build, with `/` between the parts.
    pub(super) path: String,
    /// Where it is on this machine.
    pub(super) file: PathBuf,
}

/// Why a directory cannot be deployed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    #[error("could not read {place}")]
    Io {
        place: String,
        #[source]
        cause: io::Error,
    },
    #[error("not everything in {root} can be deployed:\n  {}", listed(problems))]
    Unfit { root: String, problems: Vec<String> },
    #[error("{root} has more than {MAX_ASSETS} files, which is the most that a version may have")]
    TooMany { root: String },
}

fn listed(problems: &[String]) -> String {
    let mut lines: Vec<_> = problems.iter().take(LISTED).cloned().collect();
    if problems.len() > LISTED {
        lines.push(format!("and {} more", problems.len() - LISTED));
    }
    lines.join("\n  ")
}

/// A directory that is to be looked at.
struct Pending {
    /// With all links resolved.
    real: PathBuf,
    /// Its path in the build with a slash at the end, or nothing for the root.
    prefix: String,
    /// The directories, links resolved, in which links were followed to come here.
    followed: Vec<PathBuf>,
}

struct Walk {
    root: PathBuf,
    found: Vec<Found>,
    problems: Vec<String>,
    pending: Vec<Pending>,
}

/// All files below a directory, by path in the order of bytes.
pub(super) fn walk(directory: &Path) -> Result<Vec<Found>, WalkError> {
    let root = fs::canonicalize(directory).map_err(|cause| unreadable(directory, cause))?;
    let first = Pending {
        real: root.clone(),
        prefix: String::new(),
        followed: Vec::new(),
    };
    let mut walk = Walk {
        root,
        found: Vec::new(),
        problems: Vec::new(),
        pending: vec![first],
    };
    while let Some(pending) = walk.pending.pop() {
        walk.directory(&pending)?;
        if walk.found.len() > MAX_ASSETS {
            return Err(WalkError::TooMany {
                root: directory.display().to_string(),
            });
        }
    }
    if !walk.problems.is_empty() {
        walk.problems.sort();
        let root = directory.display().to_string();
        return Err(WalkError::Unfit {
            root,
            problems: walk.problems,
        });
    }
    walk.found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(walk.found)
}

impl Walk {
    fn directory(&mut self, directory: &Pending) -> Result<(), WalkError> {
        let entries =
            fs::read_dir(&directory.real).map_err(|cause| unreadable(&directory.real, cause))?;
        for entry in entries {
            let entry = entry.map_err(|cause| unreadable(&directory.real, cause))?;
            let file = entry.path();
            let kind = entry
                .file_type()
                .map_err(|cause| unreadable(&file, cause))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let shown = name.to_string_lossy();
                self.problems.push(format!(
                    "{}{shown}: its name is not UTF-8",
                    directory.prefix
                ));
                continue;
            };
            if is_ignored(name) {
                continue;
            }
            let path = format!("{}{name}", directory.prefix);
            // Too long or strange a directory cannot hold anything better.
            if let Err(problem) = AssetPath::check(&path) {
                self.problems.push(problem.to_string());
                continue;
            }
            if kind.is_symlink() {
                self.link(directory, path, &file)?;
            } else if kind.is_dir() {
                let followed = directory.followed.clone();
                self.pending.push(Pending {
                    real: file,
                    prefix: path + "/",
                    followed,
                });
            } else if kind.is_file() {
                self.found.push(Found { path, file });
            } else {
                self.problems
                    .push(format!("{path}: is neither a file nor a directory"));
            }
        }
        Ok(())
    }

    fn link(&mut self, directory: &Pending, path: String, link: &Path) -> Result<(), WalkError> {
        let target = match fs::canonicalize(link) {
            Ok(target) => target,
            Err(error) => {
                self.problems.push(format!(
                    "{path}: is a symbolic link that leads nowhere: {error}"
                ));
                return Ok(());
            }
        };
        let Ok(inside) = target.strip_prefix(&self.root) else {
            self.problems.push(format!(
                "{path}: is a symbolic link that leads out of the directory, to {}: put a copy in its place",
                target.display()
            ));
            return Ok(());
        };
        if inside
            .iter()
            .any(|part| part.to_str().is_some_and(is_ignored))
        {
            return Ok(());
        }
        let meta = fs::metadata(&target).map_err(|cause| unreadable(&target, cause))?;
        if meta.is_file() {
            self.found.push(Found { path, file: target });
        } else if meta.is_dir() {
            let mut followed = directory.followed.clone();
            followed.push(directory.real.clone());
            if followed.iter().any(|above| above.starts_with(&target)) {
                self.problems.push(format!(
                    "{path}: is a symbolic link to a directory that holds it, so it has no end: remove it"
                ));
                return Ok(());
            }
            self.pending.push(Pending {
                real: target,
                prefix: path + "/",
                followed,
            });
        } else {
            self.problems
                .push(format!("{path}: is neither a file nor a directory"));
        }
        Ok(())
    }
}

fn is_ignored(name: &str) -> bool {
    IGNORED
        .iter()
        .any(|ignored| ignored.eq_ignore_ascii_case(name))
}

fn unreadable(place: &Path, cause: io::Error) -> WalkError {
    WalkError::Io {
        place: place.display().to_string(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, os::unix::fs::symlink};

    use tempfile::TempDir;

    use super::*;

    /// Makes files; the content is the path.
    fn tree(files: &[&str]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for path in files {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, path).unwrap();
        }
        dir
    }

    fn paths(root: &Path) -> Vec<String> {
        walk(root)
            .unwrap()
            .into_iter()
            .map(|found| found.path)
            .collect()
    }

    fn problems(root: &Path) -> Vec<String> {
        match walk(root) {
            Err(WalkError::Unfit { problems, .. }) => problems,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_come_in_the_order_of_their_bytes_without_what_is_ignored() {
        let dir = tree(&[
            "index.html",
            "assets/z.js",
            "assets/a b (1).js",
            "assets-2/x.js",
            "Zoo.txt",
            "data/日本語.txt",
            ".well-known/apple-app-site-association",
            ".git/config",
            "packages/.git",
            "node_modules/x/index.js",
            "sub/Node_Modules/y.js",
            ".DS_Store",
            "img/Thumbs.db",
        ]);
        let expected = [
            ".well-known/apple-app-site-association",
            "Zoo.txt",
            "assets-2/x.js",
            "assets/a b (1).js",
            "assets/z.js",
            "data/日本語.txt",
            "index.html",
        ];
        assert_eq!(paths(dir.path()), expected);
    }

    #[test]
    fn links_are_followed_inside() {
        let dir = tree(&["shared/logo.svg", "v1/index.html", ".git/config"]);
        symlink("shared/logo.svg", dir.path().join("favicon.svg")).unwrap();
        symlink("v1", dir.path().join("latest")).unwrap();
        symlink("../shared", dir.path().join("v1/shared")).unwrap();
        symlink(".git/config", dir.path().join("config")).unwrap();
        let expected = [
            "favicon.svg",
            "latest/index.html",
            "latest/shared/logo.svg",
            "shared/logo.svg",
            "v1/index.html",
            "v1/shared/logo.svg",
        ];
        assert_eq!(paths(dir.path()), expected);
        // The directory itself may be reached by a link.
        let outside = tempfile::tempdir().unwrap();
        symlink(dir.path(), outside.path().join("site")).unwrap();
        assert_eq!(paths(&outside.path().join("site")), expected);
    }

    #[test]
    fn links_that_cannot_be_followed_are_refused_together() {
        let outside = tree(&["secret.txt"]);
        let dir = tree(&["index.html", "a/x", "b/y"]);
        symlink(
            outside.path().join("secret.txt"),
            dir.path().join("stolen.txt"),
        )
        .unwrap();
        symlink(outside.path(), dir.path().join("stolen")).unwrap();
        symlink("nowhere", dir.path().join("dangling")).unwrap();
        symlink(".", dir.path().join("self")).unwrap();
        symlink("../b", dir.path().join("a/to-b")).unwrap();
        symlink("../a", dir.path().join("b/to-a")).unwrap();
        let problems = problems(dir.path());
        let expected = [
            "a/to-b/to-a: is a symbolic link to a directory that holds it",
            "b/to-a/to-b: is a symbolic link to a directory that holds it",
            "dangling: is a symbolic link that leads nowhere",
            "self: is a symbolic link to a directory that holds it",
            "stolen.txt: is a symbolic link that leads out of the directory",
            "stolen: is a symbolic link that leads out of the directory",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn names_that_no_browser_could_ask_for_are_refused_together() {
        let dir = tree(&["back\\slash.js", "line\nbreak.js", "fine.js"]);
        fs::write(dir.path().join(OsStr::from_bytes(b"latin-\xfc.js")), "").unwrap();
        let problems = problems(dir.path());
        assert_eq!(problems.len(), 3, "{problems:#?}");
        let text = problems.join("\n");
        for part in ["backslash", "control character", "not UTF-8"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_long_list_of_problems_is_cut() {
        let problems: Vec<_> = (0..25).map(|n| n.to_string()).collect();
        let text = listed(&problems);
        assert_eq!(text.lines().count(), LISTED + 1);
        assert!(text.ends_with("and 5 more"), "{text}");
    }
}
