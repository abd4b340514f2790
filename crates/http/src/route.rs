//! Which part of the edge answers a request.

use http::Method;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Upload,
    Publish,
    HashList,
    Healthz,
    Readyz,
    Startupz,
    /// Below `/__favonius/`, where no application's files are served.
    Reserved,
    /// A deployment, by hostname or route key.
    Deployment,
}

impl Route {
    /// A fixed name, fit for a span or a metric label: never the path itself.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Upload => "/upload",
            Self::Publish => "/publish",
            Self::HashList => "/__get_application_hash_list__",
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Startupz => "/startupz",
            Self::Reserved => "/__favonius/*",
            Self::Deployment => "/*",
        }
    }
}

/// Control routes win on every host, but only with their own methods: an application may well have a page `/upload`.
pub(crate) fn find(method: &Method, path: &str) -> Route {
    let reads = *method == Method::GET || *method == Method::HEAD;
    let posts = *method == Method::POST;
    match path {
        "/upload" if posts => Route::Upload,
        "/publish" if posts => Route::Publish,
        "/__get_application_hash_list__" if reads => Route::HashList,
        "/healthz" if reads => Route::Healthz,
        "/readyz" if reads => Route::Readyz,
        "/startupz" if reads => Route::Startupz,
        _ if path.starts_with("/__favonius/") => Route::Reserved,
        _ => Route::Deployment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let cases = [
            (Method::POST, "/upload", Route::Upload),
            (Method::GET, "/upload", Route::Deployment),
            (Method::POST, "/upload/", Route::Deployment),
            (Method::POST, "/publish", Route::Publish),
            (
                Method::GET,
                "/__get_application_hash_list__",
                Route::HashList,
            ),
            (Method::HEAD, "/healthz", Route::Healthz),
            (Method::POST, "/healthz", Route::Deployment),
            (Method::GET, "/__favonius/x", Route::Reserved),
            (Method::GET, "/__favonius", Route::Deployment),
            (Method::GET, "/index.html", Route::Deployment),
        ];
        for (method, path, expected) in cases {
            assert_eq!(find(&method, path), expected, "{method} {path}");
        }
    }
}
