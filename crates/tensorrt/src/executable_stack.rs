//! Libraries that the C library refuses to open because they ask for an executable stack: TensorRT's builder resource does.

use crate::error::Error;
use files::executable_stack;
use std::ffi::CStr;
use std::path::Path;

/// From this version on glibc makes no stack executable for a library that is opened at run time.
const GLIBC_THAT_REFUSES: (u32, u32) = (2, 41);
/// glibc's settings of a process.
const TUNABLES: &str = "GLIBC_TUNABLES";
/// The setting with which glibc opens such libraries as its older versions did.
const ALLOWED: &str = "glibc.rtld.execstack=2";

/// Why this process can't open `library`, if the reason is that it asks for an executable stack:
/// [`Error::ExecutableStack`].
pub fn executable_stack_refusal(library: &Path) -> Option<Error> {
    // SAFETY: glibc returns a static string.
    let glibc = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    let tunables = std::env::var_os(TUNABLES).unwrap_or_default();
    refusal(library, &glibc.to_string_lossy(), &tunables.to_string_lossy())
}

fn refusal(library: &Path, glibc: &str, tunables: &str) -> Option<Error> {
    let mut numbers = glibc.split('.').map(|number| number.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let allowed = tunables.split(':').any(|setting| setting == ALLOWED);
    // A file that can't be read has another problem.
    let refused = version >= GLIBC_THAT_REFUSES && !allowed && executable_stack::is_asked_for(library).unwrap_or(false);
    refused.then(|| Error::ExecutableStack { file: library.to_owned(), glibc: glibc.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a library with one program header, PT_GNU_STACK, with these flags.
    fn library(flags: u8) -> tempfile::NamedTempFile {
        let mut bytes = [0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[32], bytes[54], bytes[56]) = (64, 56, 1);
        bytes[64..72].copy_from_slice(&[0x51, 0xe5, 0x74, 0x64, flags, 0, 0, 0]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn newer_versions_refuse_it_unless_they_are_told_otherwise() {
        let (asks, plain) = (library(7), library(6));
        for (glibc, tunables, refused) in [
            ("2.36", "", false),
            ("2.40", "", false),
            ("2.41", "", true),
            ("2.43", "glibc.malloc.arena_max=4", true),
            ("3.0", "glibc.rtld.execstack=1", true),
            ("2.41", "glibc.malloc.arena_max=4:glibc.rtld.execstack=2", false),
        ] {
            let found = refusal(asks.path(), glibc, tunables);
            assert_eq!(found.is_some(), refused, "{glibc} {tunables}");
            assert!(refusal(plain.path(), glibc, tunables).is_none());
            assert!(refusal(Path::new("libnvinfer.so.10"), glibc, tunables).is_none());
        }
    }

    #[test]
    fn the_error_names_the_cause_and_both_remedies() {
        let file = library(7);
        let text = refusal(file.path(), "2.41", "").unwrap().to_string();
        let name = file.path().display().to_string();
        for part in
            [&name, "executable stack", "glibc 2.41", TUNABLES, ALLOWED, "--clear-execstack", "setup --tensorrt"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
