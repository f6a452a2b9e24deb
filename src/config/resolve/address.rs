//! Addresses: `SCHEME://[USER@]HOST[:PORT][/…]`.

/// An address in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    pub scheme: &'a str,
    pub has_user: bool,
    /// Without the brackets of an IPv6 address.
    pub host: &'a str,
    pub port: Option<u16>,
    /// From the first `/`, `?` or `#` on.
    pub rest: &'a str,
}

/// Splits an address.
///
/// # Errors
/// What is wrong with it, without its content, for that may be secret.
pub fn split(text: &str) -> Result<Address<'_>, String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("an address has no spaces".into());
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
    // What stands here may be a password, after an @ that is missing or a / that should be %2F.
    let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0)).map(|port| {
        port.ok_or("the port isn't a number from 1 to 65535 (in a password write %2F for /, %3F for ?, %23 for #)")
    });
    Ok(Address { scheme, has_user: user.is_some(), host, port: port.transpose()?, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let whole = split("rtsp://admin:p@ss@cam.local:8554/a?b#c").unwrap();
        let expected = Address { scheme: "rtsp", has_user: true, host: "cam.local", port: Some(8554), rest: "/a?b#c" };
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
}
