//! The findings about a file: each names the key, its value, the rule and the remedy.

use super::plan::Pipeline;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but probably not as intended.
    Warning,
    /// For information.
    Notice,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        })
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Line and column, both from 1.
    File { line: u32, column: u32 },
    /// The variable's name.
    Environment(String),
    /// `--set`
    Set,
}

/// One finding about a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// `processing.MAX_QUEUE_SIZE`, `cameras.RTSP_STREAMS.0.URL`; empty: the file as a whole.
    pub key: String,
    /// The value as written, without secrets; `None`: not set.
    pub value: Option<String>,
    /// The rule for this key.
    pub rule: String,
    /// What to do.
    pub remedy: String,
    /// `None`: not written anywhere.
    pub origin: Option<Origin>,
}

/// All findings about one file, errors first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// The file's path.
    pub file: PathBuf,
    /// The pipeline that the file selects, even if there are errors; `None`: the file can't be read.
    pub pipeline: Option<Pipeline>,
    pub list: Vec<Finding>,
}

impl Findings {
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|finding| finding.severity == severity).count()
    }

    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Sorts errors first, then by the order of the file's lines.
    pub(super) fn sort(&mut self) {
        let line = |finding: &Finding| match finding.origin {
            Some(Origin::File { line, .. }) => line,
            _ => u32::MAX,
        };
        self.list.sort_by_key(|finding| (finding.severity, line(finding)));
    }

    /// Formats a finding as one line: `error: config.json:12: KEY = VALUE: RULE; REMEDY`.
    pub fn line(&self, finding: &Finding) -> String {
        let file = self.file.display();
        let place = match &finding.origin {
            Some(Origin::File { line, .. }) => format!("{file}:{line}"),
            Some(Origin::Environment(name)) => format!("environment variable {name}"),
            Some(Origin::Set) => "--set".to_owned(),
            None => file.to_string(),
        };
        format!("{}: {place}: {finding}", finding.severity)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, Some(value)) => write!(f, "{key} = {value}: ")?,
            (key, None) => write!(f, "{key}: ")?,
        }
        f.write_str(&self.rule)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.line(finding))?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
