//! Who may ask for what.
//!
//! - A page of another site that has its name resolved to this machine (DNS rebinding) sends that name as `Host`: only names of
//!   this machine are answered.
//! - Beyond loopback each request needs the token. Browsers have it as a cookie, which they send to this server alone.
//! - A page of another site can make a browser send requests here, with the cookie on older browsers. What changes something
//!   must come from this server's own page (`Origin`), or from a program, which sends no `Origin`. It must be JSON, which a
//!   page of another site can't send without being allowed to.

use super::answer::Refusal;
use crate::config::{Secret, WEB_HOSTS, WEB_TOKEN};
use crate::error::{Error, ErrorKind};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{StatusCode, Uri};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};

/// The cookie that has the token's hash.
const COOKIE_NAME: &str = "gst-trt-token";
/// A shorter token can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What a request must have.
pub struct Access {
    /// Hashes of the token and of the cookie; `None`: anyone may ask.
    token: Option<(Hash, Hash)>,
    /// Names of this machine, in lower case, besides its addresses.
    hosts: Vec<String>,
}

type Hash = [u8; 32];

impl Access {
    /// Access to a server at `address`. `hosts` are more names that it's called by.
    ///
    /// # Errors
    /// The token is missing where one is needed, or is too short.
    pub fn new(address: SocketAddr, token: Option<&Secret>, hosts: &[String]) -> Result<Self, Error> {
        let wrong = |text: String| Error::new(ErrorKind::Setting, text);
        let token = token.map(Secret::expose).filter(|token| !token.is_empty());
        match token {
            None if !address.ip().is_loopback() => {
                return Err(wrong(format!(
                    "--web {address} can be reached from other machines: set {WEB_TOKEN} to a secret of at least {SHORTEST_TOKEN} \
                     characters, for example the output of `openssl rand -hex 16`, or use 127.0.0.1:{}",
                    address.port()
                )));
            }
            Some(token) if token.len() < SHORTEST_TOKEN => {
                return Err(wrong(format!(
                    "{WEB_TOKEN} has {} characters and can be guessed: set it to at least {SHORTEST_TOKEN}, for example the output \
                     of `openssl rand -hex 16`",
                    token.len()
                )));
            }
            _ => {}
        }
        let token = token.map(|token| (hash(token), hash(&cookie(token))));
        let mut names = vec!["localhost".to_owned()];
        if let Ok(name) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            let name = name.trim().to_ascii_lowercase();
            names.push(format!("{name}.local"));
            names.push(name);
        }
        names.extend(hosts.iter().map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty()));
        Ok(Self { token, hosts: names })
    }

    /// Whether a token is needed.
    pub fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// Checks that the request is for this server.
    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = single(headers, &HOST).map(host_of);
        let is_ours = host.is_some_and(|host| {
            host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
                || self.hosts.contains(&host.trim_end_matches('.').to_ascii_lowercase())
        });
        if is_ours {
            return Ok(());
        }
        let text = format!(
            "this server isn't called {}: use its address, or put the name into {WEB_HOSTS}",
            host.map_or("nothing".to_owned(), |host| format!("{host:?}"))
        );
        Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, text))
    }

    /// Checks that the request has the token, if one is needed.
    pub(super) fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.token.is_none() || self.has_bearer(headers) || self.has_cookie(headers) {
            return Ok(());
        }
        let text =
            format!("send the value of {WEB_TOKEN} as `Authorization: Bearer …`, or open /?token=… in a browser");
        Err(Refusal::new(StatusCode::UNAUTHORIZED, text))
    }

    /// Checks that a request that changes something comes from this server's page or from a program.
    pub(super) fn check_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let refused = |text: &str| Err(Refusal::new(StatusCode::FORBIDDEN, text));
        match headers.get(ORIGIN) {
            Some(_) => {
                let host = single(headers, &HOST).unwrap_or_default();
                let origin = single(headers, &ORIGIN).and_then(|origin| origin.split_once("://"));
                let is_ours = origin.is_some_and(|(scheme, authority)| {
                    matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
                });
                if !is_ours {
                    return refused("the request comes from a page of another site: its Origin isn't this server");
                }
            }
            None if self.token.is_some() && !self.has_bearer(headers) => {
                return refused("a request without Origin needs the token in the header Authorization: Bearer");
            }
            None => {}
        }
        let kind = single(headers, &CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/json") {
            let text = "the body must be JSON: send Content-Type: application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        Ok(())
    }

    /// The cookie for a browser that has opened `/?token=…`; `None`: the token is wrong, or none is needed.
    pub(super) fn cookie_for(&self, token: &str) -> Option<String> {
        let (wanted, _) = self.token.as_ref()?;
        is_equal(&hash(token), wanted)
            .then(|| format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000", cookie(token)))
    }

    fn has_bearer(&self, headers: &HeaderMap) -> bool {
        let sent = single(headers, &AUTHORIZATION).and_then(|value| value.split_once(' '));
        let sent = sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        self.token.as_ref().zip(sent).is_some_and(|((wanted, _), (_, sent))| is_equal(&hash(sent.trim()), wanted))
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let sent = pairs.find(|(name, _)| *name == COOKIE_NAME);
        self.token.as_ref().zip(sent).is_some_and(|((_, wanted), (_, sent))| is_equal(&hash(sent), wanted))
    }
}

