//! Chromium, and what it saw.

use std::time::{Duration, Instant};

use favonius_testing::require_tool;
use serde_json::{Value, json};

use super::script::Script;

/// What the script may take for all steps, and we for the script.
const BROWSE_SECONDS: u64 = 60;
const DEADLINE: Duration = Duration::from_secs(BROWSE_SECONDS + 30);

/// A visit to be made: a URL, then steps.
#[derive(Debug)]
#[must_use = "nothing happens until it starts"]
pub(crate) struct Visit {
    url: String,
    steps: Vec<Value>,
}

/// A visit that is under way.
#[derive(Debug)]
pub(crate) struct Visiting {
    script: Script,
    url: String,
    started: Instant,
}

/// What the page shows at the end, and what went over the wire.
#[derive(Debug)]
pub(crate) struct Page {
    seen: Value,
    pub(crate) took: Duration,
}

/// A response that the page got.
#[derive(Debug)]
pub(crate) struct Response<'p> {
    pub(crate) url: &'p str,
    pub(crate) status: u64,
    pub(crate) method: &'p str,
}

impl Visit {
    /// Opens a path of a host.
    pub(crate) fn new(host: &str, path: &str) -> Self {
        Self {
            url: format!("http://{host}{path}"),
            steps: Vec::new(),
        }
    }

    /// Waits until the page shows these texts.
    pub(crate) fn texts(self, texts: &[&str]) -> Self {
        texts
            .iter()
            .fold(self, |visit, text| visit.step("waitText", text))
    }

    pub(crate) fn click(self, selector: &str) -> Self {
        self.step("click", selector)
    }

    /// Keeps what a script gives, see [`Page::results`].
    pub(crate) fn evaluate(self, script: &str) -> Self {
        self.step("evaluate", script)
    }

    /// Stops here until it is told to go on.
    pub(crate) fn pause(self) -> Self {
        self.step("pause", "here")
    }

    pub(crate) fn reload(self) -> Self {
        self.step("reload", "")
    }

    fn step(mut self, action: &str, argument: &str) -> Self {
        self.steps.push(json!({action: argument}));
        self
    }

    pub(crate) fn start(self) -> Visiting {
        let options = [
            ("--url", self.url.clone()),
            ("--steps", Value::Array(self.steps).to_string()),
            ("--timeout", BROWSE_SECONDS.to_string()),
            ("--chromium", require_tool("chromium").display().to_string()),
        ];
        let args = options
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value]);
        Visiting {
            script: Script::start("browse.mjs", &args.collect::<Vec<_>>()),
            url: self.url,
            started: Instant::now(),
        }
    }

    /// Makes the visit, which must go well, see [`Visiting::end_well`].
    pub(crate) async fn go(self) -> Page {
        self.start().end_well().await
    }
}

impl Visiting {
    /// Waits until it stops in a pause.
    pub(crate) async fn paused(&mut self) {
        match self.script.next(DEADLINE).await {
            Some(line) if line["paused"] == "here" => {}
            other => panic!("{}: no pause but {other:?}", self.url),
        }
    }

    /// Tells it to go on.
    pub(crate) async fn go_on(&mut self) {
        self.script.line().await;
    }

    /// Waits for the end of the visit.
    ///
    /// # Panics
    /// If a text did not come, a request failed or was answered with an error, a script threw, or the console shows an
    /// error or a warning.
    pub(crate) async fn end_well(self) -> Page {
        let (url, started) = (self.url, self.started);
        let mut ended = self.script.wait(DEADLINE).await;
        let seen = ended.lines.pop();
        let page = Page {
            seen: seen.unwrap_or_else(|| panic!("{url}: no result\n{}", ended.stderr)),
            took: started.elapsed(),
        };
        let refused = page.responses().filter(|response| response.status >= 400);
        let refused = refused.collect::<Vec<_>>();
        let seen = &page.seen;
        let none = json!([]);
        assert!(
            seen["ok"] == true
                && refused.is_empty()
                && ["console", "pageErrors", "failedRequests"]
                    .iter()
                    .all(|list| seen[list] == none),
            "{url}: step {}, shows {:#}, console {:#}, errors {:#}, refused {refused:#?}, failed requests {:#}",
            seen["failure"],
            seen["text"],
            seen["console"],
            seen["pageErrors"],
            seen["failedRequests"],
        );
        page
    }
}

impl Page {
    /// What the page shows.
    pub(crate) fn text(&self) -> &str {
        self.seen["text"].as_str().unwrap_or_default()
    }

    /// Where it is now.
    pub(crate) fn url(&self) -> &str {
        self.seen["url"].as_str().unwrap_or_default()
    }

    /// What scripts gave.
    pub(crate) fn results(&self) -> &Value {
        &self.seen["results"]
    }

    pub(crate) fn responses(&self) -> impl Iterator<Item = Response<'_>> {
        let responses = self.seen["responses"].as_array().into_iter().flatten();
        responses.map(|response| Response {
            url: response["url"].as_str().unwrap_or_default(),
            status: response["status"].as_u64().unwrap_or_default(),
            method: response["method"].as_str().unwrap_or_default(),
        })
    }
}
