//! The options of `trtzones`.

use crate::error::{Error, ErrorKind};
use ::tracking::zones::{Anchor, Defaults, ZonesConfig, ZonesError};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct ZonesOptions {
    /// JSON.
    pub zones: Option<String>,
    pub zones_file: Option<PathBuf>,
    /// Where the JSON doesn't say: for how long an object may be away before it comes back with another id.
    pub merge: Duration,
    /// Of zones and lines whose JSON doesn't say.
    pub anchor: Anchor,
    pub state_file: Option<PathBuf>,
    /// Whether frames carry zones and lines, for drawing.
    pub attach_zones: bool,
}

impl Default for ZonesOptions {
    fn default() -> Self {
        let merge = Duration::from_secs_f64(ZonesConfig::default().merge_s);
        Self { zones: None, zones_file: None, merge, anchor: Anchor::Feet, state_file: None, attach_zones: true }
    }
}

impl ZonesOptions {
    /// Reads the zones: none where neither a text nor a file is set.
    ///
    /// # Errors
    /// Both are set, the file can't be read, or something in the JSON is wrong.
    pub fn config(&self) -> Result<ZonesConfig, Error> {
        let setting = |text: String| Error::new(ErrorKind::Setting, text);
        match (&self.zones, &self.zones_file) {
            (Some(_), Some(_)) => Err(setting("zones and zones-file are both set: leave one of them empty".into())),
            (Some(text), None) => self.parse(text).map_err(|error| setting(format!("zones: {error}"))),
            (None, Some(path)) => {
                self.parse(&read(path)?).map_err(|error| setting(format!("zones-file {}: {error}", path.display())))
            }
            (None, None) => Ok(ZonesConfig::default()),
        }
    }

    /// Zones from JSON, with the properties where it says nothing.
    fn parse(&self, text: &str) -> Result<ZonesConfig, ZonesError> {
        let (merge_s, anchor) = (self.merge.as_secs_f64(), self.anchor);
        ZonesConfig::parse_with(text, &Defaults { merge_s, anchor, ..Defaults::default() })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let content = files::regular_file(path).and_then(|()| fs::read_to_string(path));
    content.map_err(|error| {
        let text = format!("can't read zones-file {}: {error}; set it to a file with zones as JSON", path.display());
        Error::new(ErrorKind::File, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"lines": [{"name": "a", "from": [0, 0], "to": [1, 1]}]}"#;

    #[test]
    fn properties_are_the_defaults_of_the_json() {
        let options = ZonesOptions { merge: Duration::from_secs(3), anchor: Anchor::Centre, ..ZonesOptions::default() };
        let with = |zones: &str| ZonesOptions { zones: Some(zones.into()), ..options.clone() }.config().unwrap();
        let config = with(LINE);
        assert_eq!((config.merge_s, config.lines[0].anchor), (3.0, Anchor::Centre));
        let config = with(
            r#"{"merge_s": 0.5, "zones": [
                {"name": "a", "polygon": [[0, 0], [1, 0], [1, 1]], "anchor": "strict"},
                {"name": "b", "polygon": [[0, 0], [1, 0], [1, 1]]}
            ]}"#,
        );
        assert_eq!(
            (config.merge_s, config.zones[0].anchor, config.zones[1].anchor),
            (0.5, Anchor::Strict, Anchor::Centre)
        );
        assert_eq!(options.config().unwrap(), ZonesConfig::default());
    }

    #[test]
    fn files_are_read_and_mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zones.json");
        let file = ZonesOptions { zones_file: Some(path.clone()), ..ZonesOptions::default() };
        let error = |options: &ZonesOptions| options.config().unwrap_err().message;
        assert!(error(&file).starts_with(&format!("can't read zones-file {}: ", path.display())));
        fs::write(&path, LINE).unwrap();
        assert_eq!(file.config().unwrap().lines.len(), 1);
        assert!(error(&ZonesOptions { zones: Some("{}".into()), ..file.clone() }).contains("are both set"));
        fs::write(&path, "{\n\"lines\": 3}").unwrap();
        assert!(error(&file).contains("line 2 column"), "{}", error(&file));
    }
}
