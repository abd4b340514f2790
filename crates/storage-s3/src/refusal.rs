//! What S3 says when it refuses, sorted by what one can do about it.

use std::{error::Error as StdError, fmt, io};

use bytes::BytesMut;
use http::StatusCode;
use http_body_util::BodyExt;
use object_store::{
    Error,
    client::{HttpError, HttpErrorKind, HttpResponse, HttpResponseBody},
    path::Path,
};

/// More than this of an error's text is not read.
const TEXT_LIMIT: usize = 64 * 1024;
/// More than this of its code or message is not shown.
const SHOWN: usize = 300;

/// An answer that no repetition changes.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// S3's name for it, such as `AccessDenied`; empty where the answer has no text, as to HEAD.
    code: String,
    message: String,
}

/// What one can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Correct the settings, the credentials or the bucket's rules.
    Settings,
    /// Make room.
    Room,
    /// Wait.
    Time,
    /// Another server: this one cannot do it.
    Server,
    /// Correct us.
    Code,
}

impl Refusal {
    fn remedy(&self) -> Remedy {
        match (self.status.as_u16(), self.code.as_str()) {
            (507, _)
            | (_, "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded") => {
                Remedy::Room
            }
            (_, "RequestTimeout" | "SlowDown" | "ServiceUnavailable") => Remedy::Time,
            (300..=399 | 401 | 403 | 404, _)
            | (
                _,
                "AuthorizationHeaderMalformed"
                | "ExpiredToken"
                | "InvalidAccessKeyId"
                | "InvalidBucketName"
                | "InvalidToken"
                | "NoSuchBucket",
            ) => Remedy::Settings,
            (405 | 501, _) => Remedy::Server,
            _ => Remedy::Code,
        }
    }

    fn hint(&self) -> &'static str {
        match (self.status.as_u16(), self.code.as_str()) {
            (_, "NoSuchBucket" | "InvalidBucketName") => {
                "; make the bucket or correct its name (ZE_WORKER_S3_BUCKET)"
            }
            (300..=399, _) | (_, "AuthorizationHeaderMalformed") => {
                "; the bucket is elsewhere: correct ZE_WORKER_S3_REGION or ZE_WORKER_S3_ENDPOINT"
            }
            (_, "InvalidAccessKeyId") => "; correct ZE_WORKER_S3_ACCESS_KEY_ID",
            (_, "SignatureDoesNotMatch") => "; correct ZE_WORKER_S3_SECRET_ACCESS_KEY",
            (_, "RequestTimeTooSkewed") => "; the clock of this machine or of the server is wrong",
            (401 | 403, _) => {
                "; the credentials are wrong or lack a right (s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject)"
            }
            _ => "",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 answered {}", self.status.as_u16())?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        f.write_str(self.hint())
    }
}

impl StdError for Refusal {}

