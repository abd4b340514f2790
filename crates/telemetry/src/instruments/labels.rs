//! What metrics are told apart by. Each label has few values, whatever comes in.

use http::{Method, StatusCode};

/// Makes an enum, each value of which has a fixed name in metrics.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$of])* $value,)+
        }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// The name in metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }
        }
    };
}
pub(super) use label;

label! {
    /// Which part of the edge answers a request (`http.route`): never the path itself.
    Route {
        /// Takes in files.
        Upload = "/upload",
        /// Takes in a deployment.
        Publish = "/publish",
        /// Says which files are known.
        HashList = "/__get_application_hash_list__",
        /// Whether the process runs.
        Healthz = "/healthz",
        /// Whether it can serve.
        Readyz = "/readyz",
        /// Whether it has started.
        Startupz = "/startupz",
        /// The metrics themselves.
        Metrics = "/metrics",
        /// Below `/__favonius/`, where no application's files are served.
        Reserved = "/__favonius/*",
        /// A deployment, by hostname or route key.
        Deployment = "/*",
    }
}

label! {
    /// What stores things.
    Backend {
        /// Redis.
        Redis = "redis",
        /// A bucket.
        S3 = "s3",
        /// A directory and a database on this machine.
        Embedded = "embedded",
    }
}

label! {
    /// What a store is asked to do.
    Operation {
        /// Reads what a name points to.
        Deployment = "deployment",
        /// Reads a snapshot.
        Snapshot = "snapshot",
        /// Asks which files are known.
        KnownAssets = "known_assets",
        /// Asks whether one file is known.
        KnowsAsset = "knows_asset",
        /// Lists versions.
        Versions = "versions",
        /// Lists names.
        Names = "names",
        /// Reads what a name pointed to.
        History = "history",
        /// Writes records, all or none.
        Commit = "commit",
        /// Sees whether the store answers.
        Check = "check",
        /// Reads an object.
        Get = "get",
        /// Asks for an object's size.
        Head = "head",
        /// Writes an object.
        Put = "put",
        /// Begins to write an object in parts.
        CreateUpload = "create_upload",
        /// Writes a part of an object.
        PutPart = "put_part",
        /// Makes an object of its parts.
        CompleteUpload = "complete_upload",
        /// Gives the parts of an object up.
        AbortUpload = "abort_upload",
        /// Copies an object.
        Copy = "copy",
        /// Removes objects.
        Delete = "delete",
        /// Lists objects.
        List = "list",
    }
}

label! {
    /// What came of an operation on a store.
    Outcome {
        /// It did what it was asked.
        Ok = "ok",
        /// There is no such thing, which is an answer as well.
        Absent = "absent",
        /// Something else was there first.
        Conflict = "conflict",
        /// The store does not answer, or not in time.
        Unavailable = "unavailable",
        /// Who asked has gone, after a second or more without an answer.
        Abandoned = "abandoned",
        /// We may not.
        Denied = "denied",
        /// What is stored is not what it should be.
        Corrupt = "corrupt",
        /// There is no room.
        Full = "full",
        /// Anything else.
        Internal = "internal",
    }
}

label! {
    /// What is kept in memory.
    Cache {
        /// What names answer with.
        Deployments = "deployments",
        /// HTML that the edge adds to.
        Pages = "pages",
        /// Assets, and forms of them.
        Assets = "assets",
    }
}

label! {
    /// What a cache had.
    Lookup {
        /// What was asked for.
        Hit = "hit",
        /// Nothing.
        Miss = "miss",
    }
}

label! {
    /// What is uploaded.
    Upload {
        /// A file.
        Asset = "asset",
        /// The list of a build's files.
        Snapshot = "snapshot",
    }
}

label! {
    /// What came of an upload or a publish.
    Intake {
        /// It is stored.
        Stored = "stored",
        /// It was there already.
        Known = "known",
        /// It is not as it should be.
        Rejected = "rejected",
        /// The stores failed.
        Failed = "failed",
    }
}

label! {
    /// What came of a compressed form of an asset.
    Pressed {
        /// It is stored.
        Made = "made",
        /// It would save too little.
        OfNoUse = "of_no_use",
        /// There was too much to do: all forms of an asset are left to the next request for it.
        LeftOut = "left_out",
        /// The store failed, or the asset was not there.
        Failed = "failed",
    }
}

label! {
    /// What readiness asks for.
    Check {
        /// The store of files.
        Assets = "assets",
        /// The store of records.
        Records = "records",
    }
}

label! {
    /// How the answer to a request ended (`error.type`, where it is an error).
    Ending {
        /// All of it was given to the connection.
        Whole = "whole",
        /// The client went away before that.
        Cancelled = "cancelled",
        /// The store failed in the middle of the body.
        Broken = "broken",
    }
}

/// The methods that the conventions for HTTP know, else `_OTHER`.
pub(crate) fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
    ];
    let name = method.as_str();
    KNOWN
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("_OTHER")
}

/// The status, or the first of its class where nobody has given it a meaning.
pub(super) fn status(status: StatusCode) -> i64 {
    let code = status.as_u16();
    i64::from(if status.canonical_reason().is_some() {
        code
    } else {
        code / 100 * 100
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_statuses_are_few() {
        let cases = [
            (Method::GET, "GET"),
            (Method::PATCH, "PATCH"),
            (Method::from_bytes(b"get").unwrap(), "_OTHER"),
            (Method::from_bytes(b"PROPFIND").unwrap(), "_OTHER"),
        ];
        for (given, expected) in cases {
            assert_eq!(method(&given), expected);
        }
        for (given, expected) in [(200, 200), (404, 404), (299, 200), (999, 900)] {
            assert_eq!(status(StatusCode::from_u16(given).unwrap()), expected);
        }
    }
}
