use super::*;

/// `name: value` a line, `! name` for one that is removed.
fn told(file: &str, path: &str) -> String {
    let (headers, problems) = Headers::parse(file.as_bytes());
    assert_eq!(problems, [], "{file}");
    let lines = headers
        .of(path)
        .into_iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}: {}", value.to_str().unwrap()),
            None => format!("! {name}"),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// The numbers of the lines with problems.
fn wrong_lines(file: &str) -> Vec<String> {
    let (_, problems) = Headers::parse(file.as_bytes());
    let lines = problems.iter().map(|problem| {
        let text = problem.to_string();
        text.split([' ', ':']).nth(2).unwrap().to_owned()
    });
    lines.collect()
}

#[test]
fn examples_of_netlify() {
    let file = "
# a path:
/templates/index.html
  # headers for that path:
  X-Frame-Options: DENY
# another path:
/templates/index2.html
  X-Frame-Options: SAMEORIGIN
/*
  cache-control: max-age=0
  cache-control: no-cache
  cache-control: no-store
  cache-control: must-revalidate
/:placeholder/x
  X-Placeholder: yes
";
    let caching = "cache-control: max-age=0, no-cache, no-store, must-revalidate";
    let cases = [
        (
            "templates/index.html",
            format!("x-frame-options: DENY\n{caching}"),
        ),
        (
            "templates/index2.html",
            format!("x-frame-options: SAMEORIGIN\n{caching}"),
        ),
        ("", caching.to_owned()),
        ("a/x", format!("{caching}\nx-placeholder: yes")),
    ];
    for (path, expected) in cases {
        assert_eq!(told(file, path), expected, "path `{path}`");
    }
}

#[test]
fn examples_of_cloudflare() {
    let file = "
/secure/page
  X-Frame-Options: DENY
  Referrer-Policy: no-referrer
/static/*
  Access-Control-Allow-Origin: *
  X-Robots-Tag: nosnippet
/*
  Content-Security-Policy: default-src 'self';
/*.jpg
  ! Content-Security-Policy
/movies/:title
  x-movie-name: You are watching \":title\"
/files/*.pdf
  Link: <https://example.com/:splat.pdf>; rel=\"canonical\"
";
    let csp = "content-security-policy: default-src 'self';";
    let cases = [
        (
            "secure/page",
            format!("x-frame-options: DENY\nreferrer-policy: no-referrer\n{csp}"),
        ),
        (
            "static/image.jpg",
            "access-control-allow-origin: *\nx-robots-tag: nosnippet\n! content-security-policy"
                .to_owned(),
        ),
        (
            "movies/the lost, \"one\"",
            format!("{csp}\nx-movie-name: You are watching \"the%20lost%2C%20%22one%22\""),
        ),
        (
            "files/a/é>; rel=x.pdf",
            format!(
                "{csp}\nlink: <https://example.com/a/%C3%A9%3E%3B%20rel%3Dx.pdf>; rel=\"canonical\""
            ),
        ),
        ("movies/a/b", csp.to_owned()),
    ];
    for (path, expected) in cases {
        assert_eq!(told(file, path), expected, "path `{path}`");
    }
}

#[test]
fn what_is_removed_can_be_set_again() {
    let cases = [
        ("add", "/*\n X-A: 1\n x-a: 2", "x-a: 1, 2"),
        ("remove", "/*\n X-A: 1\n ! x-a", "! x-a"),
        ("remove what is not there", "/*\n !X-A", "! x-a"),
        ("set again", "/*\n X-A: 1\n/b\n ! X-A\n X-A: 2", "x-a: 2"),
        ("other path", "/*\n X-A: 1\n/c\n ! X-A", "x-a: 1"),
        ("without indentation", "/b\nX-A: 1\n! X-B", "x-a: 1\n! x-b"),
        ("indented path", " /c\n X-A: 1\n /b\n X-A: 2", "x-a: 2"),
        (
            "colons",
            "/:p\n X-A: a:p :p :q http://x:80",
            "x-a: ab b :q http://x:80",
        ),
        ("nothing", "", ""),
    ];
    for (name, file, expected) in cases {
        assert_eq!(told(file, "b"), expected, "case `{name}`");
    }
}

#[test]
fn lines_that_are_left_out() {
    let cases: [(&str, &str, &[&str]); 14] = [
        ("no path", "X-A: 1", &["1"]),
        ("no header", "/a\n/b\n X-A: 1\n/c", &["1", "4"]),
        ("refused", "/a\n Set-Cookie: a=b\n X-A: 1", &["2"]),
        ("refused to remove", "/a\n ! X-Content-Type-Options", &["2"]),
        ("name", "/a\n X A: 1", &["2"]),
        ("no name", "/a\n : 1\n !", &["2", "3"]),
        ("no value", "/a\n X-A:", &["2"]),
        ("no colon", "/a\n X-A", &["2"]),
        ("not ASCII", "/a\n X-A: é", &["2"]),
        ("control character", "/a\n X-A: \u{1}", &["2"]),
        ("host", "https://a.test/*\n X-A: 1", &["1"]),
        ("pattern", "/:a.html\n X-A: 1", &["1"]),
        ("no slash", "a/*\n X-A: 1", &["1"]),
        ("two stars and their text", "/*/*\n X-A: :splat", &[]),
    ];
    for (name, file, expected) in cases {
        assert_eq!(wrong_lines(file), expected, "case `{name}`");
    }
}

#[test]
fn headers_do_not_fall_to_another_path() {
    for unusable in ["/:a.html", "a/*", "https://a.test/*", "/\u{1}"] {
        let file = format!("/*\n X-A: 1\n{unusable}\n X-A: 2\n X-B: 3\n/b\n X-C: 4");
        let (headers, problems) = Headers::parse(file.as_bytes());
        assert_eq!(problems.len(), 1, "{unusable}");
        let names = headers.of("b").into_iter().map(|(name, _)| name);
        assert!(names.eq(["x-a", "x-c"]), "{unusable}");
    }
}

#[test]
fn limits() {
    let file = "/*\n X-A: 1\n".repeat(1002);
    let (headers, problems) = Headers::parse(file.as_bytes());
    assert_eq!(headers.0.len(), 1000);
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "_headers, line 2001: the file has more than 1,000 paths: it is ignored from this line on"
        ]
    );

    let file = "/*\n".to_owned() + &" X-A: 1\n".repeat(10_002);
    assert_eq!(wrong_lines(&file), ["10002"]);

    let many = (0..200).fold("/*\n".to_owned(), |file, n| file + &format!(" X-{n}: 1\n"));
    assert_eq!(told(&many, "").lines().count(), MAX_NAMES);

    let long = "/*\n".to_owned() + &format!(" X-A: {}\n", "v".repeat(1900)).repeat(50);
    assert!(told(&long, "").len() < MAX_SIZE + 50);
    let repeated = format!("/*\n X-A: {}\n X-B: 1", ":splat".repeat(300));
    assert_eq!(told(&repeated, &"a".repeat(1000)), "x-b: 1");
}
