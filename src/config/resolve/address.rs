//! Addresses: `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/…]`.

use super::super::secret::looks_like_host;
use percent_encoding::percent_decode_str;

/// A parsed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    pub scheme: &'a str,
    /// User and password as written.
    pub user: Option<&'a str>,
    /// Without the brackets of an IPv6 address.
    pub host: &'a str,
    pub port: Option<u16>,
    /// From the first `/`, `?` or `#` on.
    pub rest: &'a str,
}

/// How to write characters in a password that would end the host's part.
const DELIMITERS: &str = "write %2F for /, %3F for ? and %23 for #";

/// Splits an address.
///
/// # Errors
/// What is wrong with the address, without its content, which may be secret.
pub fn split(text: &str) -> Result<Address<'_>, String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("an address has no spaces (in user and password write %20)".into());
    }
    let (scheme, after) = text.split_once("://").ok_or("an address has the form SCHEME://HOST")?;
    let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
    let (user, host_port) = match authority.rsplit_once('@') {
        Some((user, host_port)) => (Some(user), host_port),
        None => (None, authority),
    };
    let (host, port) = match host_port.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']').ok_or("a ] is missing after the IPv6 address")?;
            if !after.is_empty() && !after.starts_with(':') {
                return Err("after the IPv6 address only a port may stand".into());
            }
            (host, after.strip_prefix(':'))
        }
        None => match host_port.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_port, None),
        },
    };
    if host.is_empty() {
        return Err("the host's name is missing".into());
    }
    let number = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0));
    // Then the text in place of the port is a part of the password.
    if rest.contains('@') && (number == Some(None) || rest.starts_with(['?', '#'])) {
        return Err(format!(
            "/, ? and # end user and password, and an @ comes after the first of them: in these {DELIMITERS}"
        ));
    }
    let port = number.map(|number| number.ok_or("the port isn't a number from 1 to 65535")).transpose()?;
    Ok(Address { scheme, user, host, port, rest })
}

