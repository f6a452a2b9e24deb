//! Files in a folder that never take more than so many bytes.

use crate::whole_file;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A folder of files whose names sort by their age, as those that begin with the time do.
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
    /// Makes the folder if it isn't there; the files of this extension that are in it count.
    ///
    /// # Errors
    /// It can't be made or read.
    pub fn open(folder: &Path, extension: &'static str, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
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

    /// The path of a file of this name, without extension.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{}", self.extension))
    }

    /// Writes a file, all at once.
    ///
    /// # Errors
    /// It can't be written, or an older one can't be removed for it.
    pub fn write(&mut self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        self.make_room(content.len() as u64)?;
        let path = self.path(name);
        whole_file::write(&path, content)?;
        self.add(path.clone(), content.len() as u64);
        Ok(path)
    }

    /// Counts a file that another has written here.
    ///
    /// # Errors
    /// It isn't there, or an older one can't be removed for it.
    pub fn took(&mut self, path: &Path) -> io::Result<()> {
        let size = fs::metadata(path)?.len();
        self.add(path.to_owned(), size);
        self.make_room(0)
    }

    fn add(&mut self, path: PathBuf, size: u64) {
        self.total += size;
        self.files.push_back((path, size));
    }

    /// Removes the oldest until `size` more bytes fit.
    ///
    /// # Errors
    /// One can't be removed.
    pub fn make_room(&mut self, size: u64) -> io::Result<()> {
        while self.total + size > self.limit
            && let Some((path, freed)) = self.files.pop_front()
        {
            match fs::remove_file(&path) {
                // Somebody has tidied up.
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
        for name in ["1", "2", "3"] {
            store.write(name, &[0; 40]).unwrap();
        }
        assert_eq!(names(&inner), ["2.jpg", "3.jpg"]);
        store.write("4", &[0; 90]).unwrap();
        assert_eq!(names(&inner), ["4.jpg"]);
        fs::write(store.path("5"), [0; 60]).unwrap();
        store.took(&store.path("5")).unwrap();
        assert_eq!(names(&inner), ["5.jpg"]);

        // What an earlier run left counts, and other files are left alone.
        fs::write(inner.join("0.jpg"), [0; 60]).unwrap();
        fs::write(inner.join("notes.txt"), [0; 600]).unwrap();
        let mut store = Store::open(&inner, "jpg", 100).unwrap();
        assert_eq!(names(&inner), ["5.jpg", "notes.txt"]);
        // One that was removed by hand isn't missed.
        fs::remove_file(inner.join("5.jpg")).unwrap();
        store.write("6", &[0; 50]).unwrap();
        assert_eq!(names(&inner), ["6.jpg", "notes.txt"]);
    }
}
