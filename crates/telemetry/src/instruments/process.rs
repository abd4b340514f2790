//! What the process takes of the machine.

use std::fs;

/// From Linux's `/proc`; elsewhere nothing is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taken {
    /// Resident memory in bytes.
    Memory,
    Threads,
    OpenFiles,
}

impl Taken {
    pub(super) fn read(self) -> Option<u64> {
        match self {
            Self::Memory => status("VmRSS:").map(|kib| kib * 1024),
            Self::Threads => status("Threads:"),
            // One of them is for reading the directory.
            Self::OpenFiles => {
                Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
            }
        }
    }
}

/// The number in one line of `/proc/self/status`.
fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells() {
        assert!(Taken::Memory.read() > Some(1 << 20));
        assert!(Taken::Threads.read() > Some(0));
        assert!(Taken::OpenFiles.read() > Some(2));
    }
}
