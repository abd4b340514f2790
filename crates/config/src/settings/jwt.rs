//! What write tokens are verified with.

use crate::{
    environment::Environment,
    keys::{self, Key},
    parse::boolean,
    problem::{Problems, Warning},
    reader::{Checked, Reader},
    secret::Secret,
    settings::warn_of_white_space,
};

/// A shorter shared secret than the hash is long weakens HS256 (RFC 7518, section 3.2).
const SECRET_MIN_BYTES: usize = 32;

/// What write tokens are verified with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Jwt {
    /// The shared secret, PEM public key or JWK.
    pub secret: Secret,
    /// A second one that is accepted while secrets are changed; never to be signed with.
    pub previous: Option<Secret>,
    /// Whether a token has to name the application it is for.
    pub require_application: bool,
}

impl Jwt {
    /// Reads this section alone, for who mints tokens and needs nothing else of a worker's settings.
    ///
    /// # Errors
    /// Everything that is wrong with it, or with the file as a whole.
    pub fn load(environment: &Environment) -> Result<(Self, Vec<Warning>), Problems> {
        let mut reader = Reader::new(environment);
        let jwt = Self::read(&mut reader);
        let (jwt, _, warnings) = reader.finish(jwt)?;
        Ok((jwt, warnings))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let secret = reader.required(keys::JWT_SECRET, |text| Ok(Secret::new(text)));
        let previous = reader.optional(keys::JWT_SECRET_PREVIOUS, |text| Ok(Secret::new(text)));
        let require_application = reader.value(keys::JWT_REQUIRE_APPLICATION, boolean);
        let this = Self {
            secret: secret?,
            previous: previous?,
            require_application: require_application?,
        };
        this.warn(reader);
        Ok(this)
    }

    fn warn(&self, reader: &mut Reader<'_>) {
        warn_of_weakness(reader, keys::JWT_SECRET, &self.secret);
        if let Some(previous) = &self.previous {
            warn_of_weakness(reader, keys::JWT_SECRET_PREVIOUS, previous);
            if previous.expose() == self.secret.expose() {
                let message = "is the same as ZE_WORKER_JWT_SECRET, so it changes nothing";
                reader.warn(keys::JWT_SECRET_PREVIOUS, message);
            }
        }
    }
}

fn warn_of_weakness(reader: &mut Reader<'_>, key: &Key, secret: &Secret) {
    if secret.expose().len() < SECRET_MIN_BYTES {
        let better = keys::JWT_SECRET.example;
        reader.warn(
            key,
            format!("is shorter than {SECRET_MIN_BYTES} bytes; better: {better}"),
        );
    }
    warn_of_white_space(reader, key, secret);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    #[test]
    fn the_section_loads_without_the_others() {
        let secret = "an example of at least thirty-two bytes";
        let environment = Environment::from([(keys::JWT_SECRET.name, secret)]);
        let (jwt, warnings) = Jwt::load(&environment).unwrap();
        assert_eq!(jwt.secret.expose(), secret);
        assert!(warnings.is_empty(), "{warnings:?}");

        let problems = Jwt::load(&Environment::default()).unwrap_err();
        let keys: Vec<_> = problems.problems().iter().map(Problem::key).collect();
        assert_eq!(keys, [keys::JWT_SECRET.name]);
    }
}
