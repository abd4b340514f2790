//! When a request is sent again. All requests to an edge are idempotent.

use std::time::{Duration, SystemTime};

/// How often a request is sent again at most.
pub(super) const RETRIES: u32 = 3;
/// The pause before the first retry; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// An edge that asks for a longer pause than this is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a request did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There was no whole answer, which may be otherwise next time.
    Connection,
    /// There will be none: what is wrong stays wrong.
    Permanent,
    /// The answer was not the one that was hoped for.
    Status {
        status: u16,
        /// For how long the edge asks to be left alone.
        retry_after: Option<Duration>,
    },
}

/// How long to wait before the request is sent again; `None` to give up. `spread` is a random number from 0 to 1 that
/// keeps many clients from coming back at the same moment.
pub(super) fn pause(retries: u32, trouble: Trouble, spread: f64) -> Option<Duration> {
    if retries >= RETRIES {
        return None;
    }
    let asked = match trouble {
        Trouble::Connection => None,
        Trouble::Status {
            status,
            retry_after,
        } if is_transient(status) => retry_after,
        Trouble::Permanent | Trouble::Status { .. } => return None,
    };
    let usual = FIRST_PAUSE * 2_u32.pow(retries);
    let pause = usual.mul_f64(0.75 + spread.clamp(0.0, 1.0) / 2.0);
    match asked {
        Some(asked) if asked > LONGEST_PAUSE => None,
        Some(asked) => Some(asked.max(pause)),
        None => Some(pause),
    }
}

/// Whether the same request may succeed a little later (RFC 9110, section 15).
fn is_transient(status: u16) -> bool {
    match status {
        // Not implemented, an HTTP version that is not spoken, a full store: none of them passes by itself.
        501 | 505 | 507 => false,
        408 | 425 | 429 | 500..=599 => true,
        _ => false,
    }
}

/// Reads a `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Trouble {
        Trouble::Status {
            status,
            retry_after: None,
        }
    }

    #[test]
    fn what_is_tried_again() {
        for (name, trouble, expected) in [
            ("broken connection", Trouble::Connection, true),
            ("bad certificate", Trouble::Permanent, false),
            ("redirect", status(302), false),
            ("unauthenticated", status(401), false),
            ("timeout", status(408), true),
            ("conflict", status(409), false),
            ("too early", status(425), true),
            ("too many", status(429), true),
            ("internal", status(500), true),
            ("not implemented", status(501), false),
            ("unavailable", status(503), true),
            ("store full", status(507), false),
        ] {
            assert_eq!(pause(0, trouble, 0.5).is_some(), expected, "case `{name}`");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<_> = (0..5)
            .map(|retries| pause(retries, Trouble::Connection, 0.5))
            .collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(pauses, [ms(500), ms(1000), ms(2000), None, None]);
        assert_eq!(pause(0, Trouble::Connection, 0.0), ms(375));
        assert_eq!(pause(0, Trouble::Connection, 1.0), ms(625));
    }

    #[test]
    fn the_edge_may_ask_for_longer_but_not_for_ever() {
        for (name, asked_s, expected) in [
            ("shorter than ours", 0, Some(Duration::from_millis(500))),
            ("longer", 7, Some(Duration::from_secs(7))),
            ("longest", 30, Some(Duration::from_secs(30))),
            ("too long", 31, None),
        ] {
            let retry_after = Some(Duration::from_secs(asked_s));
            let trouble = Trouble::Status {
                status: 503,
                retry_after,
            };
            assert_eq!(pause(0, trouble, 0.5), expected, "case `{name}`");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (value, expected) in [
            ("3", Some(3)),
            (" 3 ", Some(3)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-3", None),
            ("soon", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(value, now), expected, "{value}");
        }
    }
}
