//! Which media type an asset has, from its name alone.
//!
//! Every answer carries `X-Content-Type-Options: nosniff`, so a wrong type is a broken page: a browser runs no script,
//! applies no style and imports no JSON that is called something else.

use http::HeaderValue;

const BYTES: &str = "application/octet-stream";
const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The value of `Content-Type` for the asset at this path.
pub(crate) fn media_type(path: &str) -> HeaderValue {
    if let Some(known) = known(path) {
        return HeaderValue::from_static(known);
    }
    let guess = extension(path)
        .and_then(|extension| mime_guess::from_ext(extension).first_raw())
        .unwrap_or(BYTES);
    if guess.starts_with("text/") {
        // No charset leaves browsers to guess one from the reader's language.
        return HeaderValue::try_from(format!("{guess}; charset=utf-8"))
            .unwrap_or(HeaderValue::from_static(TEXT));
    }
    HeaderValue::from_static(guess)
}

/// Whether the asset at this path is an HTML document (`text/html`).
pub(crate) fn is_html(path: &str) -> bool {
    known(path) == Some(HTML)
}

/// Whether the last segment of a path ends in the extension of a kind of file that builds are made of.
///
/// Only these count, and not everything behind a dot, because applications have routes such as `/users/john.doe`,
/// `/v1.2` and `/sites/example.com`.
pub(crate) fn names_a_file(path: &str) -> bool {
    known(path).is_some()
}

/// Whether bytes of this type get smaller by content coding.
pub(crate) fn is_compressible(media_type: &HeaderValue) -> bool {
    let essence = media_type
        .as_bytes()
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default();
    essence.starts_with(b"text/")
        || essence.ends_with(b"+json")
        || essence.ends_with(b"+xml")
        || matches!(
            essence,
            b"application/json"
                | b"application/json5"
                | b"application/xml"
                | b"application/yaml"
                | b"application/toml"
                | b"application/wasm"
                | b"application/vnd.apple.mpegurl"
                | b"application/vnd.ms-fontobject"
                | b"application/x-subrip"
                | b"application/x-sh"
                | b"application/x-sql"
                | b"application/rtf"
                | b"font/ttf"
                | b"font/otf"
                | b"font/collection"
                | b"image/bmp"
                | b"image/x-icon"
                | b"model/obj"
                | b"model/mtl"
        )
}

/// What stands behind the last dot of the last segment.
fn extension(path: &str) -> Option<&str> {
    let (_, extension) = file_name(path).rsplit_once('.')?;
    Some(extension).filter(|extension| !extension.is_empty())
}

/// The last segment of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The type of what builds are made of. Where this differs from common tables, the reason stands beside it.
fn known(path: &str) -> Option<&'static str> {
    let name = file_name(path);
    let Some(extension) = extension(path) else {
        // Apple fetches it under this very name and wants it as JSON.
        return (name == "apple-app-site-association").then_some(JSON);
    };
    let mut buffer = [0; 12];
    let lower = buffer.get_mut(..extension.len())?;
    lower.copy_from_slice(extension.as_bytes());
    lower.make_ascii_lowercase();
    text(name, lower).or_else(|| binary(lower))
}

fn text(name: &str, extension: &[u8]) -> Option<&'static str> {
    Some(match extension {
        b"html" | b"htm" | b"shtml" => HTML,
        b"xhtml" => "application/xhtml+xml; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"js" | b"mjs" | b"cjs" | b"jsx" => JAVASCRIPT,
        b"json" | b"map" => JSON,
        b"webmanifest" => "application/manifest+json",
        b"jsonld" => "application/ld+json",
        b"geojson" => "application/geo+json",
        // Without charset: it would outrank the encoding that the document itself declares (RFC 7303).
        b"xml" | b"xsl" | b"xslt" => "application/xml",
        b"rss" => "application/rss+xml",
        b"atom" => "application/atom+xml",
        b"txt" | b"text" | b"log" | b"tsx" | b"mts" | b"cts" | b"glsl" | b"vert" | b"frag" => TEXT,
        b"wgsl" => "text/wgsl; charset=utf-8",
        b"md" | b"markdown" => "text/markdown; charset=utf-8",
        b"csv" => "text/csv; charset=utf-8",
        b"ics" => "text/calendar; charset=utf-8",
        b"vtt" => "text/vtt; charset=utf-8",
        b"yaml" | b"yml" => "application/yaml",
        b"toml" => "application/toml",
        // TypeScript's declarations, against segments of a video stream, which have the older claim to `.ts`.
        b"ts" if name.ends_with(".d.ts") => TEXT,
        b"ts" => "video/mp2t",
        b"srt" => "application/x-subrip",
        b"m3u8" => "application/vnd.apple.mpegurl",
        b"mpd" => "application/dash+xml",
        b"gltf" => "model/gltf+json",
        b"obj" => "model/obj",
        b"mtl" => "model/mtl",
        b"svg" => "image/svg+xml",
        _ => return None,
    })
}

