//! Which part of the edge answers a request.

use favonius_telemetry::instruments::Route;
use http::Method;

/// Through which of its ports an edge is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// The one that everybody uses. Metrics are there as well, or not.
    Public { metrics: bool },
    /// The one for metrics.
    Metrics,
    /// That of a relay, which other regions use. The same for metrics.
    Relay { metrics: bool },
}

/// Control routes win on every host, but only with their own methods: an application may well have a page `/upload`.
pub(crate) fn find(surface: Surface, method: &Method, path: &str) -> Route {
    let reads = *method == Method::GET || *method == Method::HEAD;
    match (surface, path) {
        (_, "/healthz") if reads => Route::Healthz,
        (_, "/readyz") if reads => Route::Readyz,
        (_, "/startupz") if reads => Route::Startupz,
        (
            Surface::Metrics | Surface::Relay { metrics: true } | Surface::Public { metrics: true },
            "/metrics",
        ) if reads => Route::Metrics,
        (Surface::Relay { .. }, "/upload") if *method == Method::POST => Route::Upload,
        // Nothing else is there; a relay has the control routes among these.
        (Surface::Metrics | Surface::Relay { .. }, _) => Route::Reserved,
        (Surface::Public { .. }, path) => public(method, path),
    }
}

fn public(method: &Method, path: &str) -> Route {
    let posts = *method == Method::POST;
    let reads = *method == Method::GET || *method == Method::HEAD;
    match path {
        "/upload" if posts => Route::Upload,
        "/publish" if posts => Route::Publish,
        "/__get_application_hash_list__" if reads => Route::HashList,
        _ if path.starts_with("/__favonius/") => Route::Reserved,
        _ => Route::Deployment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let with = Surface::Public { metrics: true };
        let without = Surface::Public { metrics: false };
        let own = Surface::Metrics;
        let relay = Surface::Relay { metrics: true };
        let apart = Surface::Relay { metrics: false };
        let (get, head, post) = (Method::GET, Method::HEAD, Method::POST);
        let cases = [
            (with, &post, "/upload", Route::Upload),
            (with, &get, "/upload", Route::Deployment),
            (with, &post, "/upload/", Route::Deployment),
            (with, &post, "/publish", Route::Publish),
            (
                with,
                &get,
                "/__get_application_hash_list__",
                Route::HashList,
            ),
            (with, &head, "/healthz", Route::Healthz),
            (with, &post, "/healthz", Route::Deployment),
            (with, &get, "/metrics", Route::Metrics),
            (with, &post, "/metrics", Route::Deployment),
            (with, &get, "/metrics/", Route::Deployment),
            (without, &get, "/metrics", Route::Deployment),
            (with, &get, "/__favonius/x", Route::Reserved),
            (with, &get, "/__favonius", Route::Deployment),
            (with, &get, "/index.html", Route::Deployment),
            (own, &get, "/metrics", Route::Metrics),
            (own, &get, "/readyz", Route::Readyz),
            (own, &post, "/upload", Route::Reserved),
            (own, &get, "/index.html", Route::Reserved),
            (own, &get, "/__favonius/log-level", Route::Reserved),
            (relay, &get, "/metrics", Route::Metrics),
            (apart, &get, "/metrics", Route::Reserved),
            (apart, &post, "/upload", Route::Upload),
            (relay, &get, "/healthz", Route::Healthz),
            (relay, &post, "/upload", Route::Upload),
            (relay, &get, "/upload", Route::Reserved),
            (relay, &post, "/publish", Route::Reserved),
            (relay, &get, "/index.html", Route::Reserved),
            (relay, &get, "/__favonius/log-level", Route::Reserved),
        ];
        for (surface, method, path, expected) in cases {
            let found = find(surface, method, path);
            assert_eq!(found, expected, "{surface:?} {method} {path}");
        }
    }
}
