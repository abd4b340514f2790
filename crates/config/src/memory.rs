//! How much memory the process may use, from its control group.
//!
//! Both versions of control groups are read: `memory.max` (version 2) and `memory.limit_in_bytes`
//! (version 1). A limit holds for all groups below, so the smallest on the way from the group of the
//! process up to the root counts. In a container the group may be named after a path of the host
//! that cannot be seen; the walk up ends at the root that can, which is the container's own.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// From here on a version 1 limit means none: it is `i64::MAX` rounded down to pages.
const UNLIMITED: u64 = 1 << 60;

/// The smallest memory limit in bytes that holds for this process; `None` where there is none or
/// no control groups. `root` is `/`, but for tests.
pub(crate) fn limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups
        .lines()
        .filter_map(|line| limit_of_group(root, line))
        .min()
}

/// `line` is `<hierarchy>:<controllers>:<path>`; version 2 has hierarchy 0 and no controllers.
fn limit_of_group(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (hierarchy, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, file) = if hierarchy == "0" && controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers
        .split(',')
        .any(|controller| controller == "memory")
    {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    let group: PathBuf = Path::new(group)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let mount = root.join(mount);
    group
        .ancestors()
        .filter_map(|group| fs::read_to_string(mount.join(group).join(file)).ok())
        .filter_map(|text| text.trim().parse().ok()) // version 2 says `max` for no limit
        .filter(|bytes| (1..UNLIMITED).contains(bytes))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        const V1: &str = "9:name=systemd:/x\n4:cpu,memory:/kubepods/pod1\n0::/\n";
        /// Name, `/proc/self/cgroup`, files below `/sys/fs/cgroup`, limit.
        type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<u64>);
        let cases: [Case<'_>; 10] = [
            ("no control groups", "", &[], None),
            (
                "container, v2",
                "0::/\n",
                &[("memory.max", "536870912\n")],
                Some(536_870_912),
            ),
            (
                "v2 without a limit",
                "0::/\n",
                &[("memory.max", "max\n")],
                None,
            ),
            (
                "own",
                "0::/a/b\n",
                &[("a/memory.max", "max"), ("a/b/memory.max", "7")],
                Some(7),
            ),
            (
                "parent",
                "0::/a/b\n",
                &[("a/memory.max", "5"), ("a/b/memory.max", "7")],
                Some(5),
            ),
            (
                "namespaced",
                "0::/../../x\n",
                &[("memory.max", "9")],
                Some(9),
            ),
            (
                "v1",
                V1,
                &[("memory/kubepods/pod1/memory.limit_in_bytes", "11\n")],
                Some(11),
            ),
            (
                "v1 in a container",
                V1,
                &[("memory/memory.limit_in_bytes", "13\n")],
                Some(13),
            ),
            (
                "v1 none",
                V1,
                &[("memory/memory.limit_in_bytes", "9223372036854771712")],
                None,
            ),
            (
                "nonsense",
                "what\n0::/\n::\n",
                &[("memory.max", "many")],
                None,
            ),
        ];
        for (name, groups, files, expected) in cases {
            let root = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            };
            write("proc/self/cgroup", groups);
            for (file, text) in files {
                write(&format!("sys/fs/cgroup/{file}"), text);
            }
            assert_eq!(limit(root.path()), expected, "case `{name}`");
        }
        assert_eq!(limit(Path::new("/nonexistent")), None);
    }
}
