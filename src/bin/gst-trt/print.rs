//! Output to a terminal, a file or another program. The standard macros panic when the reader has gone, as `head` does.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// The status by which shells know a program whose reader has gone: 128 and SIGPIPE's number.
const READER_GONE: i32 = 141;

/// Writes to standard output. Ends the program if that can't be written: quietly where the reader has gone.
pub fn to_stdout(text: Arguments) {
    if let Err(error) = io::stdout().lock().write_fmt(text) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(READER_GONE);
        }
        to_stderr(format_args!("gst-trt: standard output can't be written: {error}\n"));
        std::process::exit(1);
    }
}

/// Writes to standard error. That it's closed can't be reported anywhere.
pub fn to_stderr(text: Arguments) {
    let _ = io::stderr().lock().write_fmt(text);
}

macro_rules! out {
    ($($text:tt)*) => { $crate::print::to_stdout(format_args!($($text)*)) };
}

macro_rules! outln {
    ($($text:tt)*) => { $crate::print::to_stdout(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! err {
    ($($text:tt)*) => { $crate::print::to_stderr(format_args!($($text)*)) };
}

macro_rules! errln {
    ($($text:tt)*) => { $crate::print::to_stderr(format_args!("{}\n", format_args!($($text)*))) };
}
