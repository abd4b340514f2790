//! The URL of a bucket.

use url::{Host, Url};

use crate::InvalidOptions;

/// The URL under which the bucket's objects stand, without a slash at its end: `https://host/bucket` (path style) or
/// `https://bucket.host`.
pub(crate) fn bucket_url(
    endpoint: &str,
    bucket: &str,
    path_style: bool,
) -> Result<String, InvalidOptions> {
    let refused = |why: &str| InvalidOptions::Endpoint { why: why.into() };
    check_bucket(bucket, path_style)?;
    let mut url = Url::parse(endpoint.trim()).map_err(|error| InvalidOptions::Endpoint {
        why: format!("is not a URL ({error})"),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("holds a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("has a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path_style {
        url.set_path(&format!("{path}/{bucket}"));
        return Ok(url.into());
    }
    let Some(Host::Domain(host)) = url.host() else {
        return Err(refused(
            "is an IP address, which cannot have a bucket before it: use path style",
        ));
    };
    let host = format!("{bucket}.{host}");
    url.set_host(Some(&host))
        .map_err(|error| InvalidOptions::Endpoint {
            why: format!("has no room for the bucket before its host ({error})"),
        })?;
    url.set_path(&path);
    Ok(url.as_str().trim_end_matches('/').into())
}

/// The names that some service takes. Each has rules of its own beyond that; it tells.
fn check_bucket(bucket: &str, path_style: bool) -> Result<(), InvalidOptions> {
    let why = if bucket.is_empty() || bucket.len() > 255 {
        "must have 1 to 255 characters"
    } else if !bucket
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    {
        "may have letters, digits, `-`, `.` and `_` only"
    } else if bucket.starts_with('.') {
        "begins with a dot"
    } else if !path_style && bucket.bytes().any(|b| b.is_ascii_uppercase() || b == b'_') {
        "has upper-case letters or underscores, which cannot stand in a hostname: use path style"
    } else {
        return Ok(());
    };
    Err(InvalidOptions::Bucket {
        bucket: bucket.chars().take(255).collect(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_buckets() {
        let cases = [
            (
                "path style",
                "https://s3.example.com",
                true,
                "https://s3.example.com/b",
            ),
            (
                "a slash at the end",
                "https://s3.example.com/",
                true,
                "https://s3.example.com/b",
            ),
            ("a port", "http://minio:9000", true, "http://minio:9000/b"),
            (
                "an address",
                "http://127.0.0.1:9000",
                true,
                "http://127.0.0.1:9000/b",
            ),
            (
                "an IPv6 address",
                "http://[::1]:9000",
                true,
                "http://[::1]:9000/b",
            ),
            (
                "under a path",
                "https://example.com/s3/",
                true,
                "https://example.com/s3/b",
            ),
            (
                "blanks around it",
                " http://minio:9000 ",
                true,
                "http://minio:9000/b",
            ),
            (
                "virtual host",
                "https://s3.example.com",
                false,
                "https://b.s3.example.com",
            ),
            (
                "virtual host, port",
                "http://s3.test:9000/",
                false,
                "http://b.s3.test:9000",
            ),
            (
                "virtual host, path",
                "http://s3.test/x/",
                false,
                "http://b.s3.test/x",
            ),
        ];
        for (name, endpoint, path_style, expected) in cases {
            let url = bucket_url(endpoint, "b", path_style).unwrap();
            assert_eq!(url, expected, "case `{name}`");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_being_repeated() {
        let cases = [
            ("no scheme", "s3.example.com", true, "is not a URL"),
            ("empty", "", true, "is not a URL"),
            ("another scheme", "ftp://s3", true, "neither http nor https"),
            (
                "a bucket URL",
                "s3://bucket",
                true,
                "neither http nor https",
            ),
            ("a password", "https://me:hidden@s3", true, "a password"),
            ("a query", "https://s3?key=hidden", true, "a query"),
            (
                "address, virtual host",
                "http://10.0.0.1",
                false,
                "use path style",
            ),
            (
                "IPv6, virtual host",
                "http://[::1]",
                false,
                "use path style",
            ),
        ];
        for (name, endpoint, path_style, expected) in cases {
            let error = bucket_url(endpoint, "b", path_style)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "case `{name}`: {error}");
            assert!(!error.contains("hidden"), "case `{name}`: {error}");
        }
    }

    #[test]
    fn names_of_buckets() {
        let cases = [
            ("usual", "my-assets.2", true, true),
            ("old ones on AWS", "My_Assets", true, false),
            ("empty", "", false, false),
            ("with a path", "a/b", false, false),
            ("parent", "..", false, false),
            ("not ASCII", "büro", false, false),
            ("a host trick", "b@evil.test", false, false),
        ];
        for (name, bucket, in_path, in_host) in cases {
            for (path_style, valid) in [(true, in_path), (false, in_host)] {
                let result = bucket_url("http://s3.test", bucket, path_style);
                assert_eq!(
                    result.is_ok(),
                    valid,
                    "case `{name}`, {path_style}: {result:?}"
                );
            }
        }
    }
}