impl Address<'_> {
    /// Checks that user and password are written so that every parser of the address finds the same ones.
    ///
    /// # Errors
    /// How to write them, without their content.
    pub fn check_user(&self) -> Result<(), String> {
        let Some(user) = self.user else { return Ok(()) };
        let mut forms = Vec::new();
        // For GStreamer the host begins after the first @, for others after the last.
        if user.contains('@') {
            forms.push("%40 for @");
        }
        let encoded = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        if !user.split('%').skip(1).all(encoded) {
            forms.push("%25 for a % without two hexadecimal digits after it");
        }
        if !forms.is_empty() {
            return Err(format!(
                "user and password can't stand in an address as they are: write {}",
                forms.join(", and ")
            ));
        }
        let name = user.split(':').next().unwrap_or_default();
        if percent_decode_str(user).any(|byte| byte == 0) {
            return Err("user and password have no character 0 (%00)".into());
        }
        if percent_decode_str(name).any(|byte| byte == b':') {
            return Err("a user's name has no colon: a login ends it there".into());
        }
        Ok(())
    }

    /// Whether the path has an @ before what may be the host: then the text in place of the host may be a part of the
    /// password.
    pub fn may_end_too_soon(&self) -> bool {
        self.rest.rsplit_once('@').is_some_and(|(_, after)| looks_like_host(after))
    }

    /// The address with user and password as `rtspsrc` takes them: both, or none.
    pub fn with_whole_user(&self, text: &str) -> String {
        let at = self.scheme.len() + "://".len();
        let whole = match self.user {
            Some("") => text.get(..at).zip(text.get(at + 1..)).map(|(scheme, host)| format!("{scheme}{host}")),
            Some(user) if !user.contains(':') => {
                let end = at + user.len();
                text.get(..end).zip(text.get(end..)).map(|(user, host)| format!("{user}:{host}"))
            }
            _ => None,
        };
        whole.unwrap_or_else(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let whole = split("rtsp://admin:p@ss@cam.local:8554/a?b#c").unwrap();
        let expected =
            Address { scheme: "rtsp", user: Some("admin:p@ss"), host: "cam.local", port: Some(8554), rest: "/a?b#c" };
        assert_eq!(whole, expected);
        let v6 = split("rtsps://[fe80::1]:322").unwrap();
        assert_eq!((v6.host, v6.port, v6.rest), ("fe80::1", Some(322), ""));
        assert_eq!(split("mqtt://broker").unwrap().port, None);
    }

    #[test]
    fn errors_never_show_the_address() {
        for text in [
            "",
            "cam",
            "rtsp:/cam",
            "rtsp://",
            "rtsp:///a",
            "rtsp://u:SECRET@/a",
            "rtsp://cam:0/a",
            "rtsp://cam:99999",
            "rtsp://u:SEC/RET@cam/a",
            "rtsp://[::1",
            "rtsp://[::1]x",
            "rtsp://a b/",
        ] {
            let error = split(text).unwrap_err();
            assert!(!error.contains("SEC"), "{text}: {error}");
        }
    }

    #[test]
    fn what_ends_a_password_too_soon_is_named() {
        for text in [
            "rtsp://u:SEC/RET@cam/a",
            "rtsp://u:SEC?RET@cam/a",
            "rtsp://u:SEC#RET@cam/a",
            "rtsp://u:#SECRET@cam",
            "rtsp://u:5?SECRET@cam/a",
            "rtsp://u:5#SECRET@cam/a",
            "rtsp://SEC#RET@cam/a",
            "rtsp://u:SE@C:RE/T@cam/a",
            "mqtt://u:SEC/RET@broker",
            "tcp://u:SEC#RET@collector:9000",
        ] {
            let error = split(text).unwrap_err();
            let named = ["%2F for /", "%3F for ?", "%23 for #"].iter().all(|form| error.contains(form));
            assert!(named && !error.contains("port") && !error.contains("SEC"), "{text}: {error}");
        }
        assert_eq!(split("rtsp://cam:x/a").unwrap_err(), "the port isn't a number from 1 to 65535");
        for (text, may) in [
            ("rtsp://u:12/34@10.0.0.5/a", true),
            ("rtsp://u:12/34@cam.local", true),
            ("rtsp://u:a@5/b@[::1]:554/a", true),
            ("rtsp://cam/a@b", false),
            ("rtsp://u:p@cam:554/a?mail=b", false),
        ] {
            assert_eq!(split(text).unwrap().may_end_too_soon(), may, "{text}");
        }
    }

    #[test]
    fn users_and_passwords_are_written_so_that_all_read_the_same() {
        for (user, words) in [
            ("u:SEC@RET", "%40 for @"),
            ("SEC@RET:p", "%40 for @"),
            ("u:@@SECRET@", "%40 for @"),
            ("SEC@RET", "%40 for @"),
            ("u:100%SECRET", "%25 for a %"),
            ("u:SEC%zzb", "%25 for a %"),
            ("u:%zz", "%25 for a %"),
            ("u:SEC%", "%25 for a %"),
            ("u:SEC%4", "%25 for a %"),
            ("SEC%RET:p", "%25 for a %"),
            ("u:SEC%%41", "%25 for a %"),
            ("u:SEC%é1", "%25 for a %"),
            ("u:SEC%RET@", "%40 for @, and %25 for a %"),
            ("u:SEC%00", "%00"),
            ("SEC%3aRET:p", "no colon"),
        ] {
            for host in ["cam", "[::1]:554", "10.0.0.5:8554"] {
                let text = format!("rtsp://{user}@{host}/a");
                let error = split(&text).unwrap().check_user().unwrap_err();
                assert!(error.contains(words) && !error.contains("SEC"), "{text}: {error}");
            }
        }
        for text in [
            "rtsp://cam/a%zz@b",
            "rtsp://u:p%40ss%25@cam/100%",
            "rtsps://u:a:b@[fe80::1%25eth0]:322/a",
            "rtsp://u:pässwörd!$&'()*+,;=[]@cam",
            "rtsp://u:%C3%BC@cam",
            "rtsp://u:@cam",
            "rtsp://u@cam",
            "rtsp://@cam",
            "rtsp://cam",
        ] {
            assert_eq!(split(text).unwrap().check_user(), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_user_has_a_password_though_it_be_empty() {
        for (text, whole) in [
            ("rtsp://admin@cam:554/a@b", "rtsp://admin:@cam:554/a@b"),
            ("rtsps://é%40@[::1]", "rtsps://é%40:@[::1]"),
            ("rtsp://admin:@cam", "rtsp://admin:@cam"),
            ("rtsp://admin:p@cam", "rtsp://admin:p@cam"),
            ("rtsp://@cam/a", "rtsp://cam/a"),
            ("rtsp://cam/a@b", "rtsp://cam/a@b"),
        ] {
            assert_eq!(split(text).unwrap().with_whole_user(text), whole);
        }
    }
}
