//! PEM as it comes out of files, environment variables and JSON.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use crate::KeyDefect;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Whether a text is PEM, or what is left of one.
pub(crate) fn is_pem(text: &str) -> bool {
    [DASHES, "PUBLIC KEY", "PRIVATE KEY"]
        .iter()
        .any(|mark| text.contains(mark))
}

/// Whether a text is PEM in base64, as it stands in a Kubernetes Secret.
pub(crate) fn is_encoded_pem(text: &str) -> bool {
    // `-----BEGIN ` in base64.
    text.starts_with("LS0tLS1CRUdJTi")
}

/// Whether a text is a public key as SSH writes it.
pub(crate) fn is_ssh(text: &str) -> bool {
    ["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-", "sk-"]
        .iter()
        .any(|kind| text.starts_with(kind) && text.contains(" AAAA"))
}

/// Whether a text is the base64 inside of a PEM block: an ASN.1 sequence of exactly this length that names a kind of
/// key, or begins with a number as PKCS#1 does and is as long as an RSA key.
pub(crate) fn is_bare_key(text: &str) -> bool {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const ED: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
    const SHORTEST_RSA: usize = 128;

    let base64 = compact(text).replace('-', "+").replace('_', "/");
    let Ok(der) = STANDARD_NO_PAD.decode(base64.trim_end_matches('=')) else {
        return false;
    };
    let Some(inside) = sequence(&der) else {
        return false;
    };
    let names = |kind: &[u8]| inside.windows(kind.len()).any(|window| window == kind);
    names(RSA)
        || names(EC)
        || names(ED)
        || inside.first() == Some(&2) && inside.len() >= SHORTEST_RSA
}

/// What an ASN.1 sequence holds, if the bytes are one and nothing else (X.690, sections 8.1.3 and 8.9).
fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, inside) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (digits, inside) = rest.split_at_checked(usize::from(length & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        (length, inside)
    };
    (tag == 0x30 && inside.len() == length).then_some(inside)
}

/// The one public key in a text, written as PEM should be.
///
/// Environment variables and JSON leave line breaks as `\n`, turn them into spaces, or put quotes around the whole.
pub(crate) fn public_key(text: &str) -> Result<String, KeyDefect> {
    if text.contains("PRIVATE KEY") {
        return Err(KeyDefect::Private);
    }
    if text.contains("CERTIFICATE-") {
        return Err(KeyDefect::Certificate);
    }
    let missing = KeyDefect::Pem("it has to begin with `-----BEGIN PUBLIC KEY-----`");
    let (_, block) = text.split_once(BEGIN).ok_or(missing)?;
    let cut = KeyDefect::Pem("it has to end with `-----END PUBLIC KEY-----`");
    let (label, block) = block.split_once(DASHES).ok_or(cut.clone())?;
    let (body, rest) = block.split_once(END).ok_or(cut.clone())?;
    let (end, rest) = rest.split_once(DASHES).ok_or(cut.clone())?;
    if end != label {
        return Err(cut);
    }
    if rest.contains(BEGIN) {
        return Err(KeyDefect::Pem("it has to be one key, not several"));
    }
    if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY") {
        return Err(KeyDefect::Pem(
            "it has to be a `PUBLIC KEY` or an `RSA PUBLIC KEY`",
        ));
    }
    let body = compact(body);
    if !STANDARD
        .decode(&body)
        .is_ok_and(|der| sequence(&der).is_some())
    {
        return Err(KeyDefect::Pem(
            "what is between its first and last line is cut off or damaged",
        ));
    }
    Ok(format!(
        "{BEGIN}{label}{DASHES}\n{body}\n{END}{label}{DASHES}\n"
    ))
}

/// The text without white space, written out or escaped.
fn compact(text: &str) -> String {
    text.replace("\\r", "")
        .replace("\\n", "")
        .split_whitespace()
        .collect()
}
