use proptest::prelude::*;

use super::*;

const MAP: &str = r#"<script type="importmap">{"imports":{"env:vars:shop.web.acme":"/zephyr-manifest.json"}}</script>"#;

fn inserted(html: &[u8]) -> Option<Vec<u8>> {
    insert_import_map(html, "shop.web.acme", "/zephyr-manifest.json")
}

/// In a document `@` marks where the map goes; one without it stays as it is.
fn check(name: &str, marked: &str) {
    let html = marked.replace('@', "");
    let expected = marked
        .contains('@')
        .then(|| marked.replace('@', MAP).into_bytes());
    let found = inserted(html.as_bytes());
    assert_eq!(
        found.as_deref().map(String::from_utf8_lossy),
        expected.as_deref().map(String::from_utf8_lossy),
        "case `{name}`"
    );
}

/// Each line: name of the case, document.
fn check_all(table: &str) {
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let (name, marked) = line.trim().split_once(": ").unwrap();
        check(name, marked);
    }
}

#[test]
fn before_what_imports() {
    check_all(
        r"
        preload first: <head>@<link rel=modulepreload href=a><script src=b></script></head>
        another link: <head><link rel=stylesheet href=a>@</head>
        upper case: <HEAD>@<SCRIPT SRC=a></SCRIPT></HEAD>
        classic script: <body>@<script>1</script></body>
        data block: <body>@<script type=application/ld+json>{}</script></body>
        no script: <html><head><title>x</title>@</head><body></body></html>
        no script, no head: <!doctype html><title>x</title>@<body class=a><p>x</html>
        after the head: <head></head><body><p>x</p>@<script src=a></script></body>
        fragment with a script: <div></div>@<script>1</script>
        self-closing means nothing: @<script src=a /><script></script>
        entities: &amp;&notanentity;&#x3c;script&#62; &lt @<script></script>
        odd tags: <>< a></><?x <script>?>@<script></script>
        ",
    );
}

#[test]
fn white_space() {
    for (name, marked) in [
        (
            "preload among others",
            "<head>@<link rel='preconnect\tMODULEPRELOAD' href=a></head>",
        ),
        (
            "carriage returns",
            "<head>\r\n\r<p a='\r\n'>\r\n@<script></script>\r\n</head>",
        ),
        (
            "in capitals and spaces",
            "<script></script><script TYPE='\n ImportMap '>{}</script>",
        ),
        ("empty", ""),
    ] {
        check(name, marked);
    }
}

#[test]
fn as_vite_writes_it() {
    check(
        "Vite",
        r#"<!doctype html>
<html lang="en">
  <head>
    <meta charset="UTF-8" />
    <title>Shop</title>
    @<script type="module" crossorigin src="/assets/main-D4UO4Bac.js"></script>
    <link rel="modulepreload" crossorigin href="/assets/style-D4yA0wCJ.js">
  </head>
  <body><div id="root"></div></body>
</html>
"#,
    );
}

#[test]
fn documents_that_stay_as_they_are() {
    check_all(
        r#"
        import map: <script type="importmap">{}</script><script></script>
        unquoted: <head><script type=importmap>{}</script></head>
        in references: <script type='&#105;mportmap'>{}</script>
        after the scripts: <script></script><body><script type=importmap>{}</script>
        text: just text
        fragment: <div><p>x</p></div>
        unfinished script tag: <div><script src=a
        only a body's end: </body></html>
        not HTML: {"a": "</head "}
        all of it a comment: <!-- <head></head><script></script>
        "#,
    );
}

#[test]
fn what_only_looks_like_it() {
    check_all(
        r#"
        comment: <!-- <script> </head> -->@<script></script>
        conditional comment: <!--[if IE]><script></script><![endif]-->@<script></script>
        revealed to all but old ones: <![if !IE]>@<script></script><![endif]>
        odd comments: <!--><p><!---><p><!-- --!><p><!doctype><!x <p>@<script></script>
        import map in a comment: <!-- <script type=importmap> -->@<script></script>
        attribute: <p title="<script></script>" a='</head>' b=<script>@<script></script>
        title: <title><script></head></title>@<script></script>
        textarea: <textarea><script type=importmap></script></textarea>@<script></script>
        style: <style>/*<script>*/</style>@<script></script>
        noscript: <noscript><script></script></noscript>@<script></script>
        iframe: <iframe srcdoc='<script>'><script></iframe>@<script></script>
        old raw text: <xmp><script></xmp><noembed><script></noembed>@<script></script>
        plaintext: @<body><plaintext></head><script></script>
        script in a script: @<script>a='<script type=importmap>'</script>
        escaped script: @<script><!--<script></script>--></script>
        map in a script's text: @<script>'<!--<script type=importmap></script>'</script>
        other type: @<script type=importmap2></script>
        type twice: @<script type=module type=importmap></script>
        empty type first: @<script type type=importmap></script>
        other attribute: @<script data-type=importmap id=importmap></script>
        end tag with attributes: </p type=importmap>@<script></script>
        rel of another element: <a rel=modulepreload></a>@<script></script>
        preload in an end tag: <head></link rel=modulepreload>@</head>
        "#,
    );
}

