//! Keys in the forms in which operators give them.

use super::*;
use crate::{KeyDefect, KeyRole, Minter};

const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDgcvWb0ypIo+aJ0jqLNcC7mvVv
Qu7AO84rAzqbe7xmOi7VOrc14krK9fT5wvbc6yxMkiQ6MBo5G7SrU5UVIjn38tNe
CwaKjMsK75+QJiUvSonMacFNbq/pqlsB6d5b45FMdav7sT+udy5/84LYSZwhgQNW
orAiXYRcly/uww2TMwIDAQAB
-----END PUBLIC KEY-----";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEmpVCF7vdKchAN82jx1WD1g0Ud0+aoRim
iy8oiLQGS64RH7qEt2vkWO5btTiMDvVdK1sEM9Pg5bQnNYQ6+HqsLO8GK68bmk2F
kzfkLdL+1vMcuvBDYdNbn5IhGAVXU+0r
-----END PUBLIC KEY-----";
/// On another curve, but with points of the same length as P-256.
const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE1y8qOm5b1vyfbpEiMBdT8kVytPrL8X+H
Xly1Fu+tZ5+PW2dx9M7BCQhtBKBk0H8fO4SLQXri5tarNZvkD1elFw==
-----END PUBLIC KEY-----";
const ED448: &str = "-----BEGIN PUBLIC KEY-----
MEMwBQYDK2VxAzoAsah7of0Igc+ow5cj4PGDjkXY8wO20ttSDrRFwvRrrfuvbfAM
Sxpd74uryYyo1EZ2K+wk+Vivd96A
-----END PUBLIC KEY-----";
const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAPxWtCDc1/8xIlS+Mqj9yTtJ
qg/gUipYIJub+x27o11x+oT0pKrUot+wO0LeiPe82kVhT//qTTqdyBesODmmTnhr
nQ4F79g/Qviabthvbe9CF+VoK1DML7eb25Q6cahutULGdNBcpp9ocT2iIiII2Xzw
mBF73prbA+6LYV6Hv1w7ks17k+glPg2xFsfqM9glBNxSmR0D+dA049Bk/mtp/yfl
OAlBeJCk+9U9TwVGmUyQ5mBOzvdveGlZpDyIdf8XGGNJEz5YVoTuieFgoldgd5ic
Dgef4YYe26PQVK+AUvdBziJ8EPHei32aqbaElCPn900erPQBvHLrr2UWqH7/0LkC
AwEAAQ==
-----END PUBLIC KEY-----";
/// A P-256 key with its point compressed.
const COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgAChpx+IrULws3c1L82W1twpLqDxpmL
L0/29Px8PAwItsM=
-----END PUBLIC KEY-----";

#[test]
fn keys_that_verify() {
    let rsa_pkcs1 = pem("RSA PUBLIC KEY", RSA.public_key().as_ref());
    let cases = [
        ("a secret", SECRET.to_owned(), "HS256"),
        ("oct JWK", oct_jwk().to_string(), "HS256"),
        ("RSA PEM", rsa_pem(), "RS256"),
        ("RSA PEM of PKCS#1", rsa_pkcs1, "RS256"),
        ("RSA JWK", rsa_jwk().to_string(), "RS256"),
        ("EC PEM", ec_pem(), "ES256"),
        ("EC JWK", ec_jwk().to_string(), "ES256"),
        ("Ed25519 PEM", ed_pem(), "EdDSA"),
        ("Ed25519 JWK", ed_jwk().to_string(), "EdDSA"),
        (
            "escaped line breaks",
            ec_pem().replace('\n', "\\n"),
            "ES256",
        ),
        (
            "escaped line breaks of Windows",
            ec_pem().replace('\n', "\\r\\n"),
            "ES256",
        ),
        (
            "line breaks of Windows",
            rsa_pem().replace('\n', "\r\n"),
            "RS256",
        ),
        (
            "spaces for line breaks",
            rsa_pem().replace('\n', " "),
            "RS256",
        ),
        (
            "nothing for line breaks",
            ed_pem().replace('\n', ""),
            "EdDSA",
        ),
        (
            "quotes around it",
            format!("\"{}\"", ed_pem().replace('\n', "\\n")),
            "EdDSA",
        ),
        (
            "indented",
            format!("  {}", ed_pem().replace('\n', "\n  ")),
            "EdDSA",
        ),
        (
            "a byte order mark",
            format!("\u{feff}{}", ed_pem()),
            "EdDSA",
        ),
        (
            "text before it",
            format!("# our key\n{}", ed_pem()),
            "EdDSA",
        ),
        (
            "JWK with all about it",
            changed(ec_jwk(), "alg", "ES256"),
            "ES256",
        ),
        (
            "JWK for signatures",
            changed(ec_jwk(), "use", "sig"),
            "ES256",
        ),
        ("JWK with an id", changed(ed_jwk(), "kid", "2026"), "EdDSA"),
        (
            "JWK with space around",
            format!("\n {} \n", ed_jwk()),
            "EdDSA",
        ),
    ];
    for (name, key, algorithm) in cases {
        let token = match algorithm {
            "RS256" => forge(&header(algorithm), claims().to_string(), rs256),
            "ES256" => forge(&header(algorithm), claims().to_string(), es256),
            "EdDSA" => forge(&header(algorithm), claims().to_string(), eddsa),
            _ => signed(&claims()),
        };
        assert_eq!(defect(&key), None, "case `{name}`");
        assert!(verifier(&key).verify(&token, NOW).is_ok(), "case `{name}`");
    }
}

