//! Writes the parts of a JSON line straight into the line's buffer.
//!
//! A line has hundreds of short keys and numbers, and at a camera's rate a general serialiser's code and tables have
//! been evicted from the caches by the time the next frame comes. Rare cases (texts that need escapes, numbers from
//! 10,000) are left to such a serialiser.
//!
//! With everything in the caches a line of 25 objects takes 1.7 µs. From structures with a derived `Serialize`, `serde_json`
//! makes the same text in 8.3 µs, and in 4.4 µs when its formatter leaves numbers to [`rounded`]. Where five of the objects
//! have 17 keypoints each it's 4.7, 22 and 11 µs.

use std::time::Duration;

/// Appends a text.
pub fn text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        return serialise(out, text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends an integer.
pub fn whole(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// Appends a number rounded to 2 or 4 decimals, halves away from zero, with as few digits as possible but at least one
/// decimal. JSON has no infinities or NaN: they become 0.
pub fn rounded<const DECIMALS: usize>(out: &mut Vec<u8>, value: f32) {
    /// The position of the decimal point: after a sign and four digits.
    const POINT: usize = 5;
    /// More than any number takes, and a size that is copied at once.
    const ROOM: usize = 16;
    const { assert!(DECIMALS == 2 || DECIMALS == 4) };
    let one = const { 10_u32.pow(DECIMALS as u32) };
    let scaled = f64::from(value) * f64::from(one);
    let size = (scaled.abs() + 0.5) as u32;
    if size >= 10_000 * one || scaled.is_nan() {
        return rounded_large(out, value, DECIMALS);
    }
    let (whole, part) = (size / one, size % one);
    let mut text = [b'.'; POINT + ROOM];
    let mut pair = |at: usize, number: u32| text[at..at + 2].copy_from_slice(&PAIRS[number as usize % 100]);
    pair(POINT - 4, whole / 100);
    pair(POINT - 2, whole);
    pair(POINT + 1, if DECIMALS == 4 { part / 100 } else { part });
    if DECIMALS == 4 {
        pair(POINT + 3, part);
    }
    let mut start = POINT - 1 - [10, 100, 1000].iter().filter(|least| whole >= **least).count();
    if scaled < 0.0 && size > 0 {
        start -= 1;
        text[start] = b'-';
    }
    let zeros = text[POINT + 2..=POINT + DECIMALS].iter().rev().take_while(|digit| **digit == b'0').count();
    let length = out.len() + POINT + 1 + DECIMALS - zeros - start;
    out.extend_from_slice(&text[start..start + ROOM]);
    out.truncate(length);
}

/// Appends a number with all of its digits; 0 for infinities and NaN.
pub fn number(out: &mut Vec<u8>, value: f32) {
    serialise(out, &if value.is_finite() { value } else { 0.0 });
}

/// Appends seconds, rounded to milliseconds.
pub fn seconds(out: &mut Vec<u8>, duration: Duration) {
    let ms = (duration.as_secs_f64() * 1000.0).round() as u64;
    whole(out, ms / 1000);
    let fraction = (ms % 1000) as u32;
    out.push(b'.');
    for digit in [fraction / 100, fraction / 10 % 10, fraction % 10] {
        out.push(b'0' + digit as u8);
    }
}

/// Formats nanoseconds since 1970, for example as `2026-05-04T12:34:56.789000000Z`; `None` beyond the year 9999.
pub fn iso8601(ns: u64) -> Option<String> {
    let (seconds, nanos) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let time = gst::glib::DateTime::from_unix_utc(i64::try_from(seconds).ok()?).ok()?;
    Some(format!("{}.{nanos:09}Z", time.format("%Y-%m-%dT%H:%M:%S").ok()?))
}

/// [`rounded`] for numbers of any size.
#[cold]
fn rounded_large(out: &mut Vec<u8>, value: f32, decimals: usize) {
    let one = 10_f64.powi(decimals as i32);
    let rounded = (f64::from(value) * one).round() / one;
    serialise(out, &if rounded.is_finite() { rounded } else { 0.0 });
}

/// Appends each item by `write`, with commas between.
pub fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

fn serialise<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // This fails only for maps whose keys aren't strings, and where the writer does.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// How a serialiser writes the same number, rounded beforehand.
    fn expected(value: f32, one: f64) -> String {
        let rounded = if value.is_finite() { (f64::from(value) * one).round() / one } else { 0.0 };
        // No negative zero.
        serde_json::to_string(&(rounded + 0.0)).unwrap()
    }

    fn check(value: f32) {
        assert_eq!(written(|out| rounded::<2>(out, value)), expected(value, 1e2), "{value}, 2 decimals");
        assert_eq!(written(|out| rounded::<4>(out, value)), expected(value, 1e4), "{value}, 4 decimals");
    }

    #[test]
    fn numbers_are_rounded_halves_away_from_zero() {
        for value in [
            0.0,
            0.004_999,
            0.005,
            0.015,
            0.125,
            0.5,
            0.9999,
            0.99995,
            0.1,
            9.99,
            10.0,
            99.995,
            100.0,
            1919.995,
            1919.994,
            7680.0,
            9999.994,
            9999.995,
            10_000.0,
            16_777_215.0,
            1e9,
            4.5e11,
            4.6e11,
            4.5e13,
            4.6e13,
            1e15,
            1e16,
            f32::MAX,
            f32::MIN_POSITIVE,
            f32::NAN,
            f32::INFINITY,
        ] {
            check(value);
            check(-value);
        }
        assert_eq!(written(|out| rounded::<2>(out, -0.001)), "0.0");
        assert_eq!(written(|out| rounded::<4>(out, 0.000_04)), "0.0");
        assert_eq!(written(|out| rounded::<4>(out, -12.3456)), "-12.3456");
    }

    #[test]
    fn a_list_has_commas_between() {
        for (items, expected) in [(&[][..], ""), (&[1], "1"), (&[1, 20, 300], "1,20,300")] {
            assert_eq!(written(|out| list(out, items, |out, number: &u32| whole(out, *number))), expected);
        }
    }

    proptest! {
        #[test]
        fn any_number_is_what_a_serialiser_writes(value: f32, pixel in -1e4_f32..1e4) {
            check(value);
            check(pixel);
        }

        #[test]
        fn any_text_is_what_a_serialiser_writes(any: String) {
            prop_assert_eq!(written(|out| text(out, &any)), serde_json::to_string(&any).unwrap());
        }
    }
}
