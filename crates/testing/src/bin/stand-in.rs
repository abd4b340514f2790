//! What this crate's own tests start in the place of a worker: it speaks just enough HTTP to be started and asked. It is not ready
//! at first; `/exit` ends it, `/env` tells its environment, `/grow` uses memory.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is what is tested"
)]

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let value = |key: &str| {
        let found = std::env::vars().find(|(name, _)| name == key);
        found.map(|(_, value)| value).unwrap_or_default()
    };
    println!("starting");
    if value("ZE_WORKER_LOG_LEVEL") == "wrong" {
        eprintln!("ZE_WORKER_LOG_LEVEL: no such level");
        return Ok(ExitCode::from(2));
    }
    let port: u16 = value("ZE_WORKER_PORT").parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind((value("ZE_WORKER_HOST"), port))?;
    println!(r#"{{"level":"info","message":"Worker listening","server.port":{port}}}"#);
    for request in 1.. {
        let (stream, _) = listener.accept()?;
        // A client that goes away is none of our business.
        if answer(stream, request).unwrap_or(false) {
            break;
        }
    }
    Ok(ExitCode::from(7))
}

/// Answers one request; whether it was to be the last.
fn answer(mut stream: TcpStream, number: usize) -> io::Result<bool> {
    let mut head = [0; 4096];
    let length = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let body = match path {
        "/exit" => return Ok(true),
        "/env" => {
            let lines = std::env::vars().map(|(name, value)| format!("{name}={value}\n"));
            lines.collect::<Vec<_>>().concat()
        }
        "/grow" => {
            let memory = vec![1_u8; 64 << 20];
            memory
                .iter()
                .map(|&byte| u64::from(byte))
                .sum::<u64>()
                .to_string()
        }
        _ => format!("request {number}"),
    };
    let status = if path == "/readyz" && number < 3 {
        503
    } else {
        200
    };
    let length = body.len();
    let fields = format!("Content-Length: {length}\r\nConnection: close");
    write!(stream, "HTTP/1.1 {status} X\r\n{fields}\r\n\r\n{body}")?;
    Ok(false)
}
