//! The parts of Redis' protocol (RESP2, redis.io/docs/reference/protocol-spec) that adding entries needs.

/// A server's answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What it is doesn't matter.
    Done,
    /// With its code, for example `WRONGTYPE Operation against …`.
    Error(String),
}

/// Appends a command, which is a list of byte strings.
pub fn write_command<'a>(out: &mut Vec<u8>, words: impl IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>) {
    let words = words.into_iter();
    write_header(out, b'*', words.len());
    for word in words {
        write_header(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Takes the first answer off the front of `bytes`; `None` if it isn't complete.
///
/// # Errors
/// This isn't Redis' protocol.
pub fn take_reply(bytes: &mut Vec<u8>) -> Result<Option<Reply>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() > 64 * 1024 { Err("the server doesn't speak Redis' protocol".into()) } else { Ok(None) };
    };
    let text = String::from_utf8_lossy(bytes.get(1..end).unwrap_or_default()).into_owned();
    let mut length = end + 2;
    let reply = match bytes.first() {
        Some(b'+' | b':') => Reply::Done,
        Some(b'-') => Reply::Error(text),
        // A null has the length -1 and no content.
        Some(b'$') if text == "-1" => Reply::Done,
        Some(b'$') => {
            let size: usize =
                text.parse().ok().filter(|size| *size <= 1 << 20).ok_or("the server's answer is too long")?;
            length += size + 2;
            Reply::Done
        }
        _ => return Err("the server doesn't speak Redis' protocol".into()),
    };
    if bytes.len() < length {
        return Ok(None);
    }
    bytes.drain(..length);
    Ok(Some(reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lists_of_byte_strings() {
        let mut out = Vec::new();
        write_command(&mut out, [b"XADD".as_slice(), b"a\nb", b""]);
        assert_eq!(out, b"*3\r\n$4\r\nXADD\r\n$3\r\na\nb\r\n$0\r\n\r\n");
    }

    #[test]
    fn answers_are_taken_one_by_one_and_whole() {
        let all = b"+OK\r\n-WRONGTYPE no\r\n$16\r\n1526919030474-55\r\n$-1\r\n:1\r\n";
        let expected = [Reply::Done, Reply::Error("WRONGTYPE no".into()), Reply::Done, Reply::Done, Reply::Done];
        let (mut bytes, mut found) = (Vec::new(), Vec::new());
        for byte in all {
            bytes.push(*byte);
            found.extend(take_reply(&mut bytes).unwrap());
        }
        assert_eq!((found, bytes.len()), (expected.to_vec(), 0));
        for other in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"$-5\r\n", b"$x\r\n", &[b'x'; 70_000]] {
            assert!(take_reply(&mut other.to_vec()).is_err());
        }
    }
}
