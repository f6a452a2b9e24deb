//! Totals that are kept from one run to the next.

use crate::error::{Error, ErrorKind};
use files::whole_file;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};
use tracking::zones::{Saved, Zones};

/// The least time between two times that the file is written while frames flow.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Content {
    /// Seconds since 1970-01-01 UTC.
    saved_at: f64,
    state: Saved,
}

/// What an earlier run has left.
#[derive(Debug)]
pub struct Kept {
    state: Saved,
    saved_at: f64,
}

/// The file of an element.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    written: Option<Instant>,
    /// Whether something has changed that isn't in the file.
    changed: bool,
    /// Whether the last attempt failed, which has been told.
    failed: bool,
}

impl StateFile {
    /// Reads the file. One that isn't there yet is as good as an empty one.
    ///
    /// # Errors
    /// It can't be read, or has something else.
    pub fn open(path: &Path) -> Result<(Self, Option<Kept>), Error> {
        let failed = |why: String| {
            let remedy = "name another state-file, or move this one away to start anew";
            Error::new(ErrorKind::File, format!("can't read state-file {}: {why}; {remedy}", path.display()))
        };
        let read = match files::regular_file(path).and_then(|()| fs::read(path)) {
            Ok(read) => Some(read),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error.to_string())),
        };
        let content = read.map(|read| serde_json::from_slice::<Content>(&read)).transpose();
        let kept = content.map_err(|error| failed(error.to_string()))?;
        let kept = kept.map(|Content { saved_at, state }| Kept { state, saved_at });
        Ok((Self { path: path.into(), written: None, changed: false, failed: false }, kept))
    }

    /// Something has changed.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// Writes the file if something has changed, but not more often than once a second.
    ///
    /// # Errors
    /// It can't be written, for the first time since it could.
    pub fn write_if_due(&mut self, zones: &Zones) -> Result<(), Error> {
        if !self.changed || self.written.is_some_and(|written| written.elapsed() < PAUSE) {
            return Ok(());
        }
        self.write(zones)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// As for [`write_if_due`](Self::write_if_due).
    pub fn write(&mut self, zones: &Zones) -> Result<(), Error> {
        self.written = Some(Instant::now());
        let content = Content { saved_at: now(), state: zones.save() };
        let result = serde_json::to_vec(&content)
            .map_err(io::Error::from)
            .and_then(|content| whole_file::write(&self.path, &content));
        let told = std::mem::replace(&mut self.failed, result.is_err());
        match result {
            Ok(()) => {
                self.changed = false;
                Ok(())
            }
            Err(_) if told => Ok(()),
            Err(error) => {
                let text = format!("can't write state-file {}: {error}", self.path.display());
                Err(Error::new(ErrorKind::File, text))
            }
        }
    }
}

impl Kept {
    /// Goes on with what was kept.
    pub fn restore(&self, zones: &mut Zones) {
        let elapsed = Duration::try_from_secs_f64(now() - self.saved_at).unwrap_or_default();
        zones.restore(&self.state, elapsed);
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rect;
    use tracking::State;
    use tracking::zones::{Object, ZonesConfig};

    fn zones() -> Zones {
        let text = r#"{"settle_s": 0, "zones": [{"name": "a", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}]}"#;
        Zones::new(&ZonesConfig::parse(text).unwrap(), 1.0).unwrap()
    }

    #[test]
    fn totals_go_on_and_other_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let (mut file, kept) = StateFile::open(&path).unwrap();
        assert!(kept.is_none());
        let mut before = zones();
        let rect = Rect::new(0.4, 0.4, 0.2, 0.2);
        let object = Object { track: 1, state: State::Confirmed, class: "car", rect, feet: None };
        before.update(Duration::ZERO, &[object]);
        file.write_if_due(&before).unwrap();
        assert!(!path.exists(), "nothing has changed");
        file.touch();
        file.write_if_due(&before).unwrap();
        let (_, kept) = StateFile::open(&path).unwrap();
        let mut after = zones();
        kept.unwrap().restore(&mut after);
        let zone = after.zones().next().unwrap();
        assert_eq!((zone.totals.entered.total(), zone.occupancy), (1, 1));

        fs::write(&path, "{}").unwrap();
        let error = StateFile::open(&path).unwrap_err().message;
        assert!(error.starts_with(&format!("can't read state-file {}: missing field", path.display())), "{error}");
    }

    #[test]
    fn a_failure_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/state.json");
        let (mut file, _) = StateFile::open(&path).unwrap();
        assert!(file.write(&zones()).is_err() && file.write(&zones()).is_ok());
        fs::create_dir(path.parent().unwrap()).unwrap();
        assert!(file.write(&zones()).is_ok() && path.exists());
    }
}
