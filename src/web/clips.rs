//! Clips, from the folder of a camera and from nowhere else.

use super::answer::{Refusal, with_type};
use super::zones::blocking;
use super::{Outcome, Site};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes that are read at once.
const CHUNK: u64 = 64 << 10;

pub async fn get(site: &Site, camera: &str, name: String, headers: &HeaderMap) -> Outcome {
    let none = || Refusal::not_found("there is no such clip: it may have been removed, or not be finished");
    let kind = match name.rsplit_once('.') {
        Some((_, "mp4")) => "video/mp4",
        Some((_, "json")) => "application/json",
        _ => return Err(none()),
    };
    let setup = site.view(camera)?.setup().ok_or_else(none)?;
    let clips = setup.clips.as_ref().ok_or_else(|| Refusal::not_found("the camera records no clips"))?;
    let folder = clips.clips.folder.join(&clips.camera);
    let opened = blocking(move || open(&folder, &name).ok_or_else(none));
    let (mut file, length) = opened.await?;
    let range = match headers.get(RANGE) {
        None => None,
        Some(value) => range_of(value.to_str().unwrap_or_default(), length),
    };
    if let Some(Err(())) = range {
        let mut response =
            Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("the clip has {length} bytes")).answer();
        set(&mut response, CONTENT_RANGE, &format!("bytes */{length}"));
        return Ok(response);
    }
    let range = range.and_then(Result::ok);
    let Range { start, end } = range.clone().unwrap_or(0..length);
    file.seek(SeekFrom::Start(start)).map_err(|error| Refusal::failed(format!("the clip can't be read: {error}")))?;
    let chunks = stream::unfold((file, end - start), |(mut file, left)| async move {
        let count = left.min(CHUNK);
        if count == 0 {
            return None;
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(count).ok()?];
            file.read_exact(&mut bytes).ok()?;
            Some((file, bytes))
        });
        // A file that has become shorter ends the answer early, which the client sees by its length.
        let (file, bytes) = read.await.ok()??;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(bytes))), (file, left - count)))
    });
    let mut response = with_type(Response::new(StreamBody::new(chunks).boxed_unsync()), kind);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.headers_mut().insert(CONTENT_LENGTH, (end - start).into());
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        set(&mut response, CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end.saturating_sub(1)));
    }
    Ok(response)
}

fn set<B>(response: &mut Response<B>, name: hyper::header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Opens a regular file in a folder, which has to be there itself: neither a link nor a path.
fn open(folder: &Path, name: &str) -> Option<(File, u64)> {
    if name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return None;
    }
    let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(folder.join(name)).ok()?;
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some((file, metadata.len()))
}

/// The bytes that a `Range` of one range asks for; `None`: it isn't one that has to be served. `Err`: there are none.
fn range_of(text: &str, length: u64) -> Option<Result<Range<u64>, ()>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let range = match (from.is_empty(), to.is_empty()) {
        (true, true) => return None,
        (true, false) => length.saturating_sub(number(to)?)..length,
        (false, true) => number(from)?..length,
        (false, false) => number(from)?..number(to)?.checked_add(1)?.min(length),
    };
    if range.start < range.end { Some(Ok(range)) } else { Some(Err(())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, range) in [
            ("bytes=0-", Some(Ok(0..10))),
            ("bytes=2-3", Some(Ok(2..4))),
            ("bytes=2-100", Some(Ok(2..10))),
            ("bytes=-3", Some(Ok(7..10))),
            ("bytes=-30", Some(Ok(0..10))),
            ("bytes=10-", Some(Err(()))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=5-4", Some(Err(()))),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("items=0-1", None),
            ("bytes=0-18446744073709551615", None),
        ] {
            assert_eq!(range_of(text, 10), range, "{text}");
        }
        assert_eq!(range_of("bytes=0-", 0), Some(Err(())));
    }

    #[test]
    fn only_regular_files_of_the_folder_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let clips = folder.path().join("door");
        std::fs::create_dir(&clips).unwrap();
        std::fs::write(clips.join("a.mp4"), "video").unwrap();
        std::fs::write(folder.path().join("secret.mp4"), "secret").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.mp4"), clips.join("link.mp4")).unwrap();
        std::fs::create_dir(clips.join("folder.mp4")).unwrap();
        nix::unistd::mkfifo(&clips.join("pipe.mp4"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(open(&clips, "a.mp4").unwrap().1, 5);
        for name in [
            "../secret.mp4",
            "link.mp4",
            "folder.mp4",
            "pipe.mp4",
            "none.mp4",
            ".mp4",
            "a.mp4\0",
            "",
            "..",
            "/etc/passwd",
        ] {
            assert!(open(&clips, name).is_none(), "{name}");
        }
    }
}
