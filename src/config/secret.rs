//! Secrets that logs never show: passwords, and URLs that contain them.

use std::fmt;

/// A password or token: every way to print it prints `***`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for sending it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An address that may contain a password. When it's printed, its user, password and the secret parts of its query are
/// `***`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretUrl {
    text: String,
    label: String,
}

impl SecretUrl {
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { label: redact_value(&text), text }
    }

    /// Makes an address that is printed as `label`, which has no secrets.
    pub fn with_label(text: impl Into<String>, label: impl Into<String>) -> Self {
        Self { text: text.into(), label: label.into() }
    }

    /// The whole address, for connecting.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether it contains a user name.
    pub fn has_user(&self) -> bool {
        self.text.split_once("://").is_some_and(|(_, after)| split_authority(after).0.contains('@'))
    }

    /// Removes this address's secrets from a message that may contain it.
    pub fn hide_in(&self, message: &str) -> String {
        redact(&message.replace(&self.text, &self.label))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.label)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

/// Parts of a query's or path's names whose values are secrets: cameras take `?user=admin&password=x`, and also
/// `/user=admin_password=x_channel=1`.
const TELLING: [&str; 9] = ["pass", "pwd", "psw", "token", "secret", "key", "auth", "user", "login"];

/// Replaces the secrets in every URL of a text by `***`: between `://` and the last `@` before the path, and the values
/// of secret parameters.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        // A URL doesn't end at a comma or an apostrophe: a password may contain them.
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '`')).unwrap_or(after.len());
        let (url, left) = after.split_at(end);
        out.push_str(&redact_after_scheme(url));
        rest = left;
    }
    out.push_str(rest);
    out
}

/// [`redact`] for a text that is one URL as a whole, whatever characters it has, or no URL.
pub fn redact_value(text: &str) -> String {
    let is_scheme = |scheme: &str| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match text.split_once("://") {
        Some((scheme, url)) if is_scheme(scheme.trim_start()) => format!("{scheme}://{}", redact_after_scheme(url)),
        _ => redact(text),
    }
}

/// Whether the text after an @ is a host rather than a part of a file name.
pub(super) fn looks_like_host(text: &str) -> bool {
    let host = text.split(['/', '?', '#']).next().unwrap_or_default();
    host.starts_with('[') || host.contains(['.', ':']) || host == "localhost"
}

/// `user:password@host/path?query`, without the scheme.
fn redact_after_scheme(url: &str) -> String {
    let (authority, path) = split_authority(url);
    let mut out = match authority.rfind('@') {
        Some(at) => format!("***{}", authority.get(at..).unwrap_or_default()),
        None => authority.to_owned(),
    };
    // Parameters begin after any of these, as in `?a=1&b=2` and `/user=a_password=b`.
    let is_separator = |c: char| matches!(c, '?' | '&' | ';' | '/' | '_' | '#');
    let mut hidden = false;
    for part in path.split_inclusive(is_separator) {
        let (body, separator) = match part.chars().next_back().filter(|c| is_separator(*c)) {
            Some(c) => part.split_at(part.len() - c.len_utf8()),
            None => (part, ""),
        };
        match body.split_once('=') {
            Some((name, _)) => {
                let lower = name.to_ascii_lowercase();
                hidden = TELLING.iter().any(|telling| lower.contains(telling));
                out.push_str(name);
                out.push_str(if hidden { "=***" } else { body.get(name.len()..).unwrap_or_default() });
            }
            // This continues a secret value that contains an underscore.
            None if hidden && !body.is_empty() => {}
            None => out.push_str(body),
        }
        if !separator.is_empty() && separator != "_" {
            hidden = false;
        }
        out.push_str(separator);
    }
    out
}

