//! What can be wrong with a key.

use std::fmt;

/// Which of the two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// The one that is in use.
    Current,
    /// The one before, accepted while keys are rotated.
    Previous,
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "the key",
            Self::Previous => "the previous key",
        })
    }
}

/// A key that cannot be used. The text never has a part of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{role} {defect}")]
pub struct KeyProblem {
    role: KeyRole,
    defect: KeyDefect,
}

impl KeyProblem {
    pub(crate) fn new(role: KeyRole, defect: KeyDefect) -> Self {
        Self { role, defect }
    }

    /// Which key it is.
    pub fn role(&self) -> KeyRole {
        self.role
    }

    /// What is wrong with it.
    pub fn defect(&self) -> &KeyDefect {
        &self.defect
    }
}

/// What is wrong with a key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyDefect {
    /// There is nothing in it.
    #[error("is empty: give a shared secret, a public key in PEM or a JWK")]
    Empty,
    /// A private key where the public one belongs.
    #[error(
        "is a private key, but verifying needs the public one alone: make it with `openssl pkey -in <file> -pubout`, or leave `d` out of a JWK"
    )]
    Private,
    /// A certificate where a key belongs.
    #[error(
        "is a certificate: take the public key out of it with `openssl x509 -in <file> -noout -pubkey`"
    )]
    Certificate,
    /// PEM that cannot be read.
    #[error("is no readable PEM public key: {0}")]
    Pem(&'static str),
    /// A public key without what marks it as one: as a shared secret it would let everybody mint tokens.
    #[error(
        "looks like a public key without its PEM lines: keep `-----BEGIN PUBLIC KEY-----` and `-----END PUBLIC KEY-----`"
    )]
    Bare,
    /// A public key as SSH has it.
    #[error("is an SSH key: convert it with `ssh-keygen -e -m PKCS8 -f <file>`")]
    Ssh,
    /// A kind of key for which there is no algorithm here.
    #[error(
        "is of a kind that is not supported: take RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA)"
    )]
    Unsupported,
    /// RSA with too few or too many bits.
    #[error("is an RSA key of {bits} bits: it has to have 2048 to 8192")]
    RsaSize {
        /// Its bits.
        bits: usize,
    },
    /// A JWK that cannot be used.
    #[error("is no usable JWK: {0}")]
    Jwk(&'static str),
    /// Minting with a key that can only verify.
    #[error(
        "is a public key, which can only verify: have the tokens minted by whoever holds the private key"
    )]
    CannotMint,
}
