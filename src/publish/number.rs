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

/// Two digits each.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// The text of a number of at most four decimals and 9 digits before them; `None` for others.
fn few_decimals(value: f64, buffer: &mut [u8; 24]) -> Option<&[u8]> {
    let size = value.abs();
    // Rounded without a call of the C library.
    let parts = (size * 1e4 + 0.5) as u64;
    // What rounding to decimals made is the double nearest to them, as this quotient is.
    if size >= 1e9 || parts as f64 / 1e4 != size {
        return None;
    }
    let (mut whole, fraction) = ((parts / 10_000) as u32, (parts % 10_000) as u32);
    let [high, low] = [fraction / 100, fraction % 100].map(|pair| PAIRS[pair as usize]);
    buffer[20..].copy_from_slice(&[high[0], high[1], low[0], low[1]]);
    let end = 24 - buffer[21..].iter().rev().take_while(|digit| **digit == b'0').count();
    buffer[19] = b'.';
    let mut at = 19;
    while whole >= 100 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[(whole % 100) as usize]);
        whole /= 100;
    }
    at -= 2;
    buffer[at..at + 2].copy_from_slice(&PAIRS[whole as usize]);
    at += usize::from(whole < 10);
    if value.is_sign_negative() {
        at -= 1;
        buffer[at] = b'-';
    }
    Some(&buffer[at..end])
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
        for n in (0..2_000_000_i64).step_by(7).chain([99_999_999_999, 9_999_999_990_001, 9_999_999_999_999]) {
            for parts in [1.0, 10.0, 100.0, 1000.0, 10_000.0] {
                if n as f64 / parts < 1e9 {
                    check(n as f64 / parts);
                    check(-(n as f64) / parts);
                }
            }
        }
        for value in [0.0, -0.0, 0.5, 0.1, 0.0001, 1919.99, 0.8765, 7680.0, -12.34, 9.0, 10.0, 99.5, 100.0, 1e8] {
            check(value);
        }
    }

    #[test]
    fn others_are_left_to_serde_json() {
        for value in [0.00001, 1.0 / 3.0, 0.1 + 0.2, 1e9, 1e300, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY] {
            assert_eq!(text(value), None, "{value}");
        }
        let mut line = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut line, FewDecimals);
        serde::Serialize::serialize(&[0.25, 1.0 / 3.0, f64::NAN], &mut serializer).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), "[0.25,0.3333333333333333,null]");
    }
}
