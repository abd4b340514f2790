//! What a verified token allows.

use std::fmt;

use favonius_contract::ApplicationUid;

use crate::Forbidden;

/// Longest name of a replica, in bytes.
pub const MAX_REPLICA_NAME: usize = 128;

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
            };
            assert_eq!(token.may_write(&shop).is_ok(), write, "case `{name}`");
            assert_eq!(token.may_take_over(), take_over, "case `{name}`");
            assert_eq!(token.replica(), replica, "case `{name}`");
        }
    }
}
