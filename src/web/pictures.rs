//! Pictures of cameras, made for those that wait for one. Those that wait at the same time for the same get the same.

use super::answer::Refusal;
use super::cameras::next_frame;
use crate::record::{Look, Stills};
use crate::run::View;
use hyper::body::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A JPEG.
#[derive(Debug)]
pub struct Picture {
    pub jpeg: Bytes,
    /// When its frame came out of the pipeline.
    pub time: SystemTime,
    /// When its frame was asked for.
    pub asked: Instant,
}

/// The pictures of all cameras.
pub struct Pictures {
    cameras: Mutex<HashMap<String, Arc<Camera>>>,
    /// For each kind of picture that is being made.
    room: Arc<Semaphore>,
}

/// One camera: a picture at a time is made of it, so that no more than one of its frames is held.
#[derive(Default)]
struct Camera {
    shots: tokio::sync::Mutex<HashMap<Look, Shot>>,
    last: Mutex<Option<SystemTime>>,
}

/// One kind of picture of a camera.
struct Shot {
    stills: Option<Stills>,
    /// The last one, or why there was none, and when it was asked for.
    last: Option<(Instant, Result<Arc<Picture>, Refusal>)>,
    used: Instant,
    _room: OwnedSemaphorePermit,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { cameras: Mutex::default(), room: Arc::new(Semaphore::new(Self::MOST_KINDS)) }
    }
}

impl Pictures {
    /// Kinds of pictures, over all cameras, that are made at once; each has a pipeline.
    const MOST_KINDS: usize = 64;
    /// A pipeline that has made no picture for this long is closed.
    const KEEP: Duration = Duration::from_secs(5);

    /// When the last picture of a camera was taken.
    pub fn last(&self, camera: &str) -> Option<SystemTime> {
        let camera = self.cameras.lock().get(camera).cloned()?;
        *camera.last.lock()
    }

    /// A picture whose frame was asked for after `since`.
    pub async fn next(&self, name: &str, view: Arc<View>, look: Look, since: Instant) -> Result<Arc<Picture>, Refusal> {
        let camera = self.cameras.lock().entry(name.to_owned()).or_default().clone();
        let room = self.room.clone();
        // It's finished even if the client goes: the frame is given back before another is taken.
        let made = tokio::spawn(async move { camera.next(&view, look, since, room).await }).await;
        made.unwrap_or_else(|error| Err(Refusal::failed(format!("the picture can't be made: {error}"))))
    }

    /// Forgets cameras that `is_there` doesn't know any more.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.cameras.lock().retain(|name, _| is_there(name));
    }
}

impl Camera {
    async fn next(
        self: Arc<Self>,
        view: &Arc<View>,
        look: Look,
        since: Instant,
        room: Arc<Semaphore>,
    ) -> Result<Arc<Picture>, Refusal> {
        let mut shots = self.shots.lock().await;
        let shot = match shots.entry(look) {
            Entry::Occupied(shot) => shot.into_mut(),
            Entry::Vacant(free) => {
                let full = |_| Refusal::unavailable("too many different pictures are being made: ask again", 2);
                let room = room.try_acquire_owned().map_err(full)?;
                tokio::spawn(self.clone().close_unused(look));
                free.insert(Shot { stills: None, last: None, used: Instant::now(), _room: room })
            }
        };
        shot.used = Instant::now();
        if let Some((asked, last)) = &shot.last
            && *asked > since
        {
            return last.clone();
        }
        let asked = Instant::now();
        let made = match next_frame(view).await {
            Ok(frame) => {
                let mut stills = shot.stills.take().unwrap_or_else(|| Stills::new(look));
                let time = frame.time;
                let work = tokio::task::spawn_blocking(move || {
                    let made = stills.make(&frame.buffer, &frame.caps, frame.record, frame.gpu);
                    (stills, made)
                });
                match work.await {
                    Ok((stills, made)) => {
                        shot.stills = Some(stills);
                        let picture = |jpeg: Vec<u8>| Arc::new(Picture { jpeg: jpeg.into(), time, asked });
                        made.map(picture).map_err(|error| Refusal::failed(error.message))
                    }
                    Err(error) => Err(Refusal::failed(format!("the picture can't be made: {error}"))),
                }
            }
            Err(refusal) => Err(refusal),
        };
        if let Ok(picture) = &made {
            *self.last.lock() = Some(picture.time);
        }
        shot.used = Instant::now();
        shot.last = Some((asked, made.clone()));
        made
    }

    /// Closes the pipeline of a kind of picture once none is asked for.
    async fn close_unused(self: Arc<Self>, look: Look) {
        let mut idle = Duration::ZERO;
        loop {
            tokio::time::sleep(Pictures::KEEP.saturating_sub(idle)).await;
            let mut shots = self.shots.lock().await;
            idle = shots.get(&look).map_or(Pictures::KEEP, |shot| shot.used.elapsed());
            if idle >= Pictures::KEEP {
                let shot = shots.remove(&look);
                drop(shots);
                // Stopping a pipeline may take time. It fails only when the server ends.
                let _ = tokio::task::spawn_blocking(move || drop(shot)).await;
                return;
            }
        }
    }
}