fn binary(extension: &[u8]) -> Option<&'static str> {
    Some(match extension {
        b"wasm" => "application/wasm",
        b"woff" => "font/woff",
        b"woff2" => "font/woff2",
        b"ttf" => "font/ttf",
        b"otf" => "font/otf",
        b"ttc" => "font/collection",
        b"eot" => "application/vnd.ms-fontobject",
        b"png" => "image/png",
        b"apng" => "image/apng",
        b"jpg" | b"jpeg" => "image/jpeg",
        b"gif" => "image/gif",
        b"webp" => "image/webp",
        b"avif" => "image/avif",
        b"jxl" => "image/jxl",
        b"heic" => "image/heic",
        b"heif" => "image/heif",
        b"ico" | b"cur" => "image/x-icon",
        b"bmp" => "image/bmp",
        b"tif" | b"tiff" => "image/tiff",
        b"ktx2" => "image/ktx2",
        b"mp4" | b"m4v" => "video/mp4",
        b"webm" => "video/webm",
        b"ogv" => "video/ogg",
        b"mov" => "video/quicktime",
        b"mp3" => "audio/mpeg",
        b"m4a" => "audio/mp4",
        b"aac" => "audio/aac",
        b"ogg" | b"oga" | b"opus" => "audio/ogg",
        b"wav" => "audio/wav",
        b"flac" => "audio/flac",
        b"glb" => "model/gltf-binary",
        b"stl" => "model/stl",
        b"usdz" => "model/vnd.usdz+zip",
        b"pdf" => "application/pdf",
        b"zip" => "application/zip",
        // Served as themselves, never as the coding of another asset.
        b"gz" | b"svgz" => "application/gzip",
        b"zst" => "application/zstd",
        b"doc" => "application/msword",
        b"xls" => "application/vnd.ms-excel",
        b"ppt" => "application/vnd.ms-powerpoint",
        b"docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        b"xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        b"pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        // Brotli has no registered type. A native application's bundle is JavaScript or bytecode, as its build made it.
        b"br" | b"bundle" | b"hbc" | b"bin" | b"data" => BYTES,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn types_by_name() {
        let cases = [
            ("index.html", "text/html; charset=utf-8"),
            ("INDEX.HTML", "text/html; charset=utf-8"),
            ("old.htm", "text/html; charset=utf-8"),
            ("assets/style-YZkUMDJV.css", "text/css; charset=utf-8"),
            ("assets/main-D4UO4Bac.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.cjs", "text/javascript; charset=utf-8"),
            ("main.js.map", "application/json"),
            ("zephyr-manifest.json", "application/json"),
            ("mf-manifest.json", "application/json"),
            ("site.webmanifest", "application/manifest+json"),
            (".well-known/apple-app-site-association", "application/json"),
            (".well-known/assetlinks.json", "application/json"),
            (".well-known/security.txt", "text/plain; charset=utf-8"),
            ("data/風.txt", "text/plain; charset=utf-8"),
            ("favicon.svg", "image/svg+xml"),
            ("favicon.ico", "image/x-icon"),
            ("a.woff2", "font/woff2"),
            ("a.Woff", "font/woff"),
            ("app.wasm", "application/wasm"),
            ("@mf-types.zip", "application/zip"),
            ("@mf-types.d.ts", "text/plain; charset=utf-8"),
            ("live/segment-1.ts", "video/mp2t"),
            ("exposed/button.bundle", "application/octet-stream"),
            ("index.android.hbc", "application/octet-stream"),
            ("main.js.gz", "application/gzip"),
            ("main.js.br", "application/octet-stream"),
            ("feed.xml", "application/xml"),
            // From the general table.
            ("a.sass", "text/x-sass; charset=utf-8"),
            ("app.apk", "application/vnd.android.package-archive"),
            // Unknown.
            ("LICENSE", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("", "application/octet-stream"),
            ("dir.html/", "application/octet-stream"),
            ("dir.html/file", "application/octet-stream"),
            ("a.b-very-long-extension", "application/octet-stream"),
            ("a.é", "application/octet-stream"),
        ];
        for (path, expected) in cases {
            assert_eq!(media_type(path), expected, "{path}");
        }
    }

    #[test]
    fn compressible_types() {
        for path in [
            "a.html",
            "a.css",
            "a.js",
            "a.json",
            "a.map",
            "a.svg",
            "a.wasm",
            "a.ttf",
            "a.otf",
            "a.eot",
            "a.ico",
            "a.xml",
            "a.rss",
            "a.txt",
            "a.webmanifest",
            "a.gltf",
            "a.sass",
            "a.yaml",
        ] {
            assert!(is_compressible(&media_type(path)), "{path}");
        }
        for path in [
            "a.png", "a.jpg", "a.webp", "a.woff", "a.woff2", "a.mp4", "a.zip", "a.gz", "a.br",
            "a.svgz", "a.pdf", "a.bin", "a.bundle", "a.hbc", "a", "a.glb", "a.usdz",
        ] {
            assert!(!is_compressible(&media_type(path)), "{path}");
        }
    }

    #[test]
    fn only_html_is_html() {
        for (path, expected) in [
            ("a.html", true),
            ("a.HTM", true),
            ("a.xhtml", false),
            ("a.html.gz", false),
            ("html", false),
        ] {
            assert_eq!(is_html(path), expected, "{path}");
        }
    }

    #[test]
    fn routes_are_not_files() {
        let cases = [
            ("assets/x.js", true),
            ("a/b.PNG", true),
            ("report.pdf", true),
            ("users/john.doe", false),
            ("docs/v1.2", false),
            ("@user", false),
            ("sites/example.com", false),
            ("a.js/b", false),
            ("about/", false),
            ("", false),
        ];
        for (path, expected) in cases {
            assert_eq!(names_a_file(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_name_has_a_type(path in ".*") {
            prop_assert!(media_type(&path).to_str().unwrap().contains('/'));
        }
    }
}
