//! Verifying a write token: done once for each upload, of which one deployment has hundreds.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use favonius_auth::{MintRequest, Minter, Scope, Verifier, VerifierOptions};
use favonius_benches::{APPLICATION, NOW_MS};

const SECRET: &str = "a secret of the benches that is long enough";
const OTHER: &str = "another secret of the benches, to refuse by";

fn verify(c: &mut Criterion) {
    let application = APPLICATION.parse().expect("a well-formed uid");
    let now_s = NOW_MS / 1000;
    let request =
        MintRequest::new(Scope::Application(application), Duration::from_hours(1)).for_user("ada");
    let token = Minter::new(SECRET)
        .expect("a usable secret")
        .mint(&request, now_s)
        .expect("a token that can be minted");
    let options = VerifierOptions::default();
    let verifier =
        |secret, previous| Verifier::new(secret, previous, options).expect("usable secrets");
    let cases = [
        ("current key", verifier(SECRET, None), true),
        ("previous key", verifier(OTHER, Some(SECRET)), true),
        ("wrong key", verifier(OTHER, None), false),
    ];
    let mut group = c.benchmark_group("verify a token");
    for (name, verifier, accepted) in cases {
        assert_eq!(verifier.verify(&token, now_s).is_ok(), accepted, "{name}");
        group.bench_function(name, |b| {
            b.iter(|| verifier.verify(black_box(&token), now_s));
        });
    }
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
