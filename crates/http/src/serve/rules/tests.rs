use http::StatusCode;
use proptest::prelude::*;

use super::*;

#[test]
fn nothing_is_said_without_files() {
    let (rules, problems) = Rules::parse(None, None);
    assert_eq!(problems, []);
    assert!(!rules.has_headers() && !rules.has_redirects());
    assert_eq!(rules.headers_for("a"), []);
    let asked = Asked {
        path: "a",
        query: None,
        prefix: "",
    };
    assert_eq!(rules.redirect(&asked, false), None);
}

#[test]
fn problems_of_both_files_are_told() {
    let (rules, problems) = Rules::parse(
        Some(b"/*\n Set-Cookie: a=b\n X-A: \xff\n X-A: 1"),
        Some(b"/a /b\n/c"),
    );
    assert!(rules.has_headers() && rules.has_redirects());
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "_headers, line 2: a deployment may not set `Set-Cookie`: remove the line (the documentation lists what it may set)",
            "_headers, line 3: the line is not UTF-8: save the file as UTF-8",
            "_redirects, line 2: the rule has no target: write `/from /to`",
        ]
    );
}

#[test]
fn a_thousand_rules_are_cheap() {
    let redirects = "/:a/:b/* a=:c other /new/:splat\n/* /:splat\n".repeat(500);
    let headers = format!("/{}b*c\n X-A: 1\n", "*a".repeat(220)).repeat(1000);
    let (rules, problems) = Rules::parse(Some(headers.as_bytes()), Some(redirects.as_bytes()));
    assert_eq!(problems, []);
    let path = format!("old/x/{}", "a".repeat(8000));
    let query = "a=b&".repeat(2000);
    let asked = Asked {
        path: &path,
        query: Some(&query),
        prefix: "",
    };
    // Some milliseconds each; a matcher that goes back would take years, and this test with it.
    for _ in 0..10 {
        assert_eq!(rules.headers_for(&path), []);
        assert_eq!(rules.redirect(&asked, false), None);
    }
}

/// Rules that are mostly well-formed, with these beginnings of targets and these statuses.
fn rule(starts: &str, statuses: &str) -> impl Strategy<Value = String> {
    let from = "/(x/|:a/)?(\\*|:b)?";
    let target = format!("({starts})(:splat|:a|:b|:q|/|\\.|x|%2e|\\\\|@|:){{0,4}}(\\?y=:q)?(#:a)?");
    let target = proptest::string::string_regex(&target).unwrap();
    let status = proptest::string::string_regex(&format!("({statuses})!?")).unwrap();
    (from, "( q=:q)?", target, status)
        .prop_map(|(from, query, target, status)| format!("{from}{query} {target} {status}"))
        .prop_filter("it is read", |rule| {
            Rules::parse(None, Some(rule.as_bytes())).0.has_redirects()
        })
}

fn redirect() -> impl Strategy<Value = String> {
    let starts = r"/|/|/|//|/\\|https://example\.com/|http://h\.test:81/";
    rule(starts, "301|302|303|307|308")
}

fn rewrite() -> impl Strategy<Value = String> {
    rule("/", "200|404")
}

fn path() -> impl Strategy<Value = String> {
    "(x/|a|/|\\.|\\.\\./|\\\\|evil\\.com|@|:|\t|\r\n|%2f|\\PC){0,8}"
}

fn query() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("q=(%2F|/|%5C|\\\\|%0D%0A|\\.|%2e|evil\\.com|@|#|&|\\PC){0,6}")
}