/// A header that is there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// `Host` without a port.
fn host_of(authority: &str) -> &str {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let port = authority.get(end..).and_then(|rest| rest.rfind(':')).map(|at| end + at);
    port.and_then(|at| authority.get(..at)).unwrap_or(authority)
}

/// The cookie's value for a token: not the token itself, which other programs may use too.
fn cookie(token: &str) -> String {
    files::digest::hex(&Sha256::digest(format!("{COOKIE_NAME}\n{token}")))
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// Compares in a time that doesn't depend on where they differ.
fn is_equal(a: &Hash, b: &Hash) -> bool {
    a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// The value of a parameter of the query, decoded.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1.replace('+', " ");
    percent_encoding::percent_decode_str(&value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn access(address: &str, token: Option<&str>) -> Result<Access, Error> {
        let token = token.map(Secret::new);
        Access::new(address.parse().unwrap(), token.as_ref(), &["cams.example".to_owned()])
    }

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let mut headers = HeaderMap::new();
        list.iter().map(header).for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn a_token_is_needed_beyond_loopback() {
        for address in ["0.0.0.0:80", "192.168.1.2:8080", "[::]:80"] {
            let error = access(address, None).err().unwrap().message;
            assert!(error.contains(WEB_TOKEN) && error.contains(address), "{error}");
            assert!(access(address, Some("")).is_err());
            assert!(access(address, Some("short")).err().unwrap().message.contains("can be guessed"));
            assert!(access(address, Some(SECRET)).unwrap().needs_token());
        }
        for address in ["127.0.0.1:80", "[::1]:80", "127.8.8.8:80"] {
            assert!(!access(address, None).unwrap().needs_token());
            assert!(access(address, Some(SECRET)).unwrap().needs_token());
        }
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        let access = access("127.0.0.1:8080", None).unwrap();
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]", "10.0.0.7", "cams.example:1"]
        {
            assert!(access.check_host(&headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example"] {
            assert!(access.check_host(&headers(&[("host", host)])).is_err(), "{host}");
        }
        assert!(access.check_host(&headers(&[])).is_err());
        assert!(access.check_host(&headers(&[("host", "localhost"), ("host", "evil.example")])).is_err());
    }

    #[test]
    fn the_token_is_in_a_header_or_a_cookie() {
        let access = access("0.0.0.0:8080", Some(SECRET)).unwrap();
        let set = access.cookie_for(SECRET).unwrap();
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains(SECRET), "{set}");
        assert_eq!(access.cookie_for("0123456789abcdeg"), None);
        let cookie = set.split(';').next().unwrap();
        let bearer = format!("Bearer {SECRET}");
        for right in [("authorization", bearer.as_str()), ("cookie", cookie), ("cookie", &format!("a=b; {cookie}; c"))]
        {
            assert!(access.check_token(&headers(&[right])).is_ok(), "{right:?}");
        }
        let as_token = format!("{COOKIE_NAME}={SECRET}");
        let wrong = [
            ("authorization", "Bearer "),
            ("authorization", SECRET),
            ("cookie", as_token.as_str()),
            ("cookie", COOKIE_NAME),
        ];
        for wrong in wrong {
            assert!(access.check_token(&headers(&[wrong])).is_err(), "{wrong:?}");
        }
        assert!(access.check_token(&headers(&[("authorization", &bearer), ("authorization", "Bearer x")])).is_err());
    }

    #[test]
    fn changes_come_from_the_page_or_from_a_program() {
        let json = ("content-type", "application/json; charset=utf-8");
        let host = ("host", "localhost:8080");
        let open = access("127.0.0.1:8080", None).unwrap();
        let closed = access("127.0.0.1:8080", Some(SECRET)).unwrap();
        let bearer = format!("Bearer {SECRET}");
        let ours = ("origin", "http://localhost:8080");
        for right in [&[host, json, ours][..], &[host, json]] {
            assert!(open.check_change(&headers(right)).is_ok(), "{right:?}");
        }
        for origin in ["http://evil.example", "http://localhost:8081", "null", "ftp://localhost:8080", ""] {
            let refusal = open.check_change(&headers(&[host, json, ("origin", origin)])).unwrap_err();
            assert_eq!(refusal.status, StatusCode::FORBIDDEN, "{origin}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"] {
            let refusal = open.check_change(&headers(&[host, ours, ("content-type", kind)])).unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        }
        assert!(closed.check_change(&headers(&[host, json])).is_err(), "a cookie alone isn't enough");
        assert!(closed.check_change(&headers(&[host, json, ("authorization", &bearer)])).is_ok());
    }

    #[test]
    fn parameters_are_decoded() {
        let uri: Uri = "/?a=1&token=x%2By+z&b".parse().unwrap();
        assert_eq!(parameter(&uri, "token").as_deref(), Some("x+y z"));
        assert_eq!((parameter(&uri, "b"), parameter(&uri, "c")), (None, None));
    }
}
