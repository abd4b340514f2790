//! What a client takes.

use favonius_storage::Coding;
use http::{HeaderMap, header::ACCEPT_ENCODING};

/// Where weights are equal: the one that makes text smallest comes first.
const BY_PREFERENCE: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
/// The weight 1; weights have three decimal places (RFC 9110, section 12.4.2).
const FULL: u16 = 1000;

/// The codings that a client takes at least as gladly as none, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Accepted {
    codings: [Option<Coding>; 3],
}

impl Accepted {
    /// Reads `Accept-Encoding`. Without one a client may take anything, but who does not say so often cannot: it gets none.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut weights = Weights::default();
        for line in headers.get_all(ACCEPT_ENCODING) {
            for element in line.as_bytes().split(|&byte| byte == b',') {
                weights.read(element);
            }
        }
        weights.accepted()
    }

    /// The codings, the best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Coding> {
        self.codings.iter().flatten().copied()
    }

    /// Whether this one is taken.
    pub(crate) fn takes(self, coding: Coding) -> bool {
        self.iter().any(|taken| taken == coding)
    }
}

/// The weights that a client gave.
#[derive(Default)]
struct Weights {
    codings: [Option<u16>; BY_PREFERENCE.len()],
    identity: Option<u16>,
    others: Option<u16>,
}

impl Weights {
    /// Takes in one element of the list. One that cannot be read says nothing.
    fn read(&mut self, element: &[u8]) {
        let mut parts = element.split(|&byte| byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let Some(weight) = weight(parts) else {
            return;
        };
        let slot = if name == b"*" {
            Some(&mut self.others)
        } else if name.eq_ignore_ascii_case(b"identity") {
            Some(&mut self.identity)
        } else {
            // `x-gzip` is gzip (RFC 9110, section 8.4.1.3).
            let name = if name.eq_ignore_ascii_case(b"x-gzip") {
                b"gzip"
            } else {
                name
            };
            let at = BY_PREFERENCE
                .iter()
                .position(|coding| name.eq_ignore_ascii_case(coding.as_str().as_bytes()));
            at.and_then(|at| self.codings.get_mut(at))
        };
        if let Some(slot) = slot {
            *slot = Some(weight);
        }
    }

    fn accepted(&self) -> Accepted {
        // What is not named is acceptable without being asked for, so that any coding that is named is wanted more.
        let identity = self.identity.unwrap_or(0);
        let mut ranked: [Option<(u16, Coding)>; BY_PREFERENCE.len()] = [None; 3];
        for ((slot, coding), weight) in ranked.iter_mut().zip(BY_PREFERENCE).zip(self.codings) {
            let weight = weight.or(self.others).unwrap_or(0);
            *slot = Some((weight, coding)).filter(|_| weight > 0 && weight >= identity);
        }
        // Stable, so that preference decides where weights are equal.
        ranked.sort_by_key(|slot| std::cmp::Reverse(slot.map_or(0, |(weight, _)| weight)));
        Accepted {
            codings: ranked.map(|slot| slot.map(|(_, coding)| coding)),
        }
    }
}

/// The weight among the parameters of an element: 1 unless given, in thousandths. `None` when it cannot be read.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let Some(parameter) = parameters.next() else {
        return Some(FULL);
    };
    let parameter = parameter.trim_ascii();
    let [b'q' | b'Q', rest @ ..] = parameter else {
        return None;
    };
    let value = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] => (whole, decimals),
        _ => return None,
    };
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = [100, 10, 1]
        .iter()
        .zip(decimals)
        .map(|(unit, digit)| unit * u16::from(digit - b'0'))
        .sum::<u16>();
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn accepted(lines: &[&str]) -> String {
        let headers: HeaderMap = lines
            .iter()
            .map(|line| (ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap()))
            .collect();
        let names: Vec<_> = Accepted::of(&headers).iter().map(Coding::as_str).collect();
        names.join(" ")
    }

    #[test]
    fn what_clients_say() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("nothing", &[], ""),
            ("empty", &[""], ""),
            ("a browser", &["gzip, deflate, br, zstd"], "br zstd gzip"),
            ("an older one", &["gzip, deflate, br"], "br gzip"),
            (
                "the client of builds",
                &["gzip, compress, deflate, br"],
                "br gzip",
            ),
            ("one", &["gzip"], "gzip"),
            ("anything", &["*"], "br zstd gzip"),
            ("weights decide", &["br;q=0.5, gzip;q=0.8"], "gzip br"),
            (
                "equal weights do not",
                &["gzip;q=0.5, zstd;q=0.5"],
                "zstd gzip",
            ),
            ("refused", &["br;q=0, gzip"], "gzip"),
            ("refused, long", &["br;q=0.000, gzip"], "gzip"),
            ("all but one", &["*, br;q=0"], "zstd gzip"),
            ("none but one", &["gzip, *;q=0"], "gzip"),
            ("rather none", &["identity, gzip;q=0.5"], ""),
            ("as gladly as none", &["identity;q=0.5, gzip;q=0.5"], "gzip"),
            ("none refused", &["identity;q=0, gzip;q=0.1"], "gzip"),
            ("everything refused", &["*;q=0"], ""),
            ("letter case and space", &[" GZIP ; Q = 1.0 ,bR"], "br gzip"),
            ("old name", &["x-gzip"], "gzip"),
            ("several lines", &["gzip", "br;q=0.1"], "gzip br"),
            ("last one counts", &["br, br;q=0"], ""),
            (
                "unreadable weight",
                &["br;q=2, gzip;q=x, zstd;q=0.1234"],
                "",
            ),
            ("another parameter", &["br;level=1, gzip"], "gzip"),
            ("unknown", &["deflate, dcb, snappy"], ""),
            ("empty elements", &[",,gzip,,"], "gzip"),
        ];
        for (name, lines, expected) in cases {
            assert_eq!(accepted(lines), *expected, "case `{name}`");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "[ -~]{0,60}") {
            accepted(&[&line]);
        }

        #[test]
        fn weights_are_read_as_decimals(thousandths in 1u16..=1000) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            let parts = [format!("q={text}")];
            prop_assert_eq!(weight(parts.iter().map(String::as_bytes)), Some(thousandths));
        }

        #[test]
        fn the_order_of_elements_does_not_matter(q in proptest::collection::vec(0u16..=1000, 3)) {
            let element = |(name, q): (&str, &u16)| format!("{name};q={}.{:03}", q / 1000, q % 1000);
            let mut elements: Vec<_> = ["gzip", "br", "zstd"].into_iter().zip(&q).map(element).collect();
            let forwards = accepted(&[&elements.join(",")]);
            elements.reverse();
            prop_assert_eq!(forwards, accepted(&[&elements.join(",")]));
        }
    }
}
