//! Requests as bytes, for what no HTTP library would send.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

/// Sends bytes on a new connection and returns the bytes of the answer: all until the server closes, or one whole HTTP/1 response
/// with its body (interim ones before it included), whichever comes first. A connection that is reset ends the answer as a closed one does.
///
/// # Errors
/// Without a connection, or when neither has happened after 10 s; the error shows what came until then.
pub async fn raw_http(address: SocketAddr, bytes: impl AsRef<[u8]>) -> io::Result<Vec<u8>> {
    let bytes = bytes.as_ref().to_vec();
    let exchange = move || raw_http_blocking(address, &bytes, DEADLINE);
    tokio::task::spawn_blocking(exchange)
        .await
        .map_err(io::Error::other)?
}

/// The same for code that is not async.
pub(crate) fn raw_http_blocking(
    address: SocketAddr,
    bytes: &[u8],
    deadline: Duration,
) -> io::Result<Vec<u8>> {
    let end = Instant::now() + deadline;
    let mut stream = std::net::TcpStream::connect_timeout(&address, deadline)?;
    stream.set_write_timeout(Some(deadline))?;
    // The server may answer and close before it has read everything: the answer is what counts.
    let written = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let shown = String::from_utf8_lossy(&answer).into_owned();
            let why = format!("no whole answer within {deadline:?}, only: {shown:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if is_whole(&answer, bytes.starts_with(b"HEAD ")) {
            break;
        }
    }
    if answer.is_empty() {
        written?;
    }
    Ok(answer)
}

/// Whether a whole final HTTP/1 response is there. One whose end is the end of the connection never is.
fn is_whole(answer: &[u8], to_head: bool) -> bool {
    let Some(end) = find(answer, b"\r\n\r\n") else {
        return false;
    };
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('1') && status != "101" {
        return is_whole(body, to_head);
    }
    if to_head || ["101", "204", "304"].contains(&status) {
        return true;
    }
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    if field("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        return body.ends_with(b"0\r\n\r\n");
    }
    let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

/// One connection that the test reads and writes by itself: for requests in pieces, pipelining, idle connections.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
}

impl RawConnection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = timeout(DEADLINE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends bytes. Fails after 10 s if the other side does not take them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(DEADLINE, self.stream.write_all(bytes.as_ref())).await?
    }

    /// Reads until `end` has come (it is part of what is returned).
    ///
    /// # Errors
    /// If the connection ends before, or `end` has not come in time: the error shows what came.
    pub async fn read_until(&mut self, end: &[u8], deadline: Duration) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = async {
            while find(&bytes, end).is_none() {
                bytes.push(self.stream.read_u8().await?);
            }
            io::Result::Ok(())
        };
        let outcome = timeout(deadline, read)
            .await
            .map_err(io::Error::from)
            .flatten();
        match outcome {
            Ok(()) => Ok(bytes),
            Err(error) => {
                let shown = String::from_utf8_lossy(&bytes);
                Err(io::Error::new(
                    error.kind(),
                    format!("{error} after {shown:?}"),
                ))
            }
        }
    }

    /// Reads so many bytes: a body whose length is known.
    pub async fn read_exact(&mut self, length: usize, deadline: Duration) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        timeout(deadline, self.stream.read_exact(&mut bytes)).await??;
        Ok(bytes)
    }

    /// Reads what comes until the other side closes.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if it has not closed in time, [`io::ErrorKind::ConnectionReset`] if it broke off.
    pub async fn read_to_end(&mut self, deadline: Duration) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        timeout(deadline, self.stream.read_to_end(&mut bytes)).await??;
        Ok(bytes)
    }

    /// Closes with a reset (`RST`), as a client that crashed.
    pub fn reset(self) {
        drop(self.stream.set_zero_linger());
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_response_is_known_by_its_length() {
        let cases: [(&str, &[u8], bool, bool); 9] = [
            (
                "half a head",
                b"HTTP/1.1 200 OK\r\nContent-Le",
                false,
                false,
            ),
            (
                "body missing",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
                false,
                false,
            ),
            (
                "body there",
                b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nab",
                false,
                true,
            ),
            (
                "answer to HEAD",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                true,
                true,
            ),
            (
                "no body by its status",
                b"HTTP/1.1 304 Not Modified\r\n\r\n",
                false,
                true,
            ),
            (
                "only interim",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                false,
                false,
            ),
            (
                "interim and final",
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
                false,
                true,
            ),
            (
                "chunks going on",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
                false,
                false,
            ),
            (
                "chunks ended",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                false,
                true,
            ),
        ];
        for (name, answer, to_head, expected) in cases {
            assert_eq!(is_whole(answer, to_head), expected, "case `{name}`");
        }
    }
}
