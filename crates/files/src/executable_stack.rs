//! Libraries that ask for an executable stack.
//!
//! An ELF file asks for one by the flag `PF_X` in its program header `PT_GNU_STACK`, or by having no such header. glibc from
//! 2.41 on doesn't open such a library at run time. Libraries have the flag because one of their assembler files didn't say
//! that it needs no executable stack; few need one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
/// The start of a 64-bit, little-endian ELF file.
const MAGIC: [u8; 6] = *b"\x7fELF\x02\x01";
/// Sizes of the file header and of one program header.
const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// The field `p_flags` of `PT_GNU_STACK`.
struct Flags {
    /// Its place in the file, in bytes.
    at: u64,
    value: u32,
}

/// Whether the library asks for an executable stack.
///
/// # Errors
/// The file can't be read, or isn't a 64-bit little-endian ELF file.
pub fn is_asked_for(library: &Path) -> io::Result<bool> {
    Ok(read_flags(&mut File::open(library)?)?.is_none_or(|flags| flags.value & PF_X != 0))
}

/// Has the library no longer ask for an executable stack. Returns whether it did. Nothing else in the file changes.
///
/// # Errors
/// The file can't be read or written, isn't a 64-bit little-endian ELF file, or has no header `PT_GNU_STACK`.
pub fn clear(library: &Path) -> io::Result<bool> {
    let flags = read_flags(&mut File::open(library)?)?;
    let flags = flags.ok_or_else(|| invalid("it has no header PT_GNU_STACK, whose flag could be cleared"))?;
    if flags.value & PF_X == 0 {
        return Ok(false);
    }
    let mut file = OpenOptions::new().write(true).open(library)?;
    file.seek(SeekFrom::Start(flags.at))?;
    file.write_all(&(flags.value & !PF_X).to_le_bytes())?;
    Ok(true)
}

/// The library's content as it was before [`clear`].
///
/// # Errors
/// As for [`clear`].
pub fn read_before_clearing(library: &Path) -> io::Result<impl Read> {
    let mut file = File::open(library)?;
    let flags = read_flags(&mut file)?.ok_or_else(|| invalid("it has no header PT_GNU_STACK"))?;
    file.seek(SeekFrom::Start(0))?;
    let mut start = vec![0; flags.at as usize];
    file.read_exact(&mut start)?;
    start.extend((flags.value | PF_X).to_le_bytes());
    file.seek(SeekFrom::Start(start.len() as u64))?;
    Ok(io::Cursor::new(start).chain(file))
}

fn read_flags(file: &mut (impl Read + Seek)) -> io::Result<Option<Flags>> {
    let mut header = [0; FILE_HEADER];
    file.read_exact(&mut header)?;
    if !header.starts_with(&MAGIC) {
        return Err(invalid("it isn't a 64-bit little-endian ELF file"));
    }
    let mut start = u64::from_le_bytes(field(&header, 32));
    let size = u16::from_le_bytes(field(&header, 54));
    let count = u16::from_le_bytes(field(&header, 56));
    if usize::from(size) < PROGRAM_HEADER {
        return Err(invalid("its program headers are too small"));
    }
    for _ in 0..count {
        let mut header = [0; PROGRAM_HEADER];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut header)?;
        if u32::from_le_bytes(field(&header, 0)) == PT_GNU_STACK {
            return Ok(Some(Flags { at: start + 4, value: u32::from_le_bytes(field(&header, 4)) }));
        }
        start = start.checked_add(size.into()).ok_or_else(|| invalid("its program headers are out of bounds"))?;
    }
    Ok(None)
}

/// The bytes of a field; the headers are larger than all offsets that are asked for.
fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PT_LOAD: u32 = 1;

    /// An ELF file with these program headers (type and flags), which start at 64 as linkers place them.
    fn elf(headers: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; FILE_HEADER];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[32] = FILE_HEADER as u8;
        bytes[54] = PROGRAM_HEADER as u8;
        bytes[56] = headers.len() as u8;
        for (kind, flags) in headers {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend([0; PROGRAM_HEADER - 8]);
        }
        bytes.extend(b"code");
        bytes
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn the_flag_is_read_and_cleared_and_nothing_else() {
        for flags in [7, 1, 0xf000_0007_u32] {
            let shipped = elf(&[(PT_LOAD, 5), (PT_GNU_STACK, flags), (PT_LOAD, 6)]);
            let file = file(&shipped);
            assert!(is_asked_for(file.path()).unwrap());
            assert!(clear(file.path()).unwrap());
            assert!(!is_asked_for(file.path()).unwrap());
            let cleared = elf(&[(PT_LOAD, 5), (PT_GNU_STACK, flags & !1), (PT_LOAD, 6)]);
            assert_eq!(std::fs::read(file.path()).unwrap(), cleared);
            assert!(!clear(file.path()).unwrap(), "cleared already");
            let mut before = Vec::new();
            read_before_clearing(file.path()).unwrap().read_to_end(&mut before).unwrap();
            assert_eq!(before, shipped);
        }
    }

    #[test]
    fn a_library_that_says_nothing_asks_for_it() {
        let file = file(&elf(&[(PT_LOAD, 5)]));
        assert!(is_asked_for(file.path()).unwrap());
        assert!(clear(file.path()).unwrap_err().to_string().contains("no header PT_GNU_STACK"));
    }

    #[test]
    fn other_files_are_errors() {
        let mut small_headers = elf(&[(PT_GNU_STACK, 7)]);
        small_headers[54] = 8;
        let mut far = elf(&[(PT_GNU_STACK, 7)]);
        far[32..40].fill(0xff);
        let mut cut = elf(&[(PT_GNU_STACK, 7)]);
        cut.truncate(FILE_HEADER + 4);
        let mut other_class = elf(&[(PT_GNU_STACK, 7)]);
        other_class[4] = 1;
        for content in [b"".to_vec(), b"no ELF file".repeat(10), small_headers, far, cut, other_class] {
            let file = file(&content);
            assert!(is_asked_for(file.path()).is_err());
            assert!(clear(file.path()).is_err());
            assert_eq!(std::fs::read(file.path()).unwrap(), content);
        }
    }
}
