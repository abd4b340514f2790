//! Which headers a deployment may set.
//!
//! Those by which a page tells the browser about itself. Not those of the message or of the connection, which the edge
//! alone knows; not those by which a page would get the cookies or logins of others on its domain; and of the `X-` names
//! none by which a program tells the proxy in front of it to do something.

/// Whether a deployment may set or remove a header. The name is in lower case.
pub(super) fn may_be_set(name: &str) -> bool {
    name.strip_prefix("x-").map_or_else(
        || is_for_browsers(name),
        |rest| !is_for_proxies(rest) && !matches!(rest, "content-type-options" | "request-id"),
    )
}

/// Whether a header says how long an answer may be kept, and by whom. The edge has rules of its own for pages.
pub(crate) fn governs_caching(name: &http::HeaderName) -> bool {
    matches!(name.as_str(), "cache-control" | "cdn-cache-control")
}

/// Whether browsers heed a header for more than the answer that has it: for all of the origin. Where deployments share
/// one, none may speak for the others.
pub(crate) fn is_for_the_whole_origin(name: &http::HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept-ch"
            | "critical-ch"
            | "nel"
            | "origin-agent-cluster"
            | "report-to"
            | "service-worker-allowed"
            | "strict-transport-security"
    )
}

fn is_for_browsers(name: &str) -> bool {
    matches!(
        name,
        "accept-ch"
            | "access-control-allow-headers"
            | "access-control-allow-methods"
            | "access-control-allow-origin"
            | "access-control-expose-headers"
            | "access-control-max-age"
            | "cache-control"
            | "cdn-cache-control"
            | "content-disposition"
            | "content-language"
            | "content-security-policy"
            | "content-security-policy-report-only"
            | "content-type"
            | "critical-ch"
            | "cross-origin-embedder-policy"
            | "cross-origin-embedder-policy-report-only"
            | "cross-origin-opener-policy"
            | "cross-origin-opener-policy-report-only"
            | "cross-origin-resource-policy"
            | "document-policy"
            | "document-policy-report-only"
            | "feature-policy"
            | "link"
            | "nel"
            | "no-vary-search"
            | "origin-agent-cluster"
            | "permissions-policy"
            | "permissions-policy-report-only"
            | "referrer-policy"
            | "report-to"
            | "reporting-endpoints"
            | "server-timing"
            | "service-worker-allowed"
            | "sourcemap"
            | "speculation-rules"
            | "strict-transport-security"
            | "supports-loading-mode"
            | "timing-allow-origin"
    )
}

/// By what follows `x-`: nginx, Apache, lighttpd, Perlbal, `LiteSpeed`, Varnish, Envoy, IIS and CDNs act upon such names, or
/// frameworks take them for what a proxy has said.
fn is_for_proxies(rest: &str) -> bool {
    const BEGINNINGS: [&str; 15] = [
        "accel-",
        "akamai-",
        "amz-",
        "amzn-",
        "envoy-",
        "favonius-",
        "forwarded",
        "http-method",
        "lighttpd-",
        "litespeed-",
        "original-",
        "real-ip",
        "reproxy-",
        "rewrite-",
        "sendfile",
    ];
    rest.starts_with("varnish") || BEGINNINGS.iter().any(|start| rest.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_set_what() {
        let allowed = [
            "access-control-allow-origin",
            "cache-control",
            "content-security-policy",
            "content-type",
            "link",
            "x-custom",
            "x-dns-prefetch-control",
            "x-frame-options",
            "x-robots-tag",
            "x-sourcemap",
            "x-ua-compatible",
        ];
        for name in allowed {
            assert!(may_be_set(name), "{name}");
        }
        let refused = [
            "accept-ranges",
            "access-control-allow-credentials",
            "age",
            "alt-svc",
            "basic-auth",
            "connection",
            "content-encoding",
            "content-length",
            "content-range",
            "date",
            "etag",
            "host",
            "keep-alive",
            "last-modified",
            "location",
            "proxy-authenticate",
            "refresh",
            "server",
            "set-cookie",
            "surrogate-control",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "vary",
            "www-authenticate",
            "x-accel-redirect",
            "x-akamai-edgescape",
            "x-amz-meta-a",
            "x-amzn-trace-id",
            "x-content-type-options",
            "x-envoy-upstream-service-time",
            "x-favonius-a",
            "x-forwarded",
            "x-forwarded-host",
            "x-http-method-override",
            "x-lighttpd-send-file",
            "x-litespeed-cache-control",
            "x-original-url",
            "x-real-ip",
            "x-reproxy-url",
            "x-request-id",
            "x-rewrite-url",
            "x-sendfile",
            "x-sendfile2",
            "x-varnish",
        ];
        for name in refused {
            assert!(!may_be_set(name), "{name}");
        }
    }
}