/// Lets through what `object_store` understands or tries again, and makes an error of every other answer.
///
/// A plain 404 is let through, for the object is not there. That there is no bucket has the same status.
pub(crate) async fn sort(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let status = response.status();
    let understood = match status.as_u16() {
        501 | 507 => false,
        200..=299 | 304 | 408 | 409 | 412 | 429 | 500..=599 => true,
        _ => false,
    };
    if understood {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let text = read(body).await?;
    let refusal = Refusal {
        status,
        code: element(&text, "Code"),
        message: element(&text, "Message"),
    };
    if status == StatusCode::NOT_FOUND && refusal.code != "NoSuchBucket" {
        return Ok(HttpResponse::from_parts(parts, text.into()));
    }
    // Of this kind because others are tried again.
    Err(HttpError::new(HttpErrorKind::Unknown, refusal))
}

/// The beginning of a body, as text.
async fn read(mut body: HttpResponseBody) -> Result<String, HttpError> {
    let mut text = BytesMut::new();
    while text.len() < TEXT_LIMIT
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            text.extend_from_slice(&data);
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The text of the first element of this name, as far as it is fit for a log.
fn element(xml: &str, name: &str) -> String {
    let text = xml
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once('<'))
        .map_or("", |(text, _)| text);
    text.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect()
}

/// Gives an error the variant that says what it means.
pub(crate) fn translate(error: Error, path: &Path) -> Error {
    let Some(refusal) = find(&error).cloned() else {
        return error;
    };
    let store = crate::store::NAME;
    match refusal.remedy() {
        Remedy::Settings => Error::PermissionDenied {
            path: path.to_string(),
            source: Box::new(refusal),
        },
        Remedy::Room => Error::Generic {
            store,
            source: Box::new(io::Error::new(io::ErrorKind::StorageFull, refusal)),
        },
        Remedy::Time => Error::Generic {
            store,
            source: Box::new(refusal),
        },
        Remedy::Server => Error::NotImplemented {
            operation: format!("what was asked of it ({refusal})"),
            implementer: "the S3 server".into(),
        },
        Remedy::Code => Error::NotSupported {
            source: Box::new(refusal),
        },
    }
}

fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Refusal> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refusal) = error.downcast_ref() {
            return Some(refusal);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        let body = HttpResponseBody::from(body.to_owned());
        let mut response = HttpResponse::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }

    fn xml(code: &str, message: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        )
    }

    #[tokio::test]
    async fn answers_are_sorted_by_remedy() {
        let cases = [
            (
                "wrong secret",
                403,
                "SignatureDoesNotMatch",
                Some(Remedy::Settings),
            ),
            ("HEAD without a right", 403, "", Some(Remedy::Settings)),
            ("no bucket", 404, "NoSuchBucket", Some(Remedy::Settings)),
            ("no object", 404, "NoSuchKey", None),
            ("no object, HEAD", 404, "", None),
            (
                "another region",
                301,
                "PermanentRedirect",
                Some(Remedy::Settings),
            ),
            (
                "another region, signed",
                400,
                "AuthorizationHeaderMalformed",
                Some(Remedy::Settings),
            ),
            ("old token", 400, "ExpiredToken", Some(Remedy::Settings)),
            ("slow connection", 400, "RequestTimeout", Some(Remedy::Time)),
            ("full disk", 507, "XMinioStorageFull", Some(Remedy::Room)),
            ("quota", 403, "QuotaExceeded", Some(Remedy::Room)),
            ("not built", 501, "NotImplemented", Some(Remedy::Server)),
            ("no such range", 416, "InvalidRange", Some(Remedy::Code)),
            ("bad request", 400, "InvalidArgument", Some(Remedy::Code)),
            ("there already", 412, "PreconditionFailed", None),
            ("conflict", 409, "OperationAborted", None),
            ("too many", 429, "", None),
            ("overload", 503, "SlowDown", None),
            ("broken", 500, "InternalError", None),
        ];
        for (name, status, code, expected) in cases {
            let result = sort(answer(status, &xml(code, "why"))).await;
            let remedy = result.err().map(|error| find(&error).unwrap().remedy());
            assert_eq!(remedy, expected, "case `{name}`");
        }
    }

    #[tokio::test]
    async fn the_text_says_what_where_and_what_to_do() {
        let refused = sort(answer(404, &xml("NoSuchBucket", "It is not there\n")));
        let error = refused.await.unwrap_err();
        let error = Error::Generic {
            store: "S3",
            source: Box::new(error),
        };
        let error = translate(error, &Path::from("k"));
        assert!(
            matches!(&error, Error::PermissionDenied { path, .. } if path == "k"),
            "{error:?}"
        );
        assert!(error.to_string().ends_with(
            "S3 answered 404 NoSuchBucket: It is not there; make the bucket or correct its name (ZE_WORKER_S3_BUCKET)"
        ), "{error}");
    }

    #[tokio::test]
    async fn a_404_keeps_its_text_and_no_answer_is_read_without_end() {
        let text = xml("NoSuchKey", "gone");
        let passed = sort(answer(404, &text)).await.unwrap();
        assert_eq!(passed.into_body().bytes().await.unwrap(), text);
        let long = format!("<Code>{}", "x".repeat(3 * TEXT_LIMIT));
        let error = sort(answer(400, &long)).await.unwrap_err();
        assert!(error.to_string().len() < 2 * SHOWN, "{error}");
        let long = format!("<Code>{}</Code>", "x".repeat(3 * SHOWN));
        let error = sort(answer(400, &long)).await.unwrap_err();
        assert!(error.to_string().len() < 2 * SHOWN, "{error}");
    }

    #[test]
    fn a_full_store_is_told_by_the_io_error_below() {
        let refusal = Refusal {
            status: StatusCode::INSUFFICIENT_STORAGE,
            code: String::new(),
            message: String::new(),
        };
        let error = HttpError::new(HttpErrorKind::Unknown, refusal);
        let error = Error::Generic {
            store: "S3",
            source: Box::new(error),
        };
        let error = translate(error, &Path::from("k"));
        let below = StdError::source(&error).unwrap();
        let below = below.downcast_ref::<io::Error>().unwrap();
        assert_eq!(below.kind(), io::ErrorKind::StorageFull);
    }
}
