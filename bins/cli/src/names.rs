//! Names of applications, snapshots and hostnames, made by the rules that the published clients follow.

use aws_lc_rs::rand;
use favonius_contract::{
    ApplicationUid, Delimiter, EdgeHost, Hostname, Invalid, MAX_SNAPSHOT_ID, SnapshotId,
};

/// What an edge can join labels with, in the order in which they are tried.
const DELIMITERS: [Delimiter; 3] = [Delimiter::Hyphen, Delimiter::Dot, Delimiter::Underscore];

/// A part of an application uid: in lower case, and a hyphen for everything but letters, digits and hyphens.
pub(crate) fn part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '-') => part.push(c),
            // Clients replace UTF-16 units, of which some characters have two.
            c => part.extend(std::iter::repeat_n('-', c.len_utf16())),
        }
    }
    part
}

/// The uid of an application, from names as people write them: `@acme/shop` becomes `-acme-shop`.
pub(crate) fn application_uid(
    app: &str,
    project: &str,
    org: &str,
) -> Result<ApplicationUid, Invalid> {
    format!("{}.{}.{}", part(app), part(project), part(org)).parse()
}

/// The id of a snapshot. Only its first part is changed, and only underscores in it.
pub(crate) fn snapshot_id(
    user: &str,
    build: &str,
    application: &ApplicationUid,
) -> Result<SnapshotId, Invalid> {
    format!(
        "{}.{application}",
        format!("{user}-{build}").replace('_', "-")
    )
    .parse()
}

/// The application that a snapshot belongs to: the last three parts of its id.
pub(crate) fn application_of(id: &SnapshotId) -> Result<ApplicationUid, Invalid> {
    let from = id
        .as_str()
        .rmatch_indices('.')
        .nth(2)
        .map_or(0, |(dot, _)| dot + 1);
    id.as_str().get(from..).unwrap_or_default().parse()
}

/// A build id that no other deployment of the second has, but by a rare chance.
pub(crate) fn new_build(now_s: u64) -> Result<String, aws_lc_rs::error::Unspecified> {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut random = [0; 4];
    rand::fill(&mut random)?;
    let digit = |byte: &u8| {
        DIGITS
            .get(usize::from(byte % 32))
            .map(|digit| char::from(*digit))
    };
    let suffix: String = random.iter().filter_map(digit).collect();
    Ok(format!("{now_s}-{suffix}"))
}

/// Which kind of name a deployment is published under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `e-<name>-...`
    Environment,
    /// `t-<name>-...`
    Tag,
}

/// The hostname of an environment or a tag of an application.
pub(crate) fn hostname(
    kind: Kind,
    name: &str,
    application: &ApplicationUid,
    edge: &EdgeHost,
    delimiter: Delimiter,
) -> Result<Hostname, String> {
    let (prefix, what) = match kind {
        Kind::Environment => ("e", "environment"),
        Kind::Tag => ("t", "tag"),
    };
    if !name.chars().any(|c| c.is_ascii_alphanumeric()) {
        return Err(format!(
            "the {what} `{name}` has no letter or digit to make a hostname from"
        ));
    }
    // Cut and cleaned like the name of a version, which begins with a user where this begins with a letter.
    let id: SnapshotId = format!("{prefix}-{name}.{application}")
        .parse()
        .map_err(|_| {
            format!("the {what} is longer than {MAX_SNAPSHOT_ID} bytes, or has a control character")
        })?;
    edge.version_hostnames(&id, delimiter).into_iter().next().ok_or_else(|| {
        format!(
            "no hostname can be made for the {what} `{name}` on {edge}: it takes an edge that is known by a name \
             (http://localhost:8080, not http://127.0.0.1:8080)"
        )
    })
}

