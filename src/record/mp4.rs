//! What an MP4 file contains.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Whether an MP4 contains a frame: one that was closed within its first fragment has its frames before its description, others
/// have fragments.
pub fn has_frames(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut header = [0; 8];
    let mut data = false;
    // Each box begins with its size and type.
    while file.read_exact(&mut header).is_ok() {
        let [a, b, c, d, name @ ..] = header;
        let rest = i64::from(u32::from_be_bytes([a, b, c, d])) - 8;
        match &name {
            b"moof" => return true,
            b"moov" if data => return true,
            // More than the 8 bytes of a size of 64 bits.
            b"mdat" => data = rest > 8,
            _ => {}
        }
        if rest < 0 || file.seek(SeekFrom::Current(rest)).is_err() {
            return false;
        }
    }
    false
}
