//! The duration of requests: the one measurement that each of them pays for.
//!
//! The usual requests, by far the most of all, find their histogram in a table; all others look it up by their labels.

use std::{sync::OnceLock, time::Duration};

use http::{Method, StatusCode};
use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Histogram},
};

use super::labels::{self, Ending, Route};

/// The statuses that have a place in the table: from here, so many.
const FIRST_STATUS: u16 = 200;
const STATUSES: usize = 400;

/// What is known of a request at its end.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What was asked for.
    pub method: &'a Method,
    /// Who answered.
    pub route: Route,
    /// The answer, if there was one.
    pub status: Option<StatusCode>,
    /// How the answer ended.
    pub ending: Ending,
    /// From the first look at the request to the end of its answer.
    pub took: Duration,
}

impl Request<'_> {
    fn labels(&self) -> Vec<KeyValue> {
        let mut labels = vec![
            KeyValue::new("http.request.method", labels::method(self.method)),
            KeyValue::new("http.route", self.route.as_str()),
        ];
        if let Some(status) = self.status {
            labels.push(KeyValue::new(
                "http.response.status_code",
                labels::status(status),
            ));
        }
        let failed = self.status.filter(StatusCode::is_server_error);
        // That we failed counts for more than that nobody waited for it.
        match (failed, self.ending) {
            (Some(status), _) => {
                let status = labels::status(status).to_string();
                labels.push(KeyValue::new("error.type", status));
            }
            (None, Ending::Whole) => {}
            (None, ending) => labels.push(KeyValue::new("error.type", ending.as_str())),
        }
        labels
    }

    /// Its place in the table, if it is one of the usual.
    fn place(&self) -> Option<usize> {
        let usual = self.route == Route::Deployment && self.ending == Ending::Whole;
        let row = match *self.method {
            Method::GET if usual => 0,
            Method::HEAD if usual => 1,
            _ => return None,
        };
        let column = usize::from(self.status?.as_u16().checked_sub(FIRST_STATUS)?);
        (column < STATUSES).then_some(row * STATUSES + column)
    }
}

/// Measures the duration of requests.
pub(super) struct Requests {
    histogram: Histogram<f64>,
    usual: Box<[OnceLock<BoundHistogram<f64>>]>,
}

impl Requests {
    pub(super) fn new(histogram: Histogram<f64>) -> Self {
        Self {
            histogram,
            usual: (0..2 * STATUSES).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(super) fn record(&self, request: &Request<'_>) {
        let seconds = request.took.as_secs_f64();
        match request.place().and_then(|place| self.usual.get(place)) {
            Some(usual) => usual
                .get_or_init(|| self.histogram.bind(&request.labels()))
                .record(seconds),
            None => self.histogram.record(seconds, &request.labels()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_failed() {
        let cases = [
            (Some(200), Ending::Whole, None),
            (Some(404), Ending::Whole, None),
            (Some(503), Ending::Whole, Some("503")),
            (Some(599), Ending::Whole, Some("500")),
            (Some(200), Ending::Cancelled, Some("cancelled")),
            (Some(200), Ending::Broken, Some("broken")),
            (Some(503), Ending::Cancelled, Some("503")),
            (None, Ending::Cancelled, Some("cancelled")),
        ];
        for (status, ending, expected) in cases {
            let request = Request {
                method: &Method::GET,
                route: Route::Deployment,
                status: status.map(|status| StatusCode::from_u16(status).unwrap()),
                ending,
                took: Duration::ZERO,
            };
            let labels = request.labels();
            let found = |name| labels.iter().find(|label| label.key.as_str() == name);
            let error = found("error.type").map(|label| label.value.as_str().into_owned());
            assert_eq!(error.as_deref(), expected, "{status:?}, {ending:?}");
            let said = found("http.response.status_code").is_some();
            assert_eq!(said, status.is_some(), "{status:?}");
        }
    }

    #[test]
    fn each_usual_request_has_a_place_of_its_own() {
        let mut places = std::collections::HashSet::new();
        for method in [Method::GET, Method::HEAD, Method::POST] {
            for status in 100..1000 {
                let request = Request {
                    method: &method,
                    route: Route::Deployment,
                    status: StatusCode::from_u16(status).ok(),
                    ending: Ending::Whole,
                    took: Duration::ZERO,
                };
                if let Some(place) = request.place() {
                    assert!(place < 2 * STATUSES);
                    assert!(places.insert(place), "{method} {status}");
                }
            }
        }
        assert_eq!(places.len(), 2 * STATUSES);
    }
}
