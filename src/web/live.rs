//! Pictures for clients: one, or as they come.

use super::access::parameter;
use super::answer::{Refusal, time_text, with_type};
use super::pictures::Picture;
use super::{Outcome, Site};
use crate::http::whole;
use crate::record::Look;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode, Uri};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TIME: HeaderName = HeaderName::from_static("x-picture-time");
/// Between the parts of a stream of pictures.
const BOUNDARY: &str = "picture";
/// How long a stream of pictures of a lost camera waits for the next attempt.
const LOST: Duration = Duration::from_secs(1);

/// A number among the parameters, in these limits.
fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    uri: &Uri,
    name: &str,
    least: T,
    most: T,
) -> Result<Option<T>, Refusal> {
    let Some(text) = parameter(uri, name) else { return Ok(None) };
    let value = text.parse::<T>().ok().filter(|value| (&least..=&most).contains(&value));
    value.map(Some).ok_or_else(|| Refusal::bad(format!("{name} is a number from {least} to {most}")))
}

fn look(uri: &Uri) -> Result<Look, Refusal> {
    let drawn = match parameter(uri, "plain").as_deref() {
        None | Some("0") => true,
        Some("1") => false,
        Some(_) => return Err(Refusal::bad("plain is 0 or 1")),
    };
    Ok(Look { drawn, width: number(uri, "width", 64, 7680)? })
}

pub async fn picture(site: &Site, camera: &str, uri: &Uri) -> Outcome {
    site.view(camera)?;
    let look = look(uri)?;
    let view = site.playing(camera)?;
    site.pictures.retain(|name| site.sources.views.get(name).is_some());
    let picture = site.pictures.next(camera, view, look, Instant::now()).await?;
    let mut response = with_type(whole(StatusCode::OK, picture.jpeg.clone()), "image/jpeg");
    if let Ok(time) = HeaderValue::from_str(&time_text(picture.time)) {
        response.headers_mut().insert(TIME, time);
    }
    Ok(response)
}

/// A client that gets pictures as they come.
struct Viewer {
    site: Arc<Site>,
    camera: String,
    look: Look,
    every: Duration,
    /// When the last picture's frame was asked for.
    last: Instant,
    due: Instant,
}

pub fn pictures(site: &Arc<Site>, camera: &str, uri: &Uri) -> Outcome {
    site.view(camera)?;
    let fps = number(uri, "fps", 0.1, 30.0)?.unwrap_or(10.0);
    let now = Instant::now();
    let viewer = Viewer {
        site: site.clone(),
        camera: camera.to_owned(),
        look: look(uri)?,
        every: Duration::from_secs_f64(1.0 / fps),
        last: now,
        due: now,
    };
    // The next picture is made when the client has taken the last.
    let parts = stream::unfold(viewer, |mut viewer| async {
        let part = viewer.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(part)), viewer))
    });
    let mut response = Response::new(StreamBody::new(parts).boxed_unsync());
    let kind = HeaderValue::from_static("multipart/x-mixed-replace; boundary=picture");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

impl Viewer {
    /// The next part; `None`: the camera isn't there any more.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::time::sleep_until(self.due.into()).await;
            self.site.sources.views.get(&self.camera)?;
            let next = match self.site.playing(&self.camera) {
                Ok(view) => self.site.pictures.next(&self.camera, view, self.look, self.last).await,
                Err(refusal) => Err(refusal),
            };
            match next {
                Ok(picture) => {
                    self.last = picture.asked;
                    self.due = (self.due + self.every).max(Instant::now());
                    return Some(part(&picture));
                }
                Err(_) => self.due = Instant::now() + LOST,
            }
        }
    }
}

fn part(picture: &Picture) -> Bytes {
    let (length, time) = (picture.jpeg.len(), time_text(picture.time));
    let head = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\nX-Picture-Time: {time}\r\n\r\n"
    );
    [head.as_bytes(), &picture.jpeg, b"\r\n"].concat().into()
}
