use favonius_contract::SnapshotDocument;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// All of the rules, one after the other.
fn resolve<'a>(
    snapshot: &'a Snapshot,
    replacement: Option<AssetRef>,
    path: &'a str,
    wants: Wants,
) -> Option<Resolved<'a>> {
    named(snapshot, replacement, path).or_else(|| fallback(snapshot, path, wants))
}

/// The size of an asset tells which one was found.
fn snapshot(kind: &str, paths: &[&str]) -> Snapshot {
    let assets: serde_json::Map<_, _> = paths
        .iter()
        .enumerate()
        .map(|(size, path)| {
            let entry = json!({"hash": "ab".repeat(32), "size": size});
            ((*path).to_owned(), entry)
        })
        .collect();
    let document = json!({
        "application_uid": "shop.web.acme",
        "snapshot_id": "alice-42.shop.web.acme",
        "type": kind,
        "assets": assets,
    });
    SnapshotDocument::parse(document.to_string().into_bytes())
        .unwrap()
        .into_snapshot()
}

/// `200 path`, `shell path`, `404 path`, `308 path` or `none`.
fn answer(
    snapshot: &Snapshot,
    replacement: Option<AssetRef>,
    path: &str,
    navigation: bool,
) -> String {
    match resolve(snapshot, replacement, path, Wants { navigation }) {
        Some(Resolved::Asset {
            path,
            index,
            asset,
            role,
        }) => {
            assert_eq!(
                index.and_then(|index| snapshot.asset_at(index)),
                snapshot
                    .find(&path)
                    .or_else(|| snapshot.find(snapshot.manifest_path()?))
                    .filter(|_| Some(asset) != replacement)
                    .and_then(|(index, _)| snapshot.asset_at(index)),
            );
            if Some(asset) != replacement {
                let own = snapshot
                    .asset(&path)
                    .or_else(|| snapshot.asset(snapshot.manifest_path()?));
                assert_eq!(own, Some(asset), "{path}");
            }
            let label = match role {
                Role::Named => "200",
                Role::Shell => "shell",
                Role::NotFoundPage => "404",
            };
            format!("{label} {path}")
        }
        Some(Resolved::Redirect { location_path }) => format!("308 {location_path}"),
        None => "none".to_owned(),
    }
}

/// The cells of a table whose lines are cases.
pub(super) fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    let lines = table.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        cells.try_into().expect("as many cells as the test reads")
    })
}

/// Each line: name of the case, path, whether it is a navigation (`nav`) or not (`get`), answer.
fn check(snapshot: &Snapshot, table: &str) {
    for [name, path, mode, expected] in rows(table) {
        let path = path.strip_prefix('/').unwrap();
        assert_eq!(
            answer(snapshot, None, path, mode == "nav"),
            expected,
            "case `{name}`: {path}"
        );
    }
}

#[test]
fn an_application_with_a_shell() {
    let snapshot = snapshot(
        "csr",
        &[
            "index.html",
            "about.html",
            "about/team/index.html",
            "docs/guide/index.html",
            "both.html",
            "both/index.html",
            "data/menú (50%)/index.html",
            "assets/main.js",
            "zephyr-manifest.json",
        ],
    );
    check(
        &snapshot,
        "
        exact                    | /assets/main.js            | get | 200 assets/main.js
        exact page               | /index.html                | nav | 200 index.html
        root                     | /                          | nav | 200 index.html
        root, no navigation      | /                          | get | 200 index.html
        directory                | /docs/guide/               | nav | 200 docs/guide/index.html
        directory, no slash      | /docs/guide                | nav | 308 /docs/guide/
        encoded again            | /data/menú (50%)           | get | 308 /data/men%C3%BA%20(50%25)/
        without .html            | /about                     | get | 200 about.html
        file before directory    | /both                      | get | 200 both.html
        directory before file    | /both/                     | get | 200 both/index.html
        slash is no .html        | /about/                    | get | none
        route                    | /users/5                   | nav | shell index.html
        route with slash         | /users/5/                  | nav | shell index.html
        directory without page   | /docs/                     | nav | shell index.html
        not a navigation         | /users/5                   | get | none
        missing script           | /assets/old.js             | get | none
        letter case counts       | /Index.html                | get | none
        two slashes at the start | //docs/guide               | get | none
        two slashes within       | /docs//guide               | nav | shell index.html
        manifest                 | /zephyr-manifest.json      | get | 200 zephyr-manifest.json
        manifest elsewhere       | /docs/zephyr-manifest.json | get | none
        ",
    );
}

