//! Files in a folder whose total size is bounded.

use files::whole_file;
use gst::glib;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A folder of files whose names begin with the time, so that they sort by age.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    extension: &'static str,
    /// Bytes.
    limit: u64,
    /// Oldest first, with their sizes.
    files: VecDeque<(PathBuf, u64)>,
    total: u64,
}

impl Store {
    /// Creates the folder if it doesn't exist; the files with this extension in it count. Unfinished files that a dead
    /// process has left are removed.
    ///
    /// # Errors
    /// The folder can't be created or read.
    pub fn open(folder: &Path, extension: &'static str, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(&format!(".{extension}{}", whole_file::PART)) {
                let _ = fs::remove_file(&path);
            }
            if path.extension().is_some_and(|found| found == extension) {
                let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                files.push((path, size));
            }
        }
        files.sort();
        let total = files.iter().map(|(_, size)| size).sum();
        let mut store = Self { folder: folder.to_owned(), extension, limit, files: files.into(), total };
        store.make_room(0)?;
        Ok(store)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a new file, `TIME` or `TIME-SUFFIX`; a later time if the name is taken.
    pub fn fresh(&self, suffix: &str) -> PathBuf {
        let suffix = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
        let mut time = glib::DateTime::now_utc().ok();
        loop {
            // There is no time only beyond the year 9999.
            let text = time.as_ref().and_then(text).unwrap_or_default();
            let path = self.folder.join(format!("{text}{suffix}.{}", self.extension));
            time = time.and_then(|time| time.add(glib::TimeSpan::from_milliseconds(1)).ok());
            if time.is_none() || !path.exists() {
                return path;
            }
        }
    }

    /// Writes a new file atomically.
    ///
    /// # Errors
    /// The file can't be written, it's larger than the limit, or an older one can't be removed for it.
    pub fn write(&mut self, suffix: &str, content: &[u8]) -> io::Result<PathBuf> {
        let size = content.len() as u64;
        self.check(size)?;
        self.make_room(size)?;
        let path = self.fresh(suffix);
        whole_file::write(&path, content)?;
        self.add(path.clone(), size);
        Ok(path)
    }

    fn check(&self, size: u64) -> io::Result<()> {
        if size <= self.limit {
            return Ok(());
        }
        let text = format!("{size} bytes exceed the limit of all files, {}; raise the limit", self.limit);
        Err(io::Error::new(ErrorKind::FileTooLarge, text))
    }

    /// Counts a file that was written here by another element.
    ///
    /// # Errors
    /// The file doesn't exist, it's larger than the limit and was removed, or an older one can't be removed for it.
    pub fn took(&mut self, path: &Path) -> io::Result<()> {
        let size = fs::metadata(path)?.len();
        self.add(path.to_owned(), size);
        self.make_room(0)?;
        self.check(size)
    }

    fn add(&mut self, path: PathBuf, size: u64) {
        self.total += size;
        self.files.push_back((path, size));
    }

    /// Removes the oldest files until `size` more bytes fit.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn make_room(&mut self, size: u64) -> io::Result<()> {
        while self.total + size > self.limit
            && let Some((path, freed)) = self.files.pop_front()
        {
            match fs::remove_file(&path) {
                // A file that doesn't exist any more was removed by hand.
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    self.files.push_front((path, freed));
                    return Err(error);
                }
                _ => self.total -= freed,
            }
        }
        Ok(())
    }
}

/// A time in a form that sorts by name: `20260504T123456.789Z`.
fn text(time: &glib::DateTime) -> Option<String> {
    Some(format!("{}.{:03}Z", time.format("%Y%m%dT%H%M%S").ok()?, time.microsecond() / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("door");
        let mut store = Store::open(&inner, "jpg", 100).unwrap();
        let [_, two, three] = ["1", "2", "3"].map(|name| name_of(&store.write(name, &[0; 40]).unwrap()));
        assert_eq!(names(&inner), [two, three]);
        let four = name_of(&store.write("4", &[0; 90]).unwrap());
        assert_eq!(names(&inner), [four]);
        let five = inner.join("5.jpg");
        fs::write(&five, [0; 60]).unwrap();
        store.took(&five).unwrap();
        assert_eq!(names(&inner), ["5.jpg"]);

        // Files of an earlier run count, and other files are left alone.
        fs::write(inner.join("0.jpg"), [0; 60]).unwrap();
        fs::write(inner.join("notes.txt"), [0; 600]).unwrap();
        let mut store = Store::open(&inner, "jpg", 100).unwrap();
        assert_eq!(names(&inner), ["5.jpg", "notes.txt"]);
        // A file that was removed by hand isn't an error.
        fs::remove_file(inner.join("5.jpg")).unwrap();
        let six = name_of(&store.write("6", &[0; 50]).unwrap());
        assert_eq!(names(&inner), [six, "notes.txt".into()]);
    }

    fn name_of(path: &Path) -> String {
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_file_larger_than_all_may_be_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), "jpg", 100).unwrap();
        let small = name_of(&store.write("small", &[0; 40]).unwrap());
        let error = store.write("large", &[0; 101]).unwrap_err();
        assert!(error.to_string().contains("101 bytes exceed the limit of all files, 100"), "{error}");
        assert_eq!(names(folder.path()), [small], "nothing makes room for what can't be kept");
        let large = folder.path().join("9.jpg");
        fs::write(&large, [0; 101]).unwrap();
        assert!(store.took(&large).is_err());
        assert_eq!((names(folder.path()), store.total), (vec![], 0));
    }

    #[test]
    fn names_are_times_and_never_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), "jpg", 100).unwrap();
        let paths: Vec<_> = (0..20).map(|_| store.write("dog", &[0]).unwrap()).collect();
        assert!(paths.is_sorted_by(|one, next| one < next), "{paths:?}");
        assert_eq!(names(folder.path()).len(), 20);
        let (name, video) = (name_of(&paths[0]), store.fresh(""));
        assert!(name.len() == 28 && name.ends_with("Z-dog.jpg"), "{name}");
        assert!(video.to_str().unwrap().ends_with("Z.jpg"), "{video:?}");
    }

    #[test]
    fn what_a_dead_process_left_unfinished_goes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1.jpg.part", "1.mp4", "2.jpg"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        Store::open(folder.path(), "jpg", 100).unwrap();
        assert_eq!(names(folder.path()), ["1.mp4", "2.jpg"]);
    }
}
