//! What the process takes of the machine.

use std::{fs, time::Duration};

use super::readings::{Reading, Readings};

type Read = fn() -> Option<u64>;

/// Reads it from Linux's `/proc` whenever somebody asks; elsewhere nothing is known.
pub(super) fn watch(readings: &Readings) {
    let started = started_at();
    let all: [(Reading, Read); 5] = [
        (Reading::MemoryUsed, memory),
        (Reading::Threads, threads),
        (Reading::OpenFiles, open_files),
        (Reading::OpenFilesLimit, open_files_limit),
        (Reading::CpuTime, cpu_time_ms),
    ];
    for (reading, read) in all {
        readings.add(reading, None, read);
    }
    readings.add(Reading::StartTime, None, move || started);
}

fn memory() -> Option<u64> {
    status("VmRSS:").map(|kib| kib * 1024)
}

fn threads() -> Option<u64> {
    status("Threads:")
}

fn open_files() -> Option<u64> {
    // One of them is for reading the directory.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

/// Nothing where there is no limit.
fn open_files_limit() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `/proc/self/stat` counts in clock ticks, of which Linux shows 100 a second to every program, whatever the kernel's own are.
const TICK_MS: u64 = 10;

fn cpu_time_ms() -> Option<u64> {
    let ticks = |n| stat(n).unwrap_or_default();
    // Time in the program and in the system, fields 14 and 15.
    Some((ticks(14) + ticks(15)) * TICK_MS).filter(|ms| *ms > 0)
}

/// In seconds since 1970.
fn started_at() -> Option<u64> {
    let after_boot = Duration::from_millis(stat(22)? * TICK_MS);
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<u64>().ok()? + after_boot.as_secs())
}

/// A field of `/proc/self/stat` by its number in the manual (proc(5)), from 4 on.
fn stat(number: usize) -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
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
        assert!(memory() > Some(1 << 20));
        assert!(threads() > Some(0));
        assert!(open_files() > Some(2));
        assert!(open_files_limit().is_none_or(|limit| Some(limit) > open_files()));
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "what is tested is the time of day"
    )]
    fn it_started_a_moment_ago() {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let started = started_at().unwrap();
        assert!(
            (now - 3600..=now + 1).contains(&started),
            "{started}, {now}"
        );
    }

    #[test]
    fn processor_time_grows() {
        let before = cpu_time_ms().unwrap_or_default();
        let mut n: u64 = 1;
        while cpu_time_ms().unwrap_or_default() <= before {
            n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005));
        }
    }
}
