//! JSON objects as tokens have them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::Value;

/// A JSON object in which no name comes twice.
///
/// Of a name that comes twice readers take the first or the last (RFC 7519, section 4), so that two of them would
/// see different permissions. And unlike a derived struct this is never read from an array.
pub(crate) struct Object(BTreeMap<String, Value>);

impl Object {
    /// What stands under a name; `null` is there.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(M::Error::custom("a name comes twice"));
                    }
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_distinct_names() {
        let cases = [
            ("an object", r#"{"a": 1, "b": null}"#, true),
            ("an empty one", "{}", true),
            ("a name twice", r#"{"a": 1, "a": 1}"#, false),
            (
                "a name twice, once escaped",
                r#"{"a": 1, "\u0061": 1}"#,
                false,
            ),
            ("an array", r#"[["a", 1]]"#, false),
            ("null", "null", false),
            ("more after it", r#"{"a": 1} {"#, false),
        ];
        for (name, json, expected) in cases {
            let read = serde_json::from_str::<Object>(json);
            assert_eq!(read.is_ok(), expected, "case `{name}`");
        }
    }
}
