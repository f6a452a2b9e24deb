//! HTTP/1.1 on a thread of its own, for the metrics and for the web page. A client can hold up neither the others nor
//! anything else: the number of connections, the time for a request's head and the time without progress of an answer are
//! limited.

mod server;
mod stalling;

pub use server::{Handler, Limits, Server};

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use std::convert::Infallible;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer whose body is known as a whole.
pub fn whole(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}