#[test]
fn templates_and_foreign_content() {
    check_all(
        r"
        template: <p>@<template><script></script></template><script></script>
        nested: @<template><template></template><script></script></template>
        template without scripts: <template><p></template>@<script></script>
        its own head: <head><template></head></template>@</head>
        a map that applies to nothing: @<template><script type=importmap></script></template><script></script>
        script in SVG: <body>@<svg><g><script>1</script></g></svg><script></script>
        SVG without scripts: <svg><path d=''/></svg>@<script></script>
        SVG of one tag: <svg/>@<script></script>
        CDATA: <svg><![CDATA[<script></svg>]]></svg>@<script></script>
        no CDATA in HTML: <![CDATA[<p>]]>@<script></script>
        CDATA in HTML in SVG: <svg><desc><![CDATA[<p>]]></desc></svg>@<script></script>
        title in SVG: @<svg><title><script></script></title></svg>
        style in SVG: @<svg><style><script></script></style></svg>
        textarea in HTML in SVG: <svg><foreignObject><textarea><script></textarea></foreignObject></svg>@<script></script>
        SVG left open: <svg><g><div>@<script></script>
        SVG left open to the end of its parent: <div>@<svg><g></div><script></script>
        SVG left open to the end of a paragraph: <p><svg><g></p>@<script></script>
        SVG left open by a font: <svg><font color=red><textarea><script></textarea>@<script></script>
        a font of SVG: @<svg><font><textarea><script></script></textarea></svg>
        a body in SVG is none: <svg><body>
        SVG left open in a template: @<template><svg><div></svg><script></script></template>
        SVG's end in a template: @<svg><desc><template></svg><script></script></template>
        math: <math><mi>x</mi><mtext><p></p></mtext></math>@<script></script>
        SVG in math: <math><annotation-xml><svg></svg></annotation-xml></math>@<script></script>
        preload in SVG is none: <svg><link rel=modulepreload></svg>@<script></script>
        head's end in SVG is none: <head><svg></head></svg>@</head>
        ",
    );
}

#[test]
fn bytes_that_are_no_text_stay() {
    let cases: [(&str, &[u8], &[u8]); 4] = [
        (
            "byte order mark",
            b"\xef\xbb\xbf<head>",
            b"<script></script></head>",
        ),
        (
            "Latin-1",
            b"<title>caf\xe9</title><meta content='\xff\xfe'>",
            b"<script>\xe9</script>",
        ),
        ("NUL", b"<p \0=\0>\0", b"<script\n></script>\0"),
        (
            "Shift JIS",
            b"<p>\x83\x5c\x82\xb1</p>",
            b"<script></script>",
        ),
    ];
    for (name, before, after) in cases {
        assert_eq!(
            inserted(&[before, after].concat()),
            Some([before, MAP.as_bytes(), after].concat()),
            "case `{name}`"
        );
    }
    let utf16: Vec<u8> = "\u{feff}<script></script>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(inserted(&utf16), None);
}

#[test]
fn the_map_cannot_end_its_script() {
    let map = import_map("a.b.c", "/</script><!--<script>\u{2028}\"%3C");
    assert_eq!(
        map,
        r#"<script type="importmap">{"imports":{"env:vars:a.b.c":"/\u003c/script>\u003c!--\u003cscript>\u2028\"%3C"}}</script>"#
    );
}

#[test]
fn nesting_is_followed_to_a_bound() {
    let deep = format!("{}{}", "<svg>".repeat(5000), "</math>".repeat(5000));
    assert_eq!(inserted(deep.as_bytes()), None);
    let html = format!("<p>{deep}<script></script>");
    let expected = format!("<p>{MAP}{deep}<script></script>");
    assert_eq!(inserted(html.as_bytes()), Some(expected.into_bytes()));
}

/// Pieces that put a tokenizer into every state.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"<",
        b">",
        b"/",
        b"=",
        b"'",
        b"\"",
        b" ",
        b"\r",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xe9",
        b"\xef\xbb\xbf",
        b"&",
        b"&lt",
        b";",
        b"a",
        b"<!--",
        b"-->",
        b"--!>",
        b"<!",
        b"<?",
        b"]]>",
        b"<![CDATA[",
        b"<!doctype html>",
        b"<html>",
        b"<head>",
        b"</head>",
        b"<body>",
        b"</body>",
        b"<script",
        b"<script>",
        b"</script>",
        b"</script",
        b" type=module",
        b" type='importmap'",
        b" type=",
        b"importmap",
        b"<link rel=modulepreload>",
        b"<svg>",
        b"</svg>",
        b"<svg/>",
        b"<title>",
        b"</title>",
        b"<desc>",
        b"</desc>",
        b"<math>",
        b"</math>",
        b"<mi>",
        b"</mi>",
        b"<template>",
        b"</template>",
        b"<style>",
        b"</style>",
        b"<textarea>",
        b"</textarea>",
        b"<noscript>",
        b"</noscript>",
        b"<div>",
        b"</div>",
        b"<p ",
        b"<plaintext>",
        b"&#x3c;",
    ];
    proptest::collection::vec(
        prop_oneof![
            9 => proptest::sample::select(pieces).prop_map(<[u8]>::to_vec),
            1 => any::<Vec<u8>>(),
        ],
        0..40,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn one_insertion_and_never_a_second(html in soup()) {
        if let Some(output) = inserted(&html) {
            let at = place(&html).unwrap();
            prop_assert_eq!(output.len(), html.len() + MAP.len());
            prop_assert_eq!(&output[..at], &html[..at]);
            prop_assert_eq!(&output[at..at + MAP.len()], MAP.as_bytes());
            prop_assert_eq!(&output[at + MAP.len()..], &html[at..]);
            prop_assert_eq!(inserted(&output), None);
        }
    }

    #[test]
    fn any_url_makes_one_valid_map(url: String) {
        let map = import_map("a.b.c", &url);
        let json = map.strip_prefix(r#"<script type="importmap">"#).unwrap().strip_suffix("</script>").unwrap();
        prop_assert!(!json.contains('<'));
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        prop_assert_eq!(&value, &serde_json::json!({"imports": {"env:vars:a.b.c": url}}));
    }
}
