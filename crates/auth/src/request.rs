//! What names a request in a token that is for this one only.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};

/// Stands before everything else, so that a digest never means something else anywhere.
const PURPOSE: &str = "favonius request 1";

/// The digest of a request: SHA-256, in hex. Who sends it and who takes it make it of the same texts: the method, path and
/// query as they stand in the request, and where the body is part of it the SHA-256 of the body in hex.
///
/// ```
/// let digest = |body| favonius_auth::request_digest("POST", "/upload?type=names", body);
/// assert_eq!(digest(None), digest(None));
/// assert_ne!(digest(None), digest(Some("")));
/// ```
pub fn request_digest(method: &str, path_and_query: &str, body_sha256_hex: Option<&str>) -> String {
    let mut context = Context::new(&SHA256);
    let parts = [PURPOSE, method, path_and_query].into_iter();
    for part in parts.chain(body_sha256_hex) {
        // The length before each keeps apart what would read the same in a row.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let digest = context.finish();
    let mut hex = String::with_capacity(64);
    for byte in digest.as_ref() {
        // A text takes whatever is written to it.
        write!(hex, "{byte:02x}").ok();
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_at_its_place() {
        let cases = [
            ("POST", "/upload?a", None),
            ("GET", "/upload?a", None),
            ("POST", "/upload?b", None),
            ("POST", "/upload?a", Some("")),
            ("POST", "/upload?a", Some("b")),
            ("POST", "/upload?ab", Some("")),
            ("POST/", "upload?a", None),
        ];
        let digests: std::collections::HashSet<String> = cases
            .iter()
            .map(|(method, path, body)| request_digest(method, path, *body))
            .collect();
        assert_eq!(digests.len(), cases.len());
    }

    #[test]
    fn it_stays_the_same_for_ever() {
        // Made apart, with another implementation: workers of different versions have to agree.
        assert_eq!(
            request_digest("POST", "/upload?type=names", Some("00")),
            "fbfbb4240f080a490e953285805f00c7fb5342d2bc985c0a0c0382fae3d18e37"
        );
    }
}
