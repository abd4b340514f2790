//! Child processes that never outlive the test: their start, their log, their end.

use std::collections::VecDeque;
use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::poll::wait_blocking;
use crate::tools::find_tool;

/// Most lines kept of one process; older ones are dropped.
const LOG_LINES: usize = 100_000;

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a process wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Where it was written.
    pub source: Source,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// A command with an environment that is empty but for `PATH`, whose process dies with this one, even when this one is killed.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = if let Some(setpriv) = find_tool("setpriv") {
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env_clear();
    command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// Starts a process from a thread that lives as long as this process: the kernel sends the death signal that [`command`] asks for
/// when the *thread* ends that started the child, and the thread of a test ends before a server that it shares.
fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

    let starter = STARTER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("process starter".to_owned())
            .spawn(move || {
                for (mut command, reply) in queue {
                    // The asker may have panicked meanwhile; its child then dies with this process.
                    drop(reply.send(command.spawn()));
                }
            })
            .expect("a thread can be started");
        jobs
    });
    let (reply, answer) = mpsc::channel();
    starter
        .send((command, reply))
        .map_err(|_| io::Error::other("the process starter is gone"))?;
    answer.recv().map_err(io::Error::other)?
}

/// A process that runs, or has run. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Mutex<Child>,
    pid: u32,
    log: Arc<Mutex<VecDeque<LogLine>>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Running {
    /// Starts it with its output going to [`Running::log`].
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = spawn(command)
            .unwrap_or_else(|error| panic!("could not start {name}: {error}: {shown}"));
        let log = Arc::default();
        let stdout = child
            .stdout
            .take()
            .map(|pipe| read_lines(pipe, Source::Stdout, &log));
        let stderr = child
            .stderr
            .take()
            .map(|pipe| read_lines(pipe, Source::Stderr, &log));
        Self {
            name: name.to_owned(),
            pid: child.id(),
            child: Mutex::new(child),
            log,
            readers: stdout.into_iter().chain(stderr).collect(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut child = lock(&self.child);
        if matches!(child.try_wait(), Ok(None)) {
            kill_process(Pid::from_child(&child), signal)
                .unwrap_or_else(|error| panic!("could not signal {}: {error}", self.name));
        }
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&self) -> Option<ExitStatus> {
        let status = lock(&self.child).try_wait();
        status.unwrap_or_else(|error| panic!("could not wait for {}: {error}", self.name))
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        let status = lock(&self.child).wait();
        status.unwrap_or_else(|error| panic!("could not wait for {}: {error}", self.name));
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn terminate(&self, deadline: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        wait_blocking("the process ends", deadline, || Ok(self.exited()))
            .unwrap_or_else(|why| panic!("{}: {why}; its log:\n{}", self.name, self.log_text()))
    }

    /// What it has written so far. Once it has ended this is all of it, unless a child of its own still holds its output open.
    pub(crate) fn log(&self) -> Vec<LogLine> {
        if self.exited().is_some() {
            // Not an error: see above.
            drop(wait_blocking(
                "the log ends",
                Duration::from_secs(2),
                || {
                    Ok(self
                        .readers
                        .iter()
                        .all(thread::JoinHandle::is_finished)
                        .then_some(()))
                },
            ));
        }
        lock(&self.log).iter().cloned().collect()
    }

    /// The log for a person.
    pub(crate) fn log_text(&self) -> String {
        text_of(&self.log(), &[Source::Stdout, Source::Stderr])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_lines(
    pipe: impl Read + Send + 'static,
    source: Source,
    log: &Arc<Mutex<VecDeque<LogLine>>>,
) -> thread::JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\r', '\n'])
                .to_owned();
            line.clear();
            let mut log = lock(&log);
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            log.push_back(LogLine { source, text });
        }
    })
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end, or says why it did not end in time.
pub(crate) fn run(name: &str, command: Command, deadline: Duration) -> Result<Ended, String> {
    let running = Running::start(name, command);
    let status = wait_blocking(&format!("{name} ends"), deadline, || Ok(running.exited()))?;
    let log = running.log();
    Ok(Ended {
        status,
        stdout: text_of(&log, &[Source::Stdout]),
        stderr: text_of(&log, &[Source::Stderr]),
    })
}

/// The lines from these sources, each with its end.
pub(crate) fn text_of(log: &[LogLine], sources: &[Source]) -> String {
    let mut text = String::new();
    for line in log.iter().filter(|line| sources.contains(&line.source)) {
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

/// Locks what a panicking test may have left poisoned: the data are still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = command(Path::new("/bin/sh"));
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_kept_by_line_and_source() {
        let running = Running::start("sh", shell("echo one; echo two >&2; printf 'th\\377ee'"));
        wait_blocking("it ends", Duration::from_secs(5), || Ok(running.exited())).unwrap();
        let of = |wanted| {
            let log = running
                .log()
                .into_iter()
                .filter(move |line| line.source == wanted);
            log.map(|line| line.text).collect::<Vec<_>>()
        };
        assert_eq!(of(Source::Stdout), ["one", "th\u{fffd}ee"]);
        assert_eq!(of(Source::Stderr), ["two"]);
    }

    #[test]
    fn the_environment_holds_path_only() {
        let output = run("env", shell("env"), Duration::from_secs(5)).unwrap();
        let names = output
            .stdout
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0));
        // What a shell adds by itself.
        let others = names.filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
        assert_eq!(others.collect::<Vec<_>>(), ["PATH"]);
    }

    #[test]
    fn a_command_that_does_not_end_is_killed() {
        let script = "echo $$ > pid; exec sleep 60";
        let dir = tempfile::tempdir().unwrap();
        let mut command = shell(script);
        command.current_dir(dir.path());
        let why = run("sleep", command, Duration::from_secs(1)).err();
        assert_eq!(why.as_deref(), Some("not within 1s: sleep ends"));
        let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
    }

    #[test]
    fn dropping_kills_also_what_is_stopped() {
        let running = Running::start("sh", shell("sleep 60"));
        let status = format!("/proc/{}/status", running.pid());
        running.signal(Signal::STOP);
        drop(running);
        assert!(!Path::new(&status).exists());
    }

    #[test]
    fn a_process_outlives_the_thread_that_started_it() {
        let running = thread::spawn(|| Running::start("sh", shell("sleep 60")))
            .join()
            .unwrap();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(running.exited(), None);
    }
}
