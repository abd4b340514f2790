//! What a verified token allows.

use std::{fmt, time::Duration};

use favonius_contract::ApplicationUid;

use crate::{Forbidden, LEEWAY_S, Unauthenticated};

/// Longest name of a replica, in bytes.
pub const MAX_REPLICA_NAME: usize = 128;
/// Longest id of a token, in bytes.
pub const MAX_TOKEN_ID: usize = 128;
/// How long a replica's token may be valid. One for a single request is remembered for so long, so that it is used once.
pub const MAX_ONE_TIME: Duration = Duration::from_mins(5);

/// What a token covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One application.
    Application(ApplicationUid),
    /// Any application, because the token names none. Only where
    /// [`require_application`](crate::VerifierOptions::require_application) is off.
    Any,
    /// Every application, and taking hostnames over: `application_uid` is `*`.
    Operator,
    /// The same for another region, which sends on what was deployed there.
    Replica {
        /// The name of the region's replica: 1 to [`MAX_REPLICA_NAME`] bytes without control characters.
        name: String,
    },
}

/// Whether this can be the name of a replica.
pub(crate) fn is_replica_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_REPLICA_NAME && !name.chars().any(char::is_control)
}

/// Whether this can be the id of a token, or what names a request.
pub(crate) fn is_token_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TOKEN_ID
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A write token that has been verified.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteToken {
    /// What it covers.
    pub scope: Scope,
    /// Who it was issued to, as the control plane calls them; in any script, never used as a key.
    pub username: Option<String>,
    /// The control plane's id of the same person.
    pub user_uuid: Option<String>,
    /// The id of a replica's token (`jti`): with it the token is for one request, and is to be used once.
    pub token_id: Option<String>,
    /// Which request such a token is for (`req`), see [`request_digest`](crate::request_digest).
    pub request: Option<String>,
    /// When it expires, in seconds since 1970.
    pub expires_at_s: u64,
    /// When it was issued, in seconds since 1970.
    pub issued_at_s: Option<u64>,
}

impl WriteToken {
    /// Whether assets, snapshots and publications of this application may be written.
    pub fn may_write(&self, application: &ApplicationUid) -> Result<(), Forbidden> {
        match &self.scope {
            Scope::Application(granted) if granted != application => {
                Err(Forbidden::OtherApplication {
                    granted: granted.clone(),
                    asked: application.clone(),
                })
            }
            Scope::Application(_) | Scope::Any | Scope::Operator | Scope::Replica { .. } => Ok(()),
        }
    }

    /// Whether a hostname may be taken from the application that owns it.
    pub fn may_take_over(&self) -> bool {
        matches!(self.scope, Scope::Operator | Scope::Replica { .. })
    }

    /// The name of the replica that sends, if a replica does.
    pub fn replica(&self) -> Option<&str> {
        match &self.scope {
            Scope::Replica { name } => Some(name),
            Scope::Application(_) | Scope::Any | Scope::Operator => None,
        }
    }

    /// Whether it is a replica's for one request: then [`check_one_time`](Self::check_one_time) and
    /// [`check_request`](Self::check_request) have to hold, and its id must not have been used.
    pub fn is_one_time(&self) -> bool {
        self.token_id.is_some()
    }

    /// Checks what has to hold for a token for one request, whichever that is: it comes from somebody else than the replica
    /// that is asked, and is not valid for long.
    pub fn check_one_time(&self, asked: &str, now_s: u64) -> Result<(), Unauthenticated> {
        if self.token_id.is_none() {
            return Err(Unauthenticated::NotBound);
        }
        if self.replica() == Some(asked) {
            return Err(Unauthenticated::OwnReplica);
        }
        let longest = MAX_ONE_TIME.as_secs();
        // One from the future would have to be remembered for longer than that.
        let issued = self
            .issued_at_s
            .filter(|issued| *issued <= now_s.saturating_add(LEEWAY_S));
        if issued.is_none_or(|issued| self.expires_at_s > issued.saturating_add(longest)) {
            return Err(Unauthenticated::Lifetime);
        }
        Ok(())
    }

    /// Checks a replica's token that is good for any request: it must not be valid for long, as it can be used again and again.
    /// Whoever else has one may keep it for as long as it was issued.
    pub fn check_many_times(&self, now_s: u64) -> Result<(), Unauthenticated> {
        let latest = now_s.saturating_add(MAX_ONE_TIME.as_secs() + LEEWAY_S);
        if self.replica().is_some() && !self.is_one_time() && self.expires_at_s > latest {
            return Err(Unauthenticated::Lifetime);
        }
        Ok(())
    }

    /// Checks that it has not expired since it was verified.
    pub fn check_unexpired(&self, now_s: u64) -> Result<(), Unauthenticated> {
        if now_s >= self.expires_at_s.saturating_add(LEEWAY_S) {
            return Err(Unauthenticated::Expired);
        }
        Ok(())
    }

    /// Checks that a token for one request is for the one with this digest.
    pub fn check_request(&self, digest: &str) -> Result<(), Unauthenticated> {
        if self.request.as_deref() == Some(digest) {
            Ok(())
        } else {
            Err(Unauthenticated::Foreign)
        }
    }

    /// For how long it would be taken from this time on, in seconds since 1970: so long its id has to be remembered.
    pub fn valid_for(&self, now_s: u64) -> Duration {
        let end = self.expires_at_s.saturating_add(LEEWAY_S);
        Duration::from_secs(end.saturating_sub(now_s).max(1))
    }
}

/// Without the person: a name in a log is personal data.
impl fmt::Debug for WriteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteToken")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_scope_allows() {
        let shop: ApplicationUid = "shop.web.acme".parse().unwrap();
        let replica = Scope::Replica { name: "eu".into() };
        let cases = [
            (
                "the application",
                Scope::Application(shop.clone()),
                true,
                false,
                None,
            ),
            (
                "another one",
                Scope::Application("workshop.web.acme".parse().unwrap()),
                false,
                false,
                None,
            ),
            ("any", Scope::Any, true, false, None),
            ("operator", Scope::Operator, true, true, None),
            ("replica", replica, true, true, Some("eu")),
        ];
        for (name, scope, write, take_over, replica) in cases {
            let token = WriteToken {
                scope,
                username: None,
                user_uuid: None,
                token_id: None,
                request: None,
                expires_at_s: 0,
                issued_at_s: None,
            };
            assert_eq!(token.may_write(&shop).is_ok(), write, "case `{name}`");
            assert_eq!(token.may_take_over(), take_over, "case `{name}`");
            assert_eq!(token.replica(), replica, "case `{name}`");
        }
    }
}
