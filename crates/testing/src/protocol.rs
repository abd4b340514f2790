//! The requests of a deployment, as the published clients and a control plane send them.

use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::sample::{SampleApp, asset_hash};

impl Client {
    /// Asks which assets an application has uploaded.
    pub async fn hash_list(&self, application_uid: &str) -> Reply {
        let query = form_encode(application_uid);
        let target = format!("/__get_application_hash_list__?application_uid={query}");
        self.get(&target).send().await
    }

    /// Uploads a file under its right hash.
    pub async fn upload_file(&self, token: &str, path: &str, content: &[u8]) -> Reply {
        let (hash, name) = (asset_hash(content, path), form_encode(path));
        // Clients write the path as Latin-1 and leave out what that cannot say.
        let latin1: Vec<u8> = path
            .chars()
            .filter_map(|c| u8::try_from(u32::from(c)).ok())
            .collect();
        self.request(
            Method::POST,
            &format!("/upload?type=file&hash={hash}&filename={name}"),
        )
        .token(token)
        .header("content-type", "application/octet-stream")
        .header("x-file-size", content.len().to_string())
        .header("x-file-path", latin1)
        .body(content.to_vec())
        .send()
        .await
    }

    /// Uploads a snapshot.
    pub async fn upload_snapshot(&self, token: &str, snapshot: &Value) -> Reply {
        let request = self.post("/upload?type=snapshot&skip_assets=true");
        request.token(token).json(snapshot).send().await
    }

    /// Publishes a snapshot under hostnames.
    pub async fn publish(
        &self,
        token: &str,
        application_uid: &str,
        snapshot_id: &str,
        hosts: &[&str],
    ) -> Reply {
        let body = json!({
            "app_version": {"application_uid": application_uid, "snapshot_id": snapshot_id},
            "urls": hosts,
            "url_ids": [],
            "jwt": token,
        });
        self.post("/upload?type=envs")
            .token(token)
            .json(&body)
            .send()
            .await
    }

    /// Uploads the files of an application that the edge does not list, up to six at once, and its snapshot. Returns the URL of the
    /// version.
    ///
    /// # Panics
    /// If an answer is not 200.
    pub async fn deploy(&self, token: &str, app: &SampleApp, snapshot: &Value) -> String {
        let uid = snapshot.get("application_uid").and_then(Value::as_str);
        let listed = self
            .hash_list(uid.expect("a snapshot names its application"))
            .await;
        let listed = listed.expect_status(200).json();
        let listed = listed.get("hashes").and_then(Value::as_array).cloned();
        let listed = listed.expect("the list has `hashes`");
        let missing = app.files().iter().filter(|(path, content)| {
            let hash = asset_hash(content, path);
            !listed.iter().any(|known| *known == hash)
        });
        let uploads = missing.map(|(path, content)| async move {
            let _stored = self
                .upload_file(token, path, content)
                .await
                .expect_status(200);
        });
        let uploads = futures::stream::iter(uploads);
        futures::StreamExt::for_each_concurrent(uploads, 6, |upload| upload).await;
        let reply = self
            .upload_snapshot(token, snapshot)
            .await
            .expect_status(200)
            .json();
        let url = reply.pointer("/urls/version").and_then(Value::as_str);
        url.unwrap_or_else(|| panic!("no urls.version in {reply}"))
            .to_owned()
    }
}

/// `application/x-www-form-urlencoded`, as `URLSearchParams` writes it.
fn form_encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::task::JoinSet;

    use super::*;
    use crate::background::Background;
    use crate::ports::ReservedPort;
    use crate::process::lock;

    /// The bytes of uploaded files by hash.
    type Stored = Arc<Mutex<BTreeMap<String, Bytes>>>;

    /// The part of an edge that a deployment needs; it refuses what the real one would.
    async fn edge(
        request: Request<Incoming>,
        stored: Stored,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        #[expect(
            clippy::disallowed_methods,
            reason = "the client beside it sends little"
        )]
        let body = body.collect().await.unwrap().to_bytes();
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(head.uri.query().unwrap().as_bytes())
                .into_owned()
                .collect();
        let field = |name: &str| query.get(name).map_or("", String::as_str);
        let sent = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let signed = sent("can_write_jwt") == Some("a token");
        let (status, answer) = match (head.uri.path(), field("type")) {
            ("/__get_application_hash_list__", _) if field("application_uid") == "a.b.c" => (
                200,
                json!({"hashes": lock(&stored).keys().collect::<Vec<_>>()}),
            ),
            ("/upload", "file") if signed => {
                let hash = asset_hash(&body, field("filename"));
                let right = hash == field("hash")
                    && sent("x-file-size") == Some(&body.len().to_string())
                    && lock(&stored).insert(hash, body).is_none();
                (if right { 200 } else { 422 }, json!({}))
            }
            ("/upload", "snapshot") if signed => {
                let snapshot: Value = serde_json::from_slice(&body).unwrap();
                (200, json!({"urls": {"version": snapshot["domain"]}}))
            }
            ("/upload", "envs") if signed => (200, serde_json::from_slice(&body).unwrap()),
            _ => (404, json!({})),
        };
        let response = Response::builder().status(status);
        Ok(response.body(Full::new(answer.to_string().into())).unwrap())
    }

    #[tokio::test]
    async fn a_deployment_sends_each_file_once() {
        let stored = Stored::default();
        let port = ReservedPort::new();
        let shared = Arc::clone(&stored);
        let _edge = Background::listen("edge", port.number(), |listener| async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| edge(request, Arc::clone(&shared)));
                connections
                    .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let client = Client::new(port.address());
        for build in [1, 2] {
            let app = SampleApp::build(30, build);
            let snapshot = app.snapshot("a.b.c", "ada-1.a.b.c", "http://edge.test");
            assert_eq!(
                client.deploy("a token", &app, &snapshot).await,
                "http://edge.test"
            );
            for (path, content) in app.files() {
                assert_eq!(lock(&stored)[&asset_hash(content, path)], content, "{path}");
            }
        }
        let published = client
            .publish("a token", "a.b.c", "ada-1.a.b.c", &["shop.test"])
            .await;
        let expected = json!({
            "app_version": {"application_uid": "a.b.c", "snapshot_id": "ada-1.a.b.c"},
            "urls": ["shop.test"],
            "url_ids": [],
            "jwt": "a token",
        });
        assert_eq!(published.expect_status(200).json(), expected);
    }

    #[test]
    fn names_are_encoded_as_clients_do() {
        // As recorded from a published client.
        assert_eq!(
            form_encode("data/menu del día (50%) & más+más.txt"),
            "data%2Fmenu+del+d%C3%ADa+%2850%25%29+%26+m%C3%A1s%2Bm%C3%A1s.txt"
        );
    }
}
