//! The two layers above the defaults: the file, then the environment.

mod file;

use std::path::Path;

use file::File;
pub(crate) use file::{Literal, parse_array};

use crate::{
    environment::Environment,
    keys,
    problem::{Origin, Problem},
    show,
};

/// What a key is set to, before anything has looked at it.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The value, or what is there that no key can take.
    pub(crate) value: Result<Literal, &'static str>,
    pub(crate) origin: Origin,
}

/// Both layers, read.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    environment: &'a Environment,
    file: FileLayer,
}

#[derive(Debug)]
enum FileLayer {
    /// None is named.
    Unused,
    /// One is named and cannot be used, so that what it would set is not known.
    Broken,
    Used(File),
}

impl<'a> Sources<'a> {
    /// Reads the file, if one is named. What is wrong with it is added to `problems`.
    pub(crate) fn read(environment: &'a Environment, problems: &mut Vec<Problem>) -> Self {
        let file = match Self::named_file(environment) {
            None => FileLayer::Unused,
            Some(Ok(file)) => {
                problems.extend(repeated(&file));
                FileLayer::Used(file)
            }
            Some(Err(message)) => {
                problems.push(Problem {
                    key: keys::CONFIG_JSON.name.to_owned(),
                    origin: Some(Origin::Environment),
                    message,
                    example: Some(keys::CONFIG_JSON.example),
                });
                FileLayer::Broken
            }
        };
        Self { environment, file }
    }

    /// The file that the environment names; an error is a whole message.
    fn named_file(environment: &Environment) -> Option<Result<File, String>> {
        let Some(text) = environment
            .get(keys::CONFIG_JSON.name)?
            .to_str()
            .map(str::trim)
        else {
            return Some(Err("is not valid UTF-8".to_owned()));
        };
        if text.is_empty() {
            return None;
        }
        // Probably the settings themselves, secrets included: not to be repeated.
        if text.starts_with(['{', '[', '"']) || text.contains(char::is_control) {
            return Some(Err(
                "holds JSON; put that into a file and its path here".to_owned()
            ));
        }
        let file = File::read(Path::new(text));
        Some(file.map_err(|why| format!("{} {why}", show::quote(text))))
    }

    /// What sets the key of that name: the file, else the environment. Blank values set nothing.
    pub(crate) fn find(&self, name: &str) -> Option<Setting> {
        self.find_in_file(name)
            .or_else(|| self.find_in_environment(name))
    }

    fn find_in_file(&self, name: &str) -> Option<Setting> {
        let FileLayer::Used(file) = &self.file else {
            return None;
        };
        let property = file.properties.get(name)?;
        if property.value.as_ref().is_ok_and(Literal::is_blank) {
            return None;
        }
        let origin = Origin::File {
            path: file.path.clone(),
            line: property.line,
        };
        Some(Setting {
            value: property.value.clone(),
            origin,
        })
    }

    /// As [`Sources::find`], without the file.
    pub(crate) fn find_in_environment(&self, name: &str) -> Option<Setting> {
        let value = match self.environment.get(name)?.to_str() {
            Some(text) => Ok(Literal::Text(text.to_owned())),
            None => Err("is not valid UTF-8"),
        };
        if value.as_ref().is_ok_and(Literal::is_blank) {
            return None;
        }
        Some(Setting {
            value,
            origin: Origin::Environment,
        })
    }

    /// The names of everything that is set, each once, the file's own first.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Origin)> {
        let file = match &self.file {
            FileLayer::Used(file) => Some(file),
            FileLayer::Unused | FileLayer::Broken => None,
        };
        let in_file = file.into_iter().flat_map(|file| {
            file.properties.iter().map(|(name, property)| {
                let origin = Origin::File {
                    path: file.path.clone(),
                    line: property.line,
                };
                (name.as_str(), origin)
            })
        });
        let in_environment = self
            .environment
            .iter()
            .map(|(name, _)| name)
            .filter(move |name| file.is_none_or(|file| !file.properties.contains_key(*name)))
            .map(|name| (name, Origin::Environment));
        in_file.chain(in_environment)
    }

    /// Whether a key that nothing seems to set may yet stand in a file that could not be read.
    pub(crate) fn may_be_incomplete(&self) -> bool {
        matches!(self.file, FileLayer::Broken)
    }

    /// Where one would set a key, for the message that one is missing.
    pub(crate) fn places(&self) -> String {
        match &self.file {
            FileLayer::Used(file) => {
                format!(
                    "neither file {} nor the environment sets it",
                    file.path.display()
                )
            }
            FileLayer::Unused | FileLayer::Broken => {
                "the environment does not set it, and ZE_WORKER_CONFIG_JSON names no file"
                    .to_owned()
            }
        }
    }

    /// Bytes that the process may use, when there is a limit.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.environment.memory_limit()
    }
}

/// A key that stands in the file twice: JSON leaves open which of the two counts.
fn repeated(file: &File) -> impl Iterator<Item = Problem> {
    file.properties.iter().filter_map(|(name, property)| {
        let again = property.repeated_on?;
        Some(Problem {
            key: show::name(name),
            origin: Some(Origin::File {
                path: file.path.clone(),
                line: property.line,
            }),
            message: format!("stands in the file again, on line {again}; remove one of the two"),
            example: None,
        })
    })
}
