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
    let encode = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_clients_do() {
        // As recorded from a published client.
        assert_eq!(
            form_encode("data/menu del día (50%) & más+más.txt"),
            "data%2Fmenu+del+d%C3%ADa+%2850%25%29+%26+m%C3%A1s%2Bm%C3%A1s.txt"
        );
    }
}