proptest! {
    #[test]
    fn any_bytes_are_read(headers: Vec<u8>, redirects: Vec<u8>, path: String) {
        let (rules, _) = Rules::parse(Some(&headers), Some(&redirects));
        rules.headers_for(&path);
        rules.redirect(&Asked { path: &path, query: Some(&path), prefix: "" }, false);
    }

    #[test]
    fn any_lines_are_read(
        headers in "(/|\\*|:a|\n|\r\n| |X-A: |! |:splat|Link|Set-Cookie:|https://|\\PC){0,40}",
        redirects in "(/|\\*|:a|\n| |a=|301|!|:splat|//|https://|\\.\\.|\\PC){0,40}",
        path in path(),
    ) {
        let (rules, _) = Rules::parse(Some(headers.as_bytes()), Some(redirects.as_bytes()));
        for (name, value) in rules.headers_for(&path) {
            prop_assert!(name.as_str().starts_with("x-") || name == "link", "{}", name);
            prop_assert!(value.is_none_or(|value| value.to_str().is_ok()));
        }
        rules.redirect(&Asked { path: &path, query: Some(&path), prefix: "" }, false);
    }

    #[test]
    fn a_redirect_leaves_the_host_only_for_that_of_the_rule(
        rule in redirect(),
        path in path(),
        query in query(),
        prefix in prop_oneof!["", "/__zephyr/v1/t/key"],
    ) {
        let (rules, _) = Rules::parse(None, Some(rule.as_bytes()));
        let asked = Asked { path: &path, query: query.as_deref(), prefix: &prefix };
        if let Some(Redirect::To { location, status }) = rules.redirect(&asked, false) {
            prop_assert!(status.is_redirection());
            let location = location.to_str().unwrap();
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{}", location);
            let target = rule.split(' ').find(|word| word.starts_with("http"));
            let rest = match target {
                Some(target) if target.starts_with("https") => location.strip_prefix("https://example.com/"),
                Some(_) => location.strip_prefix("http://h.test:81/"),
                None => location.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('/')),
            };
            prop_assert!(rest.is_some(), "{}", location);
            prop_assert!(target.is_some() || !rest.unwrap().starts_with(['/', '\\']), "{}", location);
            // Only a query could have a backslash, where it is one.
            prop_assert!(!location.split(['?', '#']).next().unwrap().contains('\\'), "{}", location);
        }
    }

    #[test]
    fn a_rewrite_stays_inside(rule in rewrite(), path in path(), query in query()) {
        let (rules, _) = Rules::parse(None, Some(rule.as_bytes()));
        let asked = Asked { path: &path, query: query.as_deref(), prefix: "" };
        if let Some(Redirect::Rewrite { path, status, .. }) = rules.redirect(&asked, false) {
            prop_assert!(matches!(status, StatusCode::OK | StatusCode::NOT_FOUND));
            prop_assert!(!path.starts_with('/'));
            prop_assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{}", path);
            prop_assert!(!path.chars().any(|c| c == '\\' || c.is_control()), "{}", path);
        }
    }

    #[test]
    fn only_forced_rules_hold_before_files(lines in proptest::collection::vec(prop_oneof![redirect(), rewrite()], 1..4), path in path()) {
        let file = lines.join("\n");
        let forced: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.ends_with('!')).collect();
        let (rules, _) = Rules::parse(None, Some(file.as_bytes()));
        let (only, _) = Rules::parse(None, Some(forced.join("\n").as_bytes()));
        let asked = Asked { path: &path, query: None, prefix: "" };
        prop_assert_eq!(rules.redirect(&asked, true), only.redirect(&asked, false));
    }

    #[test]
    fn what_is_followed_once_is_not_followed_to_itself(rule in redirect(), path in path()) {
        let (rules, _) = Rules::parse(None, Some(rule.as_bytes()));
        let asked = Asked { path: &path, query: None, prefix: "" };
        if let Some(Redirect::To { location, .. }) = rules.redirect(&asked, false) {
            let own = format!("/{}", path.split(['?', '#']).next().unwrap());
            prop_assert_ne!(location.to_str().unwrap(), own);
        }
    }

    #[test]
    fn no_header_is_set_that_may_not_be(name in "[a-zA-Z-]{1,20}|[xX]-[a-zA-Z-]{1,12}", value in "[ -~]{1,20}") {
        let file = format!("/*\n {name}: {value}\n ! {name}\n");
        let (rules, problems) = Rules::parse(Some(file.as_bytes()), None);
        let changed = rules.headers_for("a");
        prop_assert!(changed.is_empty() || problems.len() < 2);
        for (name, _) in changed {
            prop_assert!(!matches!(name.as_str(), "set-cookie" | "location" | "vary" | "etag" | "x-sendfile"));
        }
    }
}
