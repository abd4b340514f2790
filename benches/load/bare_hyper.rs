//! What hyper alone can do: files in memory, a look-up, a prepared head. `benches/load/serving` measures the worker against it.
//!
//! ```sh
//! bare-hyper --root DIR --port PORT [--single] [--threads N] [--runtime multi|per-core]
//! ```
//!
//! The directories in DIR are hosts, and a host has the files of its directory only; links to one directory share them. With
//! `--single` all of DIR answers, whatever the host. `multi` is one runtime for all threads; `per-core` gives each thread a runtime
//! and a listener (`SO_REUSEPORT`) of its own. A file beside `name` that is called `name.gz` is its gzip form.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, thread};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime;

const USAGE: &str = "--root DIR --port PORT [--single] [--threads N] [--runtime multi|per-core]";

struct Options {
    root: PathBuf,
    port: u16,
    single: bool,
    threads: usize,
    per_core: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (mut root, mut port) = (None, None);
        let (mut single, mut threads, mut per_core) = (false, 1, false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--root" => root = Some(arguments.next()?.into()),
                "--port" => port = Some(arguments.next()?.parse().ok()?),
                "--single" => single = true,
                "--threads" => threads = arguments.next()?.parse().ok().filter(|&n| n > 0)?,
                "--runtime" => {
                    per_core = match arguments.next()?.as_str() {
                        "multi" => false,
                        "per-core" => true,
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        Some(Self {
            root: root?,
            port: port?,
            single,
            threads,
            per_core,
        })
    }
}

#[expect(clippy::print_stderr, reason = "it has no log")]
fn main() -> ExitCode {
    let Some(options) = Options::read(std::env::args().skip(1)) else {
        eprintln!("bare-hyper {USAGE}");
        return ExitCode::from(2);
    };
    if let Err(error) = run(&options) {
        eprintln!("bare-hyper: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run(options: &Options) -> io::Result<()> {
    let site = Arc::new(Site::read(&options.root, options.single)?);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    if !options.per_core {
        return runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .enable_all()
            .build()?
            .block_on(serve(site, address));
    }
    let threads: Vec<_> = (0..options.threads)
        .map(|_| {
            let site = Arc::clone(&site);
            thread::spawn(move || {
                runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(serve(site, address))
            })
        })
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

async fn serve(site: Arc<Site>, address: SocketAddr) -> io::Result<()> {
    let listener = listen(address)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files, or a client that has gone already.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let site = Arc::clone(&site);
        let connection = async move {
            let service = service_fn(|request| ready(Ok::<_, Infallible>(site.answer(&request))));
            // An error is a client that went away.
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        };
        #[expect(clippy::disallowed_methods, reason = "it is killed, and never drains")]
        tokio::spawn(connection);
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// Files by their path, with the slash it begins with.
type Files = HashMap<String, File>;

enum Site {
    Single(Files),
    Hosts(HashMap<String, Arc<Files>>),
}

struct File {
    plain: Form,
    gzip: Option<Form>,
}

/// An answer that is ready but for its status.
struct Form {
    head: HeaderMap,
    /// Without a length, of which some clients wait for the body that a 304 does not have.
    unchanged: HeaderMap,
    etag: HeaderValue,
    body: Bytes,
}

impl Site {
    fn read(root: &Path, single: bool) -> io::Result<Self> {
        if single {
            return read_files(root).map(Self::Single);
        }
        let (mut hosts, mut read) = (HashMap::new(), HashMap::new());
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let directory = fs::canonicalize(entry.path())?;
            let files = match read.get(&directory) {
                Some(files) => Arc::clone(files),
                None => Arc::new(read_files(&directory)?),
            };
            read.insert(directory, Arc::clone(&files));
            hosts.insert(entry.file_name().to_string_lossy().into_owned(), files);
        }
        Ok(Self::Hosts(hosts))
    }

    fn find(&self, request: &Request<Incoming>) -> Option<&File> {
        let files = match self {
            Self::Single(files) => files,
            Self::Hosts(hosts) => {
                let host = request.headers().get(header::HOST)?;
                hosts.get(host.to_str().ok()?)?
            }
        };
        files.get(request.uri().path())
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Only GET.\n");
        }
        let Some(file) = self.find(request) else {
            return text(StatusCode::NOT_FOUND, "There is no such file.\n");
        };
        let form = file.form_for(request.headers());
        let mut response = Response::new(Full::default());
        if request.headers().get(header::IF_NONE_MATCH) == Some(&form.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = form.unchanged.clone();
        } else {
            *response.headers_mut() = form.head.clone();
            *response.body_mut() = Full::new(form.body.clone());
        }
        response
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn read_files(root: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    let mut pending = vec![(root.to_owned(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                pending.push((entry.path(), path));
                continue;
            }
            if let Some(parent) = path.strip_suffix("index.html") {
                files.insert(parent.to_owned(), File::read(&entry.path())?);
            }
            files.insert(path, File::read(&entry.path())?);
        }
    }
    Ok(files)
}

impl File {
    fn read(path: &Path) -> io::Result<Self> {
        let content_type = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        };
        let plain = Form::new(content_type, fs::read(path)?)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".gz");
        let gzip = match fs::read(beside) {
            Ok(body) => Some(Form::new(content_type, body)?.coded("gzip")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { plain, gzip })
    }

    fn form_for(&self, headers: &HeaderMap) -> &Form {
        let Some(gzip) = &self.gzip else {
            return &self.plain;
        };
        let accepted = headers
            .get(header::ACCEPT_ENCODING)
            .is_some_and(|codings| codings.as_bytes().windows(4).any(|word| word == b"gzip"));
        if accepted { gzip } else { &self.plain }
    }
}

impl Form {
    fn new(content_type: &'static str, body: Vec<u8>) -> io::Result<Self> {
        let mut hash = DefaultHasher::new();
        body.hash(&mut hash);
        let etag = format!("\"{:016x}-{:x}\"", hash.finish(), body.len());
        let etag = HeaderValue::try_from(etag).map_err(io::Error::other)?;
        let modified = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
        let unchanged = HeaderMap::from_iter([
            (header::ETAG, etag.clone()),
            (header::LAST_MODIFIED, modified),
        ]);
        let mut head = unchanged.clone();
        head.extend([
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::CONTENT_LENGTH, HeaderValue::from(body.len())),
            (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        ]);
        Ok(Self {
            head,
            unchanged,
            etag,
            body: body.into(),
        })
    }

    fn coded(mut self, coding: &'static str) -> Self {
        let vary = HeaderValue::from_static("accept-encoding");
        self.unchanged.insert(header::VARY, vary.clone());
        self.head.insert(header::VARY, vary);
        let coding = HeaderValue::from_static(coding);
        self.head.insert(header::CONTENT_ENCODING, coding);
        self
    }
}