/// A secret is taken byte for byte, and not every odd one is a key of another kind.
#[test]
fn secrets() {
    let secrets = [
        "s",
        " with spaces around ",
        "line break at its end\n",
        "{not json",
        "[",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A and then something else",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
        "MAUCAQECAQI=",
        "ssh-rsa is a word here",
        "BEGIN",
        "ключ",
    ];
    for secret in secrets {
        assert_eq!(defect(secret), None, "{secret:?}");
        let token = forge(&header("HS256"), claims().to_string(), hs256(secret));
        assert!(verifier(secret).verify(&token, NOW).is_ok(), "{secret:?}");
        let trimmed = secret.trim();
        if trimmed != secret {
            assert!(verifier(trimmed).verify(&token, NOW).is_err(), "{secret:?}");
        }
    }
}

#[test]
fn pem_that_cannot_be_used() {
    use KeyDefect as D;
    let cut_off = ec_pem().lines().take(2).collect::<Vec<_>>().join("\n");
    let mut short: Vec<String> = rsa_pem().lines().map(str::to_owned).collect();
    short.remove(2);
    let private = pem("PRIVATE KEY", ED.to_pkcs8().unwrap());
    let cases = [
        ("private", private.clone(), D::Private),
        (
            "private of RSA",
            pem("RSA PRIVATE KEY", [0x30, 0]),
            D::Private,
        ),
        (
            "private of EC",
            pem("EC PRIVATE KEY", [0x30, 0]),
            D::Private,
        ),
        (
            "private and encrypted",
            pem("ENCRYPTED PRIVATE KEY", [0x30, 0]),
            D::Private,
        ),
        (
            "public and private",
            format!("{}{private}", ed_pem()),
            D::Private,
        ),
        ("private with \\n", private.replace('\n', "\\n"), D::Private),
        ("certificate", pem("CERTIFICATE", [0x30, 0]), D::Certificate),
        (
            "certificate, trusted",
            pem("TRUSTED CERTIFICATE", [0x30, 0]),
            D::Certificate,
        ),
        (
            "RSA of 1024 bits",
            RSA_1024.into(),
            D::RsaSize { bits: 1024 },
        ),
        ("P-384", P384.into(), D::Unsupported),
        ("secp256k1", SECP256K1.into(), D::Unsupported),
        ("Ed448", ED448.into(), D::Unsupported),
        ("RSA-PSS", RSA_PSS.into(), D::Unsupported),
        (
            "an empty sequence",
            pem("PUBLIC KEY", [0x30, 0]),
            D::Unsupported,
        ),
        (
            "two keys",
            format!("{}{}", ed_pem(), ec_pem()),
            D::Pem("it has to be one key, not several"),
        ),
        (
            "cut off",
            cut_off,
            D::Pem("it has to end with `-----END PUBLIC KEY-----`"),
        ),
        (
            "ends as something else",
            ec_pem().replace("END PUBLIC", "END RSA PUBLIC"),
            D::Pem("it has to end with `-----END PUBLIC KEY-----`"),
        ),
        (
            "without its first line",
            ec_pem().lines().skip(1).collect::<Vec<_>>().join("\n"),
            D::Pem("it has to begin with `-----BEGIN PUBLIC KEY-----`"),
        ),
        (
            "a line lost",
            short.join("\n"),
            D::Pem("what is between its first and last line is cut off or damaged"),
        ),
        (
            "no base64",
            "-----BEGIN PUBLIC KEY-----\n****\n-----END PUBLIC KEY-----".into(),
            D::Pem("what is between its first and last line is cut off or damaged"),
        ),
        (
            "another kind of block",
            pem("PGP PUBLIC KEY BLOCK", [0x30, 0]),
            D::Pem("it has to be a `PUBLIC KEY` or an `RSA PUBLIC KEY`"),
        ),
        (
            "as SSH exports it",
            "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----".into(),
            D::Pem("it has to begin with `-----BEGIN PUBLIC KEY-----`"),
        ),
        (
            "in base64 as a whole",
            STANDARD.encode(ec_pem()),
            D::Pem("it is encoded in base64 once more: decode it"),
        ),
    ];
    for (name, key, expected) in cases {
        assert_eq!(defect(&key), Some(expected), "case `{name}`");
    }
}

