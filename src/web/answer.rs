//! The forms of answers: JSON, problems, and the headers that all have.

use super::{Asked, Outcome};
use crate::config::Finding;
use crate::http::{Body, whole};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, SystemTime};

/// The most bytes of a request's body.
const LARGEST_BODY: usize = 1 << 20;
/// How long a client may take to send it.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Why a request isn't answered: a problem by RFC 9457.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: StatusCode,
    /// What is wrong, and what to do.
    pub detail: String,
    pub findings: Option<Vec<Finding>>,
    /// Seconds after which it may be worth asking again.
    pub retry_after: Option<u32>,
}

impl Refusal {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), findings: None, retry_after: None }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Something of this program or its machine has failed.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// There is nothing at the moment.
    pub fn unavailable(detail: impl Into<String>, retry_after: u32) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    pub fn answer(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            findings: Option<&'a [Finding]>,
        }
        let problem = Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            findings: self.findings.as_deref(),
        };
        let mut response = whole(self.status, serde_json::to_vec(&problem).unwrap_or_default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"gst-trt\""));
        }
        response
    }
}

/// An answer of JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Outcome {
    let bytes = serde_json::to_vec(value).map_err(|error| Refusal::failed(error.to_string()))?;
    Ok(with_type(whole(status, bytes), "application/json"))
}

/// Reads a body of JSON.
pub async fn read_json<T: DeserializeOwned>(request: Asked) -> Result<T, Refusal> {
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect();
    let too_slow = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("the body didn't come within {BODY_TIME:?}"));
    let bytes = match tokio::time::timeout(BODY_TIME, body).await.map_err(too_slow)? {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("the body has more than {LARGEST_BODY} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        Err(error) => return Err(Refusal::bad(format!("the body can't be read: {error}"))),
    };
    serde_json::from_slice(&bytes).map_err(|error| Refusal::bad(format!("the body isn't what is expected: {error}")))
}

/// Sets the content type.
pub fn with_type(mut response: Response<Body>, kind: &'static str) -> Response<Body> {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What every answer says to browsers: nothing of another site is loaded, run or framed, and nothing is stored unless it says
/// so itself.
pub fn protect(response: &mut Response<Body>) {
    const HEADERS: [(&str, &str); 5] = [
        (
            "content-security-policy",
            "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// UTC, ISO 8601, with milliseconds.
pub fn time_text(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ns = u64::try_from(since.as_nanos() / 1_000_000 * 1_000_000).ok();
    let text = ns.and_then(crate::publish::iso8601).unwrap_or_default();
    // Of the nanoseconds only those that are milliseconds.
    text.strip_suffix("000000Z").map_or(text.clone(), |text| format!("{text}Z"))
}