/// What the edge joins labels with, to judge by the URL that it gave a version.
pub(crate) fn delimiter_of(
    version_url: &str,
    id: &SnapshotId,
    edge: &EdgeHost,
) -> Option<Delimiter> {
    let host = Hostname::from_host_or_url(version_url).ok()?;
    let made = |delimiter: &Delimiter| edge.version_hostnames(id, *delimiter).contains(&host);
    DELIMITERS.into_iter().find(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_uid() {
        for (name, text, expected) in [
            ("usual", "shop", "shop"),
            ("scoped package", "@acme/shop", "-acme-shop"),
            ("upper case", "Shop2", "shop2"),
            ("underscore and dot", "my_shop.v2", "my-shop-v2"),
            ("umlaut", "öl", "-l"),
            ("two UTF-16 units", "🛒", "--"),
        ] {
            assert_eq!(part(text), expected, "case `{name}`");
        }
        assert_eq!(
            application_uid("@acme/Shop", "Web", "acme")
                .unwrap()
                .as_str(),
            "-acme-shop.web.acme"
        );
        assert!(application_uid("", "web", "acme").is_err());
    }

    #[test]
    fn snapshots_and_their_applications() {
        let uid = application_uid("shop", "web", "acme").unwrap();
        let id = snapshot_id("Ada_L.", "4_2", &uid).unwrap();
        assert_eq!(id.as_str(), "Ada-L.-4-2.shop.web.acme");
        assert_eq!(application_of(&id).unwrap(), uid);
        assert!(application_of(&"shop.web".parse().unwrap()).is_err());
        assert!(snapshot_id("a\nb", "1", &uid).is_err());
    }

    #[test]
    fn builds_of_one_second_differ() {
        let builds: std::collections::BTreeSet<_> =
            (0..20).map(|_| new_build(1_795_246_541).unwrap()).collect();
        assert!(builds.len() > 15, "{builds:?}");
        for build in &builds {
            assert!(
                build.starts_with("1795246541-") && build.len() == 15,
                "{build}"
            );
        }
    }

    #[test]
    fn hostnames_of_environments_and_tags() {
        let uid = application_uid("shop", "web", "acme").unwrap();
        let edge: EdgeHost = "https://ze.example.com".parse().unwrap();
        for (name, kind, text, delimiter, expected) in [
            (
                "environment",
                Kind::Environment,
                "production",
                Delimiter::Hyphen,
                "e-production-shop-web-acme-ze.example.com",
            ),
            (
                "a branch as a tag",
                Kind::Tag,
                "feature/Cart_2",
                Delimiter::Dot,
                "t-feature-cart-2-shop-web-acme.ze.example.com",
            ),
        ] {
            let host = hostname(kind, text, &uid, &edge, delimiter).unwrap();
            assert_eq!(host.as_str(), expected, "case `{name}`");
        }
        let long = "a-branch-whose-name-is-far-too-long-for-a-label-of-a-hostname";
        let host = hostname(Kind::Tag, long, &uid, &edge, Delimiter::Dot).unwrap();
        let label = host.as_str().split('.').next().unwrap();
        assert_eq!(label.len(), 63, "{host}");
        assert!(label.starts_with("t-a-branch-whose-name-is-far"), "{host}");
    }

    #[test]
    fn names_that_no_hostname_can_be_made_of() {
        let uid = application_uid("shop", "web", "acme").unwrap();
        let named: EdgeHost = "https://ze.example.com".parse().unwrap();
        let address: EdgeHost = "http://127.0.0.1:8080".parse().unwrap();
        for (name, text, edge, expected) in [
            ("nothing to keep", "///", &named, "no letter or digit"),
            ("control character", "a\nb", &named, "control character"),
            ("an address", "main", &address, "http://localhost:8080"),
        ] {
            let why = hostname(Kind::Tag, text, &uid, edge, Delimiter::Hyphen).unwrap_err();
            assert!(why.contains(expected), "case `{name}`: {why}");
        }
    }

    #[test]
    fn the_delimiter_shows_in_the_url_of_a_version() {
        let edge: EdgeHost = "http://localhost:8080".parse().unwrap();
        let id = "ada-1.shop.web.acme".parse().unwrap();
        for (url, expected) in [
            (
                "http://ada-1-shop-web-acme.localhost:8080",
                Some(Delimiter::Dot),
            ),
            (
                "http://ada-1-shop-web-acme-localhost:8080",
                Some(Delimiter::Hyphen),
            ),
            (
                "http://ada-1-shop-web-acme_localhost:8080",
                Some(Delimiter::Underscore),
            ),
            ("http://elsewhere.test", None),
            (
                "http://127.0.0.1:8080/__zephyr/v1/v/ada-1.shop.web.acme",
                None,
            ),
        ] {
            assert_eq!(delimiter_of(url, &id, &edge), expected, "{url}");
        }
    }
}
