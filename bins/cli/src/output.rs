//! What is printed, for people or for programs.
//!
//! 1. Results go to standard output; notes, warnings and errors to standard error.
//! 2. With `--json`, standard output gets one JSON object, whether the command succeeds or fails, and standard error
//!    nothing but what the argument parser says of wrong usage.
//! 3. A reader that has had enough (`favonius ... | head -1`) is no failure.

use std::{
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
};

use serde_json::Value;

/// Where results and notes go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads the result.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether somebody watches, so that progress is worth showing.
    pub(crate) fn is_watched(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Prints the result: as text, which ends with a line end, or as one line of JSON.
    pub(crate) fn result(self, text: &str, json: &Value) -> io::Result<()> {
        if self.json {
            print(&format!("{json}\n"))
        } else {
            print(text)
        }
    }

    /// Says something beside the result, to people only.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            to_stderr(text);
        }
    }
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes a line to standard error. When that is closed there is nobody to tell.
pub(crate) fn to_stderr(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Prints what the argument parser has to say, and gives its exit status.
pub(crate) fn show_usage(error: &clap::Error) -> ExitCode {
    error.print().ok();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Lines up columns with two spaces between them. The last one is as long as it likes.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (width, cell)) in widths.iter().zip(row).enumerate() {
            line.push_str(cell);
            if index + 1 < N {
                let gap = width + 2 - cell.chars().count();
                line.extend(std::iter::repeat_n(' ', gap));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [
            row(["KEY", "VALUE", "SOURCE"]),
            row(["A", "ümlaut", "default"]),
            row(["LONGER", "", ""]),
        ];
        let expected = "KEY     VALUE   SOURCE\nA       ümlaut  default\nLONGER\n";
        assert_eq!(table(&rows), expected);
        assert_eq!(table::<2>(&[]), "");
    }
}
