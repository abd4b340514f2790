use super::*;

const NO_PREFIX: &str = "";

fn read(file: &str) -> Redirects {
    let (redirects, problems) = Redirects::parse(file.as_bytes());
    assert_eq!(problems, [], "{file}");
    redirects
}

/// `301 location`, `200 path`, with ` by *` behind it, or `none`.
fn told(redirects: &Redirects, url: &str, prefix: &str, forced_only: bool) -> String {
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url, None),
    };
    let path = path.strip_prefix('/').unwrap();
    let asked = Asked {
        path,
        query,
        prefix,
    };
    match redirects.find(&asked, forced_only) {
        None => "none".to_owned(),
        Some(Redirect::To { status, location }) => {
            format!("{} {}", status.as_u16(), location.to_str().unwrap())
        }
        Some(Redirect::Rewrite {
            path,
            status,
            by_splat,
        }) => {
            let by = if by_splat { " by *" } else { "" };
            format!("{} {path}{by}", status.as_u16())
        }
    }
}

#[test]
fn examples_of_netlify() {
    let redirects = read(
        "
# Redirects from what the browser requests to what we serve
/home              /
/blog/my-post.php  /blog/my-post # a comment
/news              /blog
/cuties            https://www.petsofnetlify.com
/my-redirect       /                302
/ecommerce         /store-closed    404
/pass-through      /index.html      200
/news/:month/:date/:year/:slug  /blog/:year/:month/:date/:slug
/news/*            /blog/:splat
/articles id=:id tag=:tag /posts/:tag/:id 301
/articles id=:id /posts/:id 301
/articles        /posts 301
/store id=:id      /blog/:id        301
/path/* param1=:value1 /otherpath/:value1/:splat 301
/pass/*            https://other.example/:splat 307
/en/*              /en/404.html     404
/blog/title-with-typo    /blog/typo-free-title
/app/*             /app/index.html  200
",
    );
    let cases = [
        ("/home", "301 /"),
        ("/home/", "301 /"),
        ("/home?a=b", "301 /?a=b"),
        ("/blog/my-post.php", "301 /blog/my-post"),
        ("/cuties", "301 https://www.petsofnetlify.com/"),
        ("/my-redirect", "302 /"),
        ("/ecommerce", "404 store-closed"),
        ("/pass-through?a=b", "200 index.html"),
        ("/news/02/12/2004/my-story", "301 /blog/2004/02/12/my-story"),
        (
            "/news/02/12/2004/my-story/",
            "301 /blog/2004/02/12/my-story",
        ),
        ("/news/2004/x", "301 /blog/2004/x"),
        ("/news/", "301 /blog"),
        ("/articles?tag=t&id=1", "301 /posts/t/1?tag=t&id=1"),
        ("/articles/?id=1", "301 /posts/1?id=1"),
        ("/articles?id=", "301 /posts?id="),
        ("/articles", "301 /posts"),
        ("/store?id=a/b&id=2", "301 /blog/a%2Fb?id=a/b&id=2"),
        ("/store", "none"),
        ("/path/a/b?param1=1", "301 /otherpath/1/a/b?param1=1"),
        ("/path?param1=1", "301 /otherpath/1/?param1=1"),
        ("/pass/a b", "307 https://other.example/a%20b"),
        ("/en/nothing", "404 en/404.html by *"),
        ("/blog/title-with-typo/", "301 /blog/typo-free-title"),
        ("/app", "200 app/index.html by *"),
        ("/app/x", "200 app/index.html by *"),
        ("/application", "none"),
        ("/", "none"),
    ];
    for (url, expected) in cases {
        assert_eq!(told(&redirects, url, NO_PREFIX, false), expected, "{url}");
    }
}

#[test]
fn examples_of_cloudflare() {
    let redirects = read(
        "
/home301 / 301
/home302 / 302
/querystrings /?query=string 301
/twitch https://twitch.tv
/trailing /trailing/ 301
/notrailing/ /nottrailing 301
/page/ /page2/#fragment 301
/blog/* https://blog.my.domain/:splat
/products/:code/:name /products?code=:code&name=:name
/movies/:title /media/:title
",
    );
    let cases = [
        ("/home301", "301 /"),
        ("/querystrings?a=b", "301 /?query=string"),
        ("/twitch", "301 https://twitch.tv/"),
        // The edge itself puts slashes where files need them.
        ("/trailing", "none"),
        ("/notrailing/", "301 /nottrailing"),
        ("/page/?a", "301 /page2/?a#fragment"),
        ("/blog/a/b", "301 https://blog.my.domain/a/b"),
        ("/products/10/a&b c", "301 /products?code=10&name=a%26b%20c"),
        ("/movies/x?y", "301 /media/x?y"),
    ];
    for (url, expected) in cases {
        assert_eq!(told(&redirects, url, NO_PREFIX, false), expected, "{url}");
    }
}

#[test]
fn single_rules() {
    // Rule, request, expected.
    let cases = [
        ("default", "/a /b", "/a", "301 /b"),
        ("root", "/ /b 303", "/", "303 /b"),
        ("308", "/a /b 308", "/a", "308 /b"),
        ("encoded", "/caf%C3%A9 /b", "/café", "301 /b"),
        ("target", "/a /é%20", "/a", "301 /%C3%A9%20"),
        ("rewrite to it", "/a /é%20.html 200", "/a", "200 é .html"),
        ("other case", "/a /b", "/A", "none"),
        ("loop", "/* /:splat", "/a/b?c", "none"),
        ("loop at the root", "/* /", "/", "none"),
        ("loop at a slash", "/a/ /a", "/a/", "none"),
        ("loop with a fragment", "/a /a#x", "/a", "none"),
        ("no loop", "/* /x", "/a", "301 /x"),
        ("query only", "/a /a?x=1", "/a", "301 /a?x=1"),
        ("query only, there", "/a /a?x=1", "/a?x=1", "none"),
        ("query taken away", "/a /a?", "/a?x=1", "301 /a"),
        ("query taken away, there", "/a /a?", "/a", "none"),
        (
            "renamed",
            "/s q=:q /s?term=:q",
            "/s?q=a+b%26c",
            "301 /s?term=a%20b%26c",
        ),
        ("wanted value", "/a x=1 /b", "/a?x=1&y", "301 /b?x=1&y"),
        ("other value", "/a x=1 /b", "/a?x=2", "none"),
        ("any value", "/a x /b?", "/a?x=2", "301 /b"),
        ("no value", "/a x= /b?", "/a?x", "301 /b"),
        (
            "wanted, encoded",
            "/a x=%C3%A9 /b?",
            "/a?x=%C3%A9",
            "301 /b",
        ),
        (
            "host",
            "/* https://x.test:8443/y/:splat?z#:splat",
            "/a",
            "301 https://x.test:8443/y/a?z#a",
        ),
        (
            "host alone",
            "/a http://x.test?b=c",
            "/a",
            "301 http://x.test/?b=c",
        ),
        (
            "other host",
            "/x/* /:splat",
            "/x//evil.test",
            "301 /evil.test",
        ),
        (
            "other host again",
            "/x/* /:splat",
            "/x///evil.test/",
            "301 /evil.test/",
        ),
        (
            "other host by path",
            "/* /:splat",
            "//evil.test",
            "301 /evil.test",
        ),
        (
            "other host by query",
            "/x u=:u /:u",
            "/x?u=//evil.test",
            "301 /%2F%2Fevil.test?u=//evil.test",
        ),
        ("backslash", "/x u=:u /:u", "/x?u=%5Cevil.test", "none"),
        ("line break", "/x u=:u /:u", "/x?u=a%0D%0Ab", "none"),
        (
            "line break in a query",
            "/x u=:u /?v=:u",
            "/x?u=a%0D%0Ab",
            "301 /?v=a%0D%0Ab",
        ),
        (
            "sent query",
            "/a /b",
            "/a?x=é\"<#",
            "301 /b?x=%C3%A9%22%3C%23",
        ),
        ("parent", "/x u=:u /a/:u", "/x?u=..", "none"),
        (
            "parent, rewritten",
            "/x u=:u /a/:u 200",
            "/x?u=../../b",
            "none",
        ),
        (
            "parent, put together",
            "/x u=:u /a/.:u/b 200",
            "/x?u=.",
            "none",
        ),
        (
            "slash in a segment",
            "/x u=:u /a/:u 200",
            "/x?u=b/c",
            "200 a/b/c",
        ),
        ("prefix", "/news* /:splat", "/newsletter", "301 /letter"),
        ("not a placeholder", "/a:b /c", "/a:b", "301 /c"),
        (
            "status of a rewrite",
            "/* /404.html 404",
            "/x",
            "404 404.html by *",
        ),
    ];
    for (name, rule, url, expected) in cases {
        assert_eq!(
            told(&read(rule), url, NO_PREFIX, false),
            expected,
            "case `{name}`"
        );
    }
}

#[test]
fn order_and_force() {
    let redirects = read("/a /1\n/a /2 302!\n/* /3 200\n/b /4 301!\n/c /c 301!\n/c /5 200!");
    let cases = [
        ("/a", false, "301 /1"),
        ("/a", true, "302 /2"),
        ("/b", false, "200 3 by *"),
        ("/b", true, "301 /4"),
        ("/c", true, "200 5"),
        ("/d", true, "none"),
    ];
    for (url, forced_only, expected) in cases {
        assert_eq!(
            told(&redirects, url, NO_PREFIX, forced_only),
            expected,
            "{url}"
        );
    }
}

#[test]
fn below_a_prefix() {
    let redirects = read("/a/* /b/:splat\n/c https://x.test/\n/d /e 200\n/f /f");
    let cases = [
        ("/a//x", "301 /key/b//x"),
        ("/c", "301 https://x.test/"),
        ("/d", "200 e"),
        ("/f", "none"),
    ];
    for (url, expected) in cases {
        assert_eq!(told(&redirects, url, "/key", false), expected, "{url}");
    }
}

#[test]
fn rules_that_are_left_out() {
    let cases = [
        ("no target", "/a", "no target"),
        ("no target, comment", "/a # /b", "no target"),
        (
            "status for a target",
            "/* 200",
            "no target before its status",
        ),
        ("no slash", "a /b", "begins with a slash"),
        ("host on the left", "https://x.test/a /b", "one host"),
        ("query on the left", "/a?b=c /d", "`?`"),
        ("fragment on the left", "/a#b /d", "`#`"),
        ("star inside", "/a/*/b /c", "at the end"),
        ("target without a slash", "/a b", "no target"),
        (
            "target of another scheme",
            "/a ftp://x.test/",
            "begins with",
        ),
        ("script", "/a javascript://x", "begins with"),
        ("no scheme", "/a //x.test/", "another host"),
        ("backslash", "/a /\\x.test/", "backslash"),
        ("only backslashes", "/a \\\\x.test/", "backslash"),
        ("encoded backslash", "/a /%5Cx.test/", "backslash"),
        ("parent", "/a /b/../c", "`..`"),
        ("encoded parent", "/a /b/%2e%2e/c", "`..`"),
        ("encoded line break", "/a /b%0A", "control"),
        ("placeholder for a host", "/:a https://:a/", "host"),
        ("placeholder in a host", "/:a https://x.:a.test/", "host"),
        ("placeholder behind a host", "/:a https://x.test:a/", "host"),
        ("splat behind a host", "/* https://x.test:splat", "host"),
        ("user", "/a https://x@y.test/", "host"),
        ("no host", "/a https:///b", "host"),
        ("not ASCII", "/a https://é.test/", "host"),
        ("port", "/a https://x.test:99999/", "host"),
        ("unknown name", "/:a /:b", "`b`"),
        ("no star", "/a /:splat", "`splat`"),
        ("unknown name in a query", "/:a /?b=:b", "`b`"),
        ("name twice", "/:a b=:a /:a", "twice"),
        ("percent", "/a /100%", "`%25`"),
        (
            "another host with 200",
            "/api/* https://x.test/:splat 200",
            "not fetched",
        ),
        (
            "another host with 404",
            "/api/* https://x.test/ 404",
            "not fetched",
        ),
        ("fragment with 200", "/a /b#c 200", "`#`"),
        ("status", "/a /b 418", "418"),
        ("no status", "/a /b 3O1", "`3O1`"),
        ("country", "/ /nz 302 Country=nz", "everybody"),
        ("language", "/ /de 302 Language=de", "everybody"),
        (
            "role",
            "/admin/* /admin/:splat 200! Role=admin",
            "everybody",
        ),
        ("cookie, no status", "/ /x Cookie=a", "everybody"),
        ("two statuses", "/a /b 301 302", "`302`"),
        ("empty name", "/a =b /c", "parameter"),
    ];
    for (name, rule, reason) in cases {
        let (redirects, problems) = Redirects::parse(format!("{rule}\n/z /y").as_bytes());
        assert_eq!(redirects.0.len(), 1, "case `{name}`");
        let told = problems.iter().map(ToString::to_string).collect::<String>();
        assert!(
            told.starts_with("_redirects, line 1: ") && told.contains(reason),
            "case `{name}`: {told}"
        );
    }
}

#[test]
fn limits() {
    let (redirects, problems) = Redirects::parse("/a /b\n".repeat(1005).as_bytes());
    assert_eq!(redirects.0.len(), 1000);
    assert_eq!(problems.len(), 1);
    let long = read(&format!("/* /x/{}\n/* /y", ":splat".repeat(300)));
    let url = format!("/{}", "a".repeat(1000));
    assert_eq!(told(&long, &url, NO_PREFIX, false), "301 /y");
}
