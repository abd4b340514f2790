//! A URL of another service, which may carry credentials.

use std::fmt;

use url::Url;

use crate::{problem::Reason, secret::REDACTED};

/// An `http` or `https` URL with a host, and without a fragment.
///
/// It prints without its user information and query, which may be credentials; [`ServiceUrl::url`]
/// has them. Two are equal when they name the same resource with the same credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl(Url);

impl ServiceUrl {
    /// The whole URL, credentials included: for making requests, never for logs.
    pub fn url(&self) -> &Url {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        // The URL standard drops tabs and line ends and takes `http:host`; both are typing errors.
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Reason::new("is not a URL: it holds white space"));
        }
        if !text.contains("://") {
            return Err(Reason::new(
                "is not a URL that starts with http:// or https://",
            ));
        }
        let url = Url::parse(text).map_err(|why| Reason::new(format!("is not a URL: {why}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Reason::new(
                "is not a URL that starts with http:// or https://",
            ));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Reason::new("is a URL without a host"));
        }
        if url.fragment().is_some() {
            return Err(Reason::new(
                "is a URL with a fragment (`#...`), which is never sent",
            ));
        }
        Ok(Self(url))
    }

    /// As [`ServiceUrl::parse`], for a base that paths are appended to.
    pub(crate) fn parse_base(text: &str) -> Result<Self, Reason> {
        let this = Self::parse(text)?;
        if this.0.query().is_some() {
            return Err(Reason::new(
                "is a URL with a query (`?...`); paths are appended to it",
            ));
        }
        Ok(this)
    }

    /// As [`ServiceUrl::parse_base`], without credentials: these have keys of their own.
    pub(crate) fn parse_without_credentials(text: &str) -> Result<Self, Reason> {
        let this = Self::parse_base(text)?;
        if !this.0.username().is_empty() || this.0.password().is_some() {
            return Err(Reason::new(
                "is a URL with user information, which is not used here",
            ));
        }
        Ok(this)
    }

    /// A bare origin: scheme, host and port.
    pub(crate) fn parse_origin(text: &str) -> Result<Self, Reason> {
        let this = Self::parse_without_credentials(text)?;
        if this.0.path() != "/" {
            return Err(Reason::new(
                "is a URL with a path; only scheme, host and port are used",
            ));
        }
        Ok(this)
    }

    /// The URL `path` under this one. `path` starts with a slash.
    pub(crate) fn join(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        let joined = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&joined);
        Self(url)
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if shown.query().is_some() {
            shown.set_query(Some(REDACTED));
        }
        if !shown.username().is_empty() || shown.password().is_some() {
            let hidden = shown
                .set_password(None)
                .and_then(|()| shown.set_username(REDACTED));
            if hidden.is_err() {
                return f.write_str(REDACTED);
            }
        }
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_urls_with_a_host_are_taken() {
        let good = [
            ("plain", "http://minio:9000", "http://minio:9000/"),
            (
                "upper case",
                "HTTPS://S3.Example.COM/base/",
                "https://s3.example.com/base/",
            ),
            ("IPv6", "http://[::1]:9000", "http://[::1]:9000/"),
        ];
        for (name, text, expected) in good {
            let url = ServiceUrl::parse(text).map(|url| url.url().to_string());
            assert_eq!(url.ok().as_deref(), Some(expected), "case `{name}`: {text}");
        }
        let bad = [
            ("no scheme", "minio:9000"),
            ("no scheme, no port", "s3.example.com"),
            ("other scheme", "s3://bucket"),
            ("one slash", "http:/host"),
            ("no host", "http://"),
            ("no host but a port", "http://:9000"),
            ("bad port", "http://host:99999"),
            ("white space", "http://ho st"),
            ("line end", "http://host\n/x"),
            ("fragment", "http://host/#x"),
        ];
        for (name, text) in bad {
            assert!(ServiceUrl::parse(text).is_err(), "case `{name}`: {text}");
        }
    }

    #[test]
    fn what_a_use_does_not_allow_is_refused() {
        let with_query = "http://host/?a=b";
        let with_user = "http://user:pw@host/";
        let with_path = "http://host/path";
        assert!(ServiceUrl::parse(with_query).is_ok());
        assert!(ServiceUrl::parse_base(with_query).is_err());
        assert!(ServiceUrl::parse_base(with_user).is_ok());
        assert!(ServiceUrl::parse_without_credentials(with_user).is_err());
        assert!(ServiceUrl::parse_without_credentials(with_path).is_ok());
        assert!(ServiceUrl::parse_origin(with_path).is_err());
        assert!(ServiceUrl::parse_origin("https://edge.example.com:8443/").is_ok());
    }

    #[test]
    fn credentials_are_kept_and_not_shown() {
        let url = ServiceUrl::parse("https://me:hunter2@a.example/x?key=hunter3").unwrap();
        assert_eq!(url.url().password(), Some("hunter2"));
        let shown = "https://***@a.example/x?***";
        assert_eq!(
            (format!("{url}"), format!("{url:?}")),
            (shown.to_owned(), shown.to_owned())
        );
    }

    #[test]
    fn paths_are_appended_to_the_path_of_the_base() {
        for (base, expected) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("http://c/otlp", "http://c/otlp/v1/traces"),
            ("http://c/otlp/", "http://c/otlp/v1/traces"),
        ] {
            let joined = ServiceUrl::parse_base(base).unwrap().join("/v1/traces");
            assert_eq!(joined.url().as_str(), expected, "{base}");
        }
    }
}
