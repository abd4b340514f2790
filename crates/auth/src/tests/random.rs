//! Whatever comes in, nothing panics and nothing is accepted that we did not sign.

use proptest::prelude::*;

use super::*;
use crate::Minter;

proptest! {
    #[test]
    fn no_text_is_a_token(text in any::<String>()) {
        prop_assert!(verify(&text).is_err());
    }

    #[test]
    fn no_parts_are_a_token(header in ".{0,40}", payload in ".{0,60}", signature in any::<Vec<u8>>()) {
        prop_assert!(verify(&forge(&header, payload, |_| signature.clone())).is_err());
    }

    #[test]
    fn nothing_is_accepted_without_the_signature(
        uid in "[a-z]{1,5}\\.[a-z]{1,5}\\.[a-z]{1,5}|\\*",
        exp in NOW..NOW + 9999,
        signature in proptest::collection::vec(any::<u8>(), 0..80),
        algorithm in "HS256|HS512|none|RS256|ES256|EdDSA",
    ) {
        let claims = json!({"application_uid": uid, "can_write": true, "exp": exp}).to_string();
        let token = forge(&header(&algorithm), claims, |_| signature.clone());
        prop_assert!(verify(&token).is_err());
    }

    #[test]
    fn no_changed_byte_goes_unseen(at in any::<prop::sample::Index>(), byte in 0u8..128) {
        let mut token = signed(&claims()).into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(verify(std::str::from_utf8(&token).unwrap()).is_err());
    }

    /// Signed, but with a payload of any kind: refused, or of a form that we know.
    #[test]
    fn no_signed_claims_make_it_panic(
        name in "exp|nbf|can_write|application_uid|replica|username|user_uuid",
        json in "null|true|-?[0-9]{1,30}|[0-9]\\.[0-9]e[0-9]{1,3}|\"[ -!#-\\[\\]-~]{0,20}\"|\\[\\]|\\{\\}",
    ) {
        let mut text = without(&name).to_string();
        text.truncate(text.len() - 1);
        let token = forge(&header("HS256"), format!("{text},\"{name}\":{json}}}"), hs256(SECRET));
        drop(verify(&token));
    }

    #[test]
    fn no_key_makes_it_panic(text in any::<String>(), label in "PUBLIC KEY|RSA PUBLIC KEY|EC PRIVATE KEY|X") {
        drop(Verifier::new(&text, None, VerifierOptions::default()));
        drop(Minter::new(&text));
        let pem = format!("-----BEGIN {label}-----{text}-----END {label}-----");
        prop_assert!(Verifier::new(&pem, None, VerifierOptions::default()).is_err());
        let jwk = format!("{{\"kty\":\"oct\",\"k\":{text:?}");
        prop_assert!(Verifier::new(&jwk, None, VerifierOptions::default()).is_err());
    }

    /// As long as something is left of a line that marks a public key, it does not become a shared secret.
    #[test]
    fn no_damaged_public_key_becomes_a_secret(from in 0usize..=21, to in 0usize..=60) {
        let pem = ec_pem();
        let text = &pem[from..pem.len() - to];
        prop_assert!(Minter::new(text).is_err(), "{text}");
    }
}