#[test]
fn an_application_with_not_found_pages() {
    let snapshot = snapshot(
        "csr",
        &["index.html", "404.html", "docs/404.html", "docs/index.html"],
    );
    check(
        &snapshot,
        "
        navigation            | /users/5     | nav | 404 404.html
        script                | /assets/x.js | get | 404 404.html
        nearest               | /docs/x/y/z  | nav | 404 docs/404.html
        in its directory      | /docs/x      | nav | 404 docs/404.html
        directory             | /docs/x/     | nav | 404 docs/404.html
        beside it             | /docs2/x     | nav | 404 404.html
        by name               | /404.html    | nav | 200 404.html
        by name without .html | /404         | nav | 200 404.html
        ",
    );
    let only_below = self::snapshot("csr", &["index.html", "docs/404.html"]);
    check(
        &only_below,
        "
        below it | /docs/x  | nav | 404 docs/404.html
        above it | /users/5 | nav | shell index.html
        ",
    );
}

#[test]
fn an_application_with_a_base() {
    let snapshot = snapshot(
        "csr",
        &[
            "shop/zephyr-manifest.json",
            "shop/assets/main.js",
            "shop/favicon.svg",
            "index.html",
            "docs/guide/index.html",
        ],
    );
    check(
        &snapshot,
        "
        asset                   | /shop/assets/main.js       | get | 200 shop/assets/main.js
        its root                | /shop/                     | nav | 200 index.html
        its root, no slash      | /shop                      | nav | 308 /shop/
        page kept outside       | /shop/docs/guide/          | nav | 200 docs/guide/index.html
        the same, no slash      | /shop/docs/guide           | nav | 308 /shop/docs/guide/
        page by name            | /shop/index.html           | get | 200 index.html
        route                   | /shop/cart                 | nav | shell index.html
        route outside           | /cart                      | nav | shell index.html
        asset is not outside    | /assets/main.js            | get | none
        base taken off once     | /shop/shop/favicon.svg     | get | 200 shop/favicon.svg
        and no more             | /shop/shop/docs/guide/     | get | none
        slashes behind the base | /shop//docs/guide          | get | none
        manifest at the root    | /zephyr-manifest.json      | get | 200 zephyr-manifest.json
        manifest in place       | /shop/zephyr-manifest.json | get | 200 shop/zephyr-manifest.json
        ",
    );
    let own_page = self::snapshot(
        "csr",
        &[
            "shop/zephyr-manifest.json",
            "shop/index.html",
            "index.html",
            "404.html",
        ],
    );
    check(
        &own_page,
        "
        its own page first              | /shop/  | nav | 200 shop/index.html
        the page at the root            | /       | nav | 200 index.html
        not-found page without the base | /shop/x | nav | 404 404.html
        ",
    );
    let shell_below = self::snapshot("csr", &["shop/zephyr-manifest.json", "shop/index.html"]);
    check(
        &shell_below,
        "
        route outside | /cart | nav | shell shop/index.html
        ",
    );
}

#[test]
fn a_server_rendered_application() {
    let snapshot = snapshot(
        "ssr",
        &[
            "client/assets/main.js",
            "client/index.html",
            "client/docs/index.html",
            "client/zephyr-manifest.json",
            "server/index.js",
            "server/page/index.html",
            "server/404.html",
            "client/server/public.js",
            "readme.txt",
        ],
    );
    check(
        &snapshot,
        "
        asset                       | /assets/main.js              | get | 200 client/assets/main.js
        asset in place              | /client/assets/main.js       | get | 200 client/assets/main.js
        beside both                 | /readme.txt                  | get | 200 readme.txt
        root                        | /                            | nav | 200 client/index.html
        directory                   | /docs                        | get | 308 /docs/
        directory with slash        | /docs/                       | get | 200 client/docs/index.html
        route                       | /users/5                     | nav | shell client/index.html
        server code                 | /server/index.js             | get | none
        server code, guessed        | /server/index                | get | none
        server pages                | /server/page/                | get | none
        server pages, no slash      | /server/page                 | get | none
        server's not-found page     | /server/x                    | nav | shell client/index.html
        public in spite of its name | /server/public.js            | get | 200 client/server/public.js
        manifest                    | /zephyr-manifest.json        | get | 200 zephyr-manifest.json
        manifest in place           | /client/zephyr-manifest.json | get | 200 client/zephyr-manifest.json
        ",
    );
    let not_server_rendered = self::snapshot("csr", &["server/index.js", "client/a.js"]);
    check(
        &not_server_rendered,
        "
        only a directory     | /server/index.js | get | 200 server/index.js
        only a directory too | /a.js            | get | none
        ",
    );
    let with_base = self::snapshot(
        "ssr",
        &[
            "client/shop/zephyr-manifest.json",
            "client/index.html",
            "server/a.js",
        ],
    );
    check(
        &with_base,
        "
        page without base           | /shop/            | nav | 200 client/index.html
        server code behind the base | /shop/server/a.js | get | none
        ",
    );
}