/// Splits after the host. This also covers a password with an unescaped `/`, `?` or `#`, which makes the URL useless,
/// but not less secret: then the text before the first of them isn't `host:port`, or the text after the last @ looks
/// like a host.
fn split_authority(url: &str) -> (&str, &str) {
    let end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let (authority, path) = url.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let is_host = host.starts_with('[')
        || host.split_once(':').is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let hides = |after: &str| {
        let no_user_yet = !authority.contains('@') && path.starts_with(['?', '#']);
        !is_host || no_user_yet || !authority.is_empty() && looks_like_host(after)
    };
    match path.rsplit_once('@').filter(|(_, after)| hides(after)) {
        Some((_, after)) => {
            let rest = after.find(['/', '?', '#']).map_or(0, |at| after.len() - at);
            url.split_at(url.len() - rest)
        }
        None => (authority, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_lose_their_secrets() {
        for (url, shown) in [
            ("rtsp://admin:hunter2@10.0.0.5:554/ch1", "rtsp://***@10.0.0.5:554/ch1"),
            ("rtsp://admin:p@ss@cam/ch1", "rtsp://***@cam/ch1"),
            ("rtsp://admin:hunter2/x@cam:554/ch1", "rtsp://***@cam:554/ch1"),
            ("rtsp://admin:hunter2,'x@cam/ch1", "rtsp://***@cam/ch1"),
            ("rtsp://admin:5?hunter2@cam/ch1", "rtsp://***@cam/ch1"),
            ("rtsp://admin:5#hunter2@cam/ch1", "rtsp://***@cam/ch1"),
            ("rtsp://admin:12/hunter2@10.0.0.5/ch1", "rtsp://***@10.0.0.5/ch1"),
            ("rtsp://admin:a@5/hunter2@cam.local:554/ch1?a=b", "rtsp://***@cam.local:554/ch1?a=b"),
            ("rtsp://admin:a@b:c/hunter2@cam", "rtsp://***@cam"),
            ("rtsp://admin:hun ter2@cam/ch1", "rtsp://***@cam/ch1"),
            ("rtsp://admin:hun\"ter2@cam/ch1", "rtsp://***@cam/ch1"),
            ("rtsp://cam/ch1", "rtsp://cam/ch1"),
            ("rtsp://cam:554/a@b", "rtsp://cam:554/a@b"),
            ("rtsp://[::1]:554/a@b", "rtsp://[::1]:554/a@b"),
            ("rtsp://cam/a?user=admin&password=hunter2&x=1", "rtsp://cam/a?user=***&password=***&x=1"),
            (
                "rtsp://cam/user=admin_password=hunter_2_channel=1_stream=0.sdp",
                "rtsp://cam/user=***_password=***__channel=1_stream=0.sdp",
            ),
            ("file:///tmp/a@b.mp4", "file:///tmp/a@b.mp4"),
            ("mqtts://u:p@broker:8883", "mqtts://***@broker:8883"),
        ] {
            assert_eq!(redact_value(url), shown);
            if !url.contains([' ', '"']) {
                assert_eq!(redact(url), shown);
            }
            assert_eq!(SecretUrl::new(url).to_string(), shown);
            assert!(!format!("{:?}", SecretUrl::new(url)).contains("hunter"));
            assert_eq!(SecretUrl::new(url).expose(), url);
        }
        assert_eq!(
            redact("could not connect to rtsp://a:b@c/d, then to \"rtsp://e:f@g/h\""),
            "could not connect to rtsp://***@c/d, then to \"rtsp://***@g/h\""
        );
        let url = SecretUrl::with_label("rtsp://cam/hunter2/x", "rtsp://cam/${TOKEN}/x");
        assert_eq!(url.hide_in("rtsp://cam/hunter2/x: 404"), "rtsp://cam/${TOKEN}/x: 404");
        assert_eq!(format!("{} {:?}", Secret::new("a"), Secret::new("b")), "*** ***");
    }

    proptest! {
        /// User and password are hidden, whatever characters they contain.
        #[test]
        fn user_and_password_never_show(user in "[A-Z]{4,8}", password in "[A-Z0-9!$&'()*+;=:@._~-]{0,3}[A-Z]{6,12}") {
            let shown = redact(&format!("rtsp://{user}:{password}@camera.local:554/stream?x=1"));
            prop_assert_eq!(shown.contains(&user) || shown.contains(&password), false);
        }

        #[test]
        fn other_text_stays(text in "[a-zA-Z0-9 .,:@=/-]{0,40}") {
            prop_assume!(!text.contains("://"));
            prop_assert_eq!(redact(&text), text);
        }
    }
}
