use super::*;

const KEPT: &str = "public, max-age=31536000, immutable";
const ASKED_AGAIN: &str = "public, max-age=0, must-revalidate";

#[test]
fn names_with_a_fingerprint() {
    for path in [
        // Vite and Rollup.
        "index-BfR3x9aZ.js",
        "assets/index-BfR3x9aZ.js.map",
        "assets/about-BPyDdyMe.js",
        "assets/cart-B8ilRuPq.js",
        "assets/cart-CQBi9JzO.js",
        "assets/chart-D2R4bVLz.js",
        "assets/main-D4UO4Bac.js",
        "assets/style-D4yA0wCJ.js",
        "assets/style-D4yA0wCJ.css",
        "shop/assets/style-D4yA0wCJ.js",
        "chunks/lazy-C9JP4Gwu.js",
        "chunks/lazy-DUp8mI0Q.js",
        "fonts/inter-D2R4bVLz.woff2",
        "_astro/index.DUp8mI0Q.css",
        "assets/__federation_expose_Button-BPyDdyMe.js",
        "assets/x-B-OjCZyu.js",
        // webpack, Rspack, Parcel.
        "main.4f3c2a1b.chunk.css",
        "js/313.b3604347.js",
        "js/313.ba321e5d.js",
        "js/694.2f66f7ec.js",
        "js/694.da654363.js",
        "js/main.297da15d.js",
        "js/main.a7056906.js",
        "static/js/main.4f3c2a1b.js.LICENSE.txt",
        "static/media/logo.4f3c2a1b9d8e7f605a4b.svg",
        "4f3c2a1b9d8e7f605a4b.png",
        "4f3c2a1b9d8e7f60.js",
        "workbox-4f3c2a1b.js",
        "remoteEntry.4f3c2a1b.js",
        "application-4f3c2a1b9d8e7f605a4b4f3c2a1b9d8e7f605a4b4f3c2a1b9d8e7f605a4b1234.css",
        "data.4f3c2a1b.json",
        // esbuild.
        "main-5NQXH2AZ.js",
        "styles-RZ5GXIMD.css",
        "media/inter-Q2FY5X7A.woff2",
        // SvelteKit.
        "_app/immutable/entry/start.js",
        "base/_app/immutable/chunks/2.js",
    ] {
        assert_eq!(Policy::of(path, false).as_str(), KEPT, "{path}");
        assert_eq!(Policy::of(path, true).as_str(), KEPT, "{path}");
    }
}

#[test]
fn names_without_one() {
    for path in [
        // As the published clients upload them.
        ".well-known/apple-app-site-association",
        "data/@scope#frag?.txt",
        "data/empty.txt",
        "data/menu del d\u{ed}a (50%) & m\u{e1}s+m\u{e1}s.txt",
        "data/products.json",
        "data/\u{98a8}.txt",
        "favicon.svg",
        "main.js",
        "robots.txt",
        // Fingerprints that might as well be words: a round trip, and no harm.
        "assets/bg-B-OjCZyu.png",
        "assets/logo-hs-ezpTq.svg",
        "assets/main-UPV_Jr-f.js",
        "assets/style-YZkUMDJV.css",
        // Words, numbers, dates, versions.
        "jquery-3.7.1.min.js",
        "hero-background.png",
        "my-component.js",
        "font-awesome.css",
        "chart-december.js",
        "zh-Hans.json",
        "locale-yue-Hant.js",
        "assets/messages-zhHansCN.js",
        "2024-12-31.txt",
        "report-20241231.pdf",
        "report.20241231.pdf",
        "report-31dec2024.pdf",
        "report-1dec2024.pdf",
        "report.cafe2024.pdf",
        "photo-2024Jan1.jpg",
        "hero-BarChart.png",
        "assets/ui-MyAppBar.js",
        "assets/ui-ListView.js",
        "assets/menu-NavBarV2.js",
        "assets/layout-HeaderV2.js",
        "img/mock-iPhone6s.png",
        "img/doc-Page1Of2.png",
        "img/three-My3DView.png",
        "guide-A-To-Z-1.pdf",
        "img/photo-IMG_0001.jpg",
        "img/photo-DSC01234.jpg",
        "img/btn-ADD2CART.png",
        "img/icon-LICENSES.png",
        "img/product-ab123456.jpg",
        "img/product-a7056906.jpg",
        "img/banner.ad000123.png",
        "img/deadbeef.png",
        "img/x-deadbeef.png",
        "img/x.deadbeef.png",
        "img/face2face.png",
        "img/x-add2face.png",
        "img/550e8400-e29b-41d4-a716-446655440a0b.png",
        "img/logo-4f3c2a1.png",
        "users/4f3c2a1b9d8e7f605a4b1c2d.png",
        "posts/post-4f3c2a1b9d8e7f605a4b1c2d.json",
        "posts/4f3c2a1b9d8e7f605a4b1c2d3e4f5a6b.json",
        "posts/4f3c2a1b9d8e7f60.json",
        "img/4f3c2a1b.png",
        "BfR3x9aZ.js",
        "index-BfR3x9aZ",
        "index-BfR3x9aZ4.js",
        "index_BfR3x9aZ.js",
        "index-BfR3x9aZ/file.js",
        "index.BfR3x9aZ",
        "x-12345678.js",
        "x-\u{e9}\u{e9}\u{e9}\u{e9}.js",
        "app/immutable/x.js",
        ".js",
        "-.js",
        "..",
        "",
    ] {
        assert_eq!(Policy::of(path, false).as_str(), ASKED_AGAIN, "{path}");
        assert_eq!(Policy::of(path, true).as_str(), KEPT, "{path}");
    }
}

#[test]
fn never_kept_on_any_name() {
    for path in [
        "index.html",
        "about/index.html",
        "docs/guide/index.html",
        "INDEX.HTM",
        "page-BfR3x9aZ.html",
        "_app/immutable/x.html",
        "page.xhtml",
        "zephyr-manifest.json",
        "shop/zephyr-manifest.json",
        "mf-manifest.json",
        "mf-stats.json",
        "asset-manifest.json",
        "manifest.json",
        "site.webmanifest",
        "manifest-BfR3x9aZ.webmanifest",
        "remoteEntry.js",
        "assets/remoteEntry.js",
        "static/remoteentry.mjs",
        "sw.js",
        "Service-Worker.js",
        "firebase-messaging-sw.js",
        "ngsw-worker.js",
        "ngsw.json",
        "registerSW.js",
        "@mf-types.zip",
        "@mf-types.d.ts",
    ] {
        assert_eq!(Policy::of(path, false).as_str(), ASKED_AGAIN, "{path}");
        assert_eq!(Policy::of(path, true).as_str(), ASKED_AGAIN, "{path}");
    }
}