#[test]
fn public_keys_that_look_like_secrets() {
    let bare = |der: &[u8]| STANDARD.encode(der);
    let rsa = RSA.public_key().as_der().unwrap();
    let cases = [
        ("RSA", bare(rsa.as_ref()), KeyDefect::Bare),
        (
            "RSA of PKCS#1",
            bare(RSA.public_key().as_ref()),
            KeyDefect::Bare,
        ),
        (
            "EC",
            bare(EC.public_key().as_der().unwrap().as_ref()),
            KeyDefect::Bare,
        ),
        (
            "Ed25519",
            bare(ED.public_key().as_der().unwrap().as_ref()),
            KeyDefect::Bare,
        ),
        ("for URLs", base64url(rsa.as_ref()), KeyDefect::Bare),
        (
            "in lines",
            format!("{}\n", bare(rsa.as_ref()).replace("AQEF", "AQ\\nEF")),
            KeyDefect::Bare,
        ),
        (
            "SSH",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@host".into(),
            KeyDefect::Ssh,
        ),
    ];
    for (name, key, expected) in cases {
        assert_eq!(defect(&key), Some(expected), "case `{name}`");
        assert!(Minter::new(&key).is_err(), "case `{name}`");
    }
}

#[test]
fn a_compressed_point_is_as_good() {
    assert_eq!(defect(COMPRESSED), None);
}

#[test]
fn a_problem_names_the_key_and_shows_nothing_of_it() {
    let new = |key, previous| Verifier::new(key, previous, VerifierOptions::default()).unwrap_err();
    let empty = new(" \n", None);
    assert_eq!(empty.role(), KeyRole::Current);
    assert_eq!(
        empty.to_string(),
        "the key is empty: give a shared secret, a public key in PEM or a JWK"
    );
    let previous = new(SECRET, Some(RSA_1024));
    assert_eq!(previous.role(), KeyRole::Previous);
    assert_eq!(
        previous.to_string(),
        "the previous key is an RSA key of 1024 bits: it has to have 2048 to 8192"
    );
    let shown = format!("{:?}", new("{\"kty\":\"oct\",\"k\":\"hunter2\"", None));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn only_a_shared_secret_mints() {
    let public = [
        rsa_pem(),
        ec_pem(),
        ed_pem(),
        rsa_jwk().to_string(),
        ed_jwk().to_string(),
    ];
    for key in public {
        let problem = Minter::new(&key).unwrap_err();
        assert_eq!(problem.defect(), &KeyDefect::CannotMint);
    }
    let cases = [
        ("empty", String::new(), KeyDefect::Empty),
        ("private", pem("PRIVATE KEY", [0x30, 0]), KeyDefect::Private),
        (
            "a weak one",
            RSA_1024.to_owned(),
            KeyDefect::RsaSize { bits: 1024 },
        ),
    ];
    for (name, key, expected) in cases {
        assert_eq!(
            Minter::new(&key).unwrap_err().defect(),
            &expected,
            "case `{name}`"
        );
    }
    assert!(Minter::new(&oct_jwk().to_string()).is_ok());
}
