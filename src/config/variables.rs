//! The environment: variables that override keys, and `${NAME}` in texts.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The environment variables.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    /// They are filled in elsewhere: texts stay as they are.
    deferred: bool,
}

impl Variables {
    /// The variables of this process, without those that aren't Unicode.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { values: std::env::vars_os().filter_map(text).collect(), deferred: false }
    }

    /// For a file whose variables are filled in on another machine: `${NAME}` stays.
    pub fn deferred() -> Self {
        Self { deferred: true, ..Self::default() }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(variables: T) -> Self {
        let values = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, deferred: false }
    }
}

/// Fills in `${NAME}`; `$${` stands for `${`. In the user part of an address the value is percent-encoded, so that a
/// password may have any character.
///
/// # Errors
/// The name of a variable that doesn't exist.
pub fn expand(text: &str, variables: &Variables) -> Result<String, String> {
    if variables.deferred || !text.contains("${") {
        return Ok(text.to_owned());
    }
    let user_end = text.find("://").and_then(|scheme| {
        let path = text.get(scheme + 3..)?.find('/').map_or(text.len(), |at| scheme + 3 + at);
        text.get(..path)?.rfind('@')
    });
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("${")) {
        let start = at + found;
        let before = text.get(at..start).unwrap_or_default();
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            at = start + 2;
            continue;
        }
        out.push_str(before);
        let rest = text.get(start + 2..).unwrap_or_default();
        let name = rest.split('}').next().unwrap_or_default();
        let value = variables.get(name).filter(|_| name.len() < rest.len()).ok_or(name)?;
        if user_end.is_some_and(|end| start < end) {
            out.extend(utf8_percent_encode(value, RESERVED))
        } else {
            out.push_str(value)
        }
        at = start + 2 + name.len() + 1;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let variables = Variables::from_iter([("USER", "admin"), ("PASSWORD", "p@s/s ü"), ("EMPTY", "")]);
        for (text, expanded) in [
            ("plain $ text", "plain $ text"),
            ("rtsp://${USER}:${PASSWORD}@cam/ch1", "rtsp://admin:p%40s%2Fs%20%C3%BC@cam/ch1"),
            ("rtsp://cam/${USER}@x", "rtsp://cam/admin@x"),
            ("/data/${USER}/${EMPTY}x", "/data/admin/x"),
            ("$${USER} $$ ${USER}", "${USER} $$ admin"),
        ] {
            assert_eq!(expand(text, &variables).as_deref(), Ok(expanded), "{text}");
        }
        assert_eq!(expand("${NONE}", &variables), Err("NONE".into()));
        assert_eq!(expand("${USER", &variables), Err("USER".into()));
        assert_eq!(expand("${}", &variables), Err(String::new()));
    }
}
