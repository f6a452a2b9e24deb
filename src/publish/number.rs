//! Numbers with few decimals in JSON.

use serde_json::ser::{CompactFormatter, Formatter};
use std::io;

/// As [`CompactFormatter`], and several times as fast for numbers of at most four decimals, of which a line has hundreds.
pub struct FewDecimals;

impl Formatter for FewDecimals {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        match few_decimals(value, &mut [0; 24]) {
            Some(text) => writer.write_all(text),
            None => CompactFormatter.write_f64(writer, value),
        }
    }
}

/// The text of a number of at most four decimals and 15 digits; `None` for others.
fn few_decimals(value: f64, buffer: &mut [u8; 24]) -> Option<&[u8]> {
    let parts = (value.abs() * 1e4).round();
    // What rounding to decimals made is the double nearest to them, as this quotient is.
    if parts >= 1e15 || parts / 1e4 != value.abs() {
        return None;
    }
    let (mut whole, mut fraction) = (parts as u64 / 10_000, parts as u64 % 10_000);
    let digit = |number: &mut u64| {
        let digit = b'0' + (*number % 10) as u8;
        *number /= 10;
        digit
    };
    let mut decimals = [b'0'; 4];
    decimals.iter_mut().rev().for_each(|place| *place = digit(&mut fraction));
    let kept = decimals.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
    let mut at = buffer.len() - kept;
    buffer[at..].copy_from_slice(&decimals[..kept]);
    at -= 1;
    buffer[at] = b'.';
    while whole > 0 || buffer[at] == b'.' {
        at -= 1;
        buffer[at] = digit(&mut whole);
    }
    if value.is_sign_negative() {
        at -= 1;
        buffer[at] = b'-';
    }
    Some(&buffer[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> Option<String> {
        few_decimals(value, &mut [0; 24]).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    fn check(value: f64) {
        assert_eq!(text(value), Some(serde_json::to_string(&value).unwrap()));
    }

    #[test]
    fn texts_are_what_serde_json_writes() {
        for n in (0..2_000_000_i64).step_by(7).chain([99_999_999_999_999, 100_000_000_000_000, 999_999_999_999_999]) {
            for parts in [1.0, 10.0, 100.0, 1000.0, 10_000.0] {
                if n as f64 / parts < 1e11 {
                    check(n as f64 / parts);
                    check(-(n as f64) / parts);
                }
            }
        }
        for value in [0.0, -0.0, 0.5, 0.1, 0.0001, 1919.99, 0.8765, 7680.0, -12.34, 1e10] {
            check(value);
        }
    }

    #[test]
    fn others_are_left_to_serde_json() {
        for value in [0.00001, 1.0 / 3.0, 0.1 + 0.2, 1e11, 1e300, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY] {
            assert_eq!(text(value), None, "{value}");
        }
        let mut line = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut line, FewDecimals);
        serde::Serialize::serialize(&[0.25, 1.0 / 3.0, f64::NAN], &mut serializer).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), "[0.25,0.3333333333333333,null]");
    }
}
