//! Why a token is refused.
//!
//! The published clients print the message of an error, but cut the word that follows "token", "secret", "session",
//! "state", "jwt", "code" or "signature": so none of these is in a message.

use favonius_contract::ApplicationUid;

use crate::{LATEST_TIME_S, MAX_REPLICA_NAME, MAX_TOKEN_BYTES, MAX_TOKEN_ID};

/// A refusal: the text says why and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// We do not know who it is: HTTP 401.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// We know, and it is not allowed: HTTP 403.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

impl Refusal {
    /// A fixed name of the reason, fit for a metric label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unauthenticated(reason) => reason.as_str(),
            Self::Forbidden(reason) => reason.as_str(),
        }
    }
}

/// Why a token says nothing about who sends it. A client forgets its login on the answer (401) to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unauthenticated {
    /// There is none.
    #[error(
        "no write permission was sent: log in again. If you are logged in, a proxy on the way may drop headers with an underscore in their name"
    )]
    Missing,
    /// It is longer than [`MAX_TOKEN_BYTES`].
    #[error("the write permission is longer than {MAX_TOKEN_BYTES} bytes: log in again")]
    TooLong,
    /// It is no JWT: not three parts, not base64url, not JSON, a name twice.
    #[error("the write permission cannot be read: log in again")]
    Malformed,
    /// Its header demands an extension (`crit`, RFC 7515 section 4.1.11).
    #[error(
        "the write permission demands an extension that is not known here: whoever issues it has to leave that out"
    )]
    Critical,
    /// It is signed by another algorithm than that of a key of ours, or not at all.
    #[error(
        "the write permission is signed in another way than this edge expects: log in again, or have the key of the edge compared with the control plane's"
    )]
    Algorithm,
    /// It is not signed with our key, or was changed afterwards.
    #[error(
        "the write permission was not issued for this edge: log in again, or have the key of the edge compared with the control plane's"
    )]
    Signature,
    /// It does not say when it expires.
    #[error("the write permission does not say when it expires: log in again")]
    NoExpiry,
    /// `exp` or `nbf` is not a whole number of seconds up to [`LATEST_TIME_S`].
    #[error(
        "the write permission has a time that is not a whole number of seconds from 0 to {LATEST_TIME_S}: whoever issues it has to correct that"
    )]
    BadTime,
    /// It has expired.
    #[error("the write permission has expired: log in again")]
    Expired,
    /// It is not valid yet.
    #[error(
        "the write permission is not valid yet: have the clocks of the edge and of the control plane compared"
    )]
    NotYetValid,
    /// A replica's token that has to be for one request is for any.
    #[error("the permission of a replica has to be for one request here: its worker is too old")]
    NotBound,
    /// A replica's token for one request does not say when it was issued, or is valid for more than
    /// [`MAX_ONE_TIME`](crate::MAX_ONE_TIME).
    #[error(
        "the permission of a replica is valid for more than 5 minutes, or from a time to come: have the clocks of the regions compared"
    )]
    Lifetime,
    /// A replica's token is for another request than this one.
    #[error(
        "the permission of a replica is for another request: what stands between the regions must not change requests"
    )]
    Foreign,
    /// A replica's token names the replica that is asked.
    #[error(
        "the permission names this replica itself: each region needs a name of its own, and must not be listed as its own target"
    )]
    OwnReplica,
    /// A replica's token was used before.
    #[error("the permission of a replica was used before: it is for one request")]
    Replayed,
}

impl Unauthenticated {
    /// A fixed name, fit for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Critical => "critical_extension",
            Self::Algorithm => "wrong_algorithm",
            Self::Signature => "bad_signature",
            Self::NoExpiry => "no_expiry",
            Self::BadTime => "bad_time",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NotBound => "not_bound",
            Self::Lifetime => "lifetime",
            Self::Foreign => "foreign",
            Self::OwnReplica => "own_replica",
            Self::Replayed => "replayed",
        }
    }
}

/// Why a token of ours does not allow what is asked (403).
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// `can_write` is not `true`.
    #[error(
        "this login may not write: ask an administrator of the organisation for write permission"
    )]
    NotWritable,
    /// It names no application, and has to.
    #[error("the write permission names no application: whoever issues it has to add one")]
    NoApplication,
    /// What it names as application is none.
    #[error(
        "the write permission names an application that is not of the form app.project.org: whoever issues it has to correct that"
    )]
    BadApplication,
    /// It is for another application.
    #[error("the write permission is for {granted}, not for {asked}")]
    OtherApplication {
        /// The application that it is for.
        granted: ApplicationUid,
        /// The application that was to be written to.
        asked: ApplicationUid,
    },
    /// `replica` is not a name, or comes with an application.
    #[error(
        "the write permission of a replica has to be for all applications and to name the replica in 1 to {MAX_REPLICA_NAME} bytes"
    )]
    BadReplica,
    /// `username` or `user_uuid` is not text.
    #[error(
        "the write permission names its user by something that is not text: whoever issues it has to correct that"
    )]
    BadUser,
    /// `jti` or `req` of a replica's token is not text, or too long, or `req` is there alone.
    #[error(
        "the permission of a replica has an id that is not 1 to {MAX_TOKEN_ID} printable characters: whoever issues it has to correct that"
    )]
    BadOneTime,
    /// It is not a replica's, and has to be.
    #[error("only another region may send this: the permission is not that of a replica")]
    NotReplica,
}

impl Forbidden {
    /// A fixed name, fit for a metric label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotWritable => "not_writable",
            Self::NoApplication => "no_application",
            Self::BadApplication => "bad_application",
            Self::OtherApplication { .. } => "other_application",
            Self::BadReplica => "bad_replica",
            Self::BadUser => "bad_user",
            Self::BadOneTime => "bad_one_time",
            Self::NotReplica => "not_replica",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_cuts_a_word_out_of_a_message() {
        use Forbidden as F;
        use Unauthenticated as U;
        let refusals: [Refusal; 23] = [
            U::Missing.into(),
            U::TooLong.into(),
            U::Malformed.into(),
            U::Critical.into(),
            U::Algorithm.into(),
            U::Signature.into(),
            U::NoExpiry.into(),
            U::BadTime.into(),
            U::Expired.into(),
            U::NotYetValid.into(),
            U::NotBound.into(),
            U::Lifetime.into(),
            U::Foreign.into(),
            U::OwnReplica.into(),
            U::Replayed.into(),
            F::NotWritable.into(),
            F::NoApplication.into(),
            F::BadApplication.into(),
            F::OtherApplication {
                granted: "a.b.c".parse().unwrap(),
                asked: "d.b.c".parse().unwrap(),
            }
            .into(),
            F::BadReplica.into(),
            F::BadUser.into(),
            F::BadOneTime.into(),
            F::NotReplica.into(),
        ];
        for refusal in refusals {
            let message = refusal.to_string().to_lowercase();
            for word in [
                "token",
                "secret",
                "session",
                "state",
                "jwt",
                "code",
                "signature",
            ] {
                assert!(!message.contains(word), "`{word}` in: {message}");
            }
            assert!(message.len() < 200, "{message}");
        }
    }

    #[test]
    fn the_reasons_have_names_of_their_own() {
        let other = Forbidden::OtherApplication {
            granted: "a.b.c".parse().unwrap(),
            asked: "d.b.c".parse().unwrap(),
        };
        assert_eq!(
            other.to_string(),
            "the write permission is for a.b.c, not for d.b.c"
        );
        assert_eq!(Refusal::from(other).as_str(), "other_application");
        assert_eq!(Refusal::from(Unauthenticated::Expired).as_str(), "expired");
    }
}