#[test]
fn the_manifest_of_a_hostname() {
    let replacement = AssetRef {
        hash: [7; 32].into(),
        size: 7_777,
    };
    // Name, type of the snapshot, its paths, asked path, whether the replacement answers.
    let table = "
        at the root            | csr | zephyr-manifest.json        | zephyr-manifest.json        | true
        for the root           | csr | a/zephyr-manifest.json      | zephyr-manifest.json        | true
        in the base            | csr | a/zephyr-manifest.json      | a/zephyr-manifest.json      | true
        of a build without     | csr | index.html                  | zephyr-manifest.json        | true
        not elsewhere          | csr | index.html                  | a/zephyr-manifest.json      | false
        not another file's     | csr | zephyr-manifest.json a/zephyr-manifest.json | a/zephyr-manifest.json | false
        server's, at the root  | ssr | server/zephyr-manifest.json | zephyr-manifest.json        | true
        server's, in place     | ssr | server/zephyr-manifest.json | server/zephyr-manifest.json | false
        other names            | csr | zephyr-manifest.json a.json | a.json                      | false
    ";
    for [name, kind, paths, path, replaced] in rows(table) {
        let snapshot = snapshot(kind, &paths.split(' ').collect::<Vec<_>>());
        let wants = Wants { navigation: false };
        let found = resolve(&snapshot, Some(replacement), path, wants);
        let is_replacement = matches!(
            &found,
            Some(Resolved::Asset { asset, path: found, .. }) if *asset == replacement && found == path
        );
        assert_eq!(
            is_replacement,
            replaced == "true",
            "case `{name}`: {found:?}"
        );
    }
}

#[test]
fn long_paths_end() {
    let snapshot = snapshot("ssr", &["client/shop/zephyr-manifest.json", "404.html"]);
    let deep = "a/".repeat(50_000);
    assert_eq!(answer(&snapshot, None, &deep, true), "404 404.html");
}

proptest! {
    #[test]
    fn any_path_gets_an_answer(path in "(/|shop|server|client|docs|index|404|\\.html|[a-z]|\\PC){0,12}", navigation: bool) {
        for kind in ["csr", "ssr"] {
            let snapshot = snapshot(kind, &["shop/zephyr-manifest.json", "server/x", "docs/index.html", "shop/docs/404.html"]);
            if let Some(Resolved::Redirect { location_path }) = resolve(&snapshot, None, &path, Wants { navigation }) {
                // Never to another host, and it leads to an asset.
                prop_assert!(location_path.starts_with('/') && !location_path.starts_with("//"));
                prop_assert!(location_path.ends_with('/'));
                let target = decode(&location_path).unwrap();
                let found = answer(&snapshot, None, &target, false);
                prop_assert!(found.starts_with("200 "), "{}: {}", location_path, found);
            }
        }
    }

    #[test]
    fn a_listed_path_is_found_as_it_is(path in "[a-z%? #é+&風-]{1,8}(/[a-z%? #é+&風.-]{1,8}){0,3}") {
        if let Ok(listed) = favonius_contract::AssetPath::check(&path) {
            let snapshot = snapshot("csr", &[listed]);
            let encoded = format!("/{}", utf8_percent_encode(listed, NOT_IN_PATH));
            let decoded = decode(&encoded).unwrap();
            prop_assert_eq!(answer(&snapshot, None, &decoded, false), format!("200 {listed}"));
        }
    }
}
