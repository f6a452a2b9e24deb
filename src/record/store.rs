//! Files in a folder whose size, number and age are bounded.

use files::whole_file;
use gst::glib;
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a folder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    pub files: usize,
    /// The time since a file was finished.
    pub age: Option<Duration>,
}

impl Limits {
    /// No limit but this size of all files.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self { bytes, files: usize::MAX, age: None }
    }
}

/// The files of a store: their extension, and that of a file with the same name beside each, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub extension: &'static str,
    pub beside: Option<&'static str>,
}

impl Kind {
    pub const fn alone(extension: &'static str) -> Self {
        Self { extension, beside: None }
    }

    fn extensions(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.extension).chain(self.beside)
    }

    /// The paths of a file and of what is beside it.
    fn paths(self, file: &Path) -> impl Iterator<Item = PathBuf> + use<> {
        let file = file.to_owned();
        self.extensions().map(move |extension| file.with_extension(extension))
    }
}

/// A folder of files whose names begin with the time, so that they sort by age. Files with other names are left alone.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    kind: Kind,
    limits: Limits,
    /// Oldest first.
    files: VecDeque<Stored>,
    /// Bytes.
    total: u64,
}

/// A file with what is beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stored {
    path: PathBuf,
    /// Bytes.
    size: u64,
    finished: SystemTime,
}

impl Stored {
    /// What there is under this path, and beside it; `None`: nothing.
    fn at(path: &Path, kind: Kind) -> Option<Self> {
        let mut stored: Option<Self> = None;
        for file in kind.paths(path).filter_map(|path| fs::metadata(path).ok()) {
            let time = file.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let stored = stored.get_or_insert(Self { path: path.to_owned(), size: 0, finished: time });
            stored.size += file.len();
            stored.finished = stored.finished.max(time);
        }
        stored
    }
}

impl Store {
    /// Creates the folder if it doesn't exist; the files of this kind in it count. Unfinished files that a dead process
    /// has left are removed.
    ///
    /// # Errors
    /// The folder can't be created or read.
    pub fn open(folder: &Path, kind: Kind, limits: Limits) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut paths = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is = |extension: &str| path.extension().is_some_and(|found| found == extension);
            let unfinished = |extension| path.to_string_lossy().ends_with(&format!(".{extension}{}", whole_file::PART));
            if kind.extensions().any(unfinished) {
                let _ = fs::remove_file(&path);
            } else if kind.extensions().any(is) && is_named_by_time(&path) {
                paths.insert(path.with_extension(kind.extension));
            }
        }
        let files: VecDeque<_> = paths.iter().filter_map(|path| Stored::at(path, kind)).collect();
        let total = files.iter().map(|stored| stored.size).sum();
        let mut store = Self { folder: folder.to_owned(), kind, limits, files, total };
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
            let path = self.folder.join(format!("{text}{suffix}.{}", self.kind.extension));
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
        self.took(&path)?;
        Ok(path)
    }

    fn check(&self, size: u64) -> io::Result<()> {
        if size <= self.limits.bytes {
            return Ok(());
        }
        let text = format!("{size} bytes exceed the limit of all files, {}; raise the limit", self.limits.bytes);
        Err(io::Error::new(ErrorKind::FileTooLarge, text))
    }

    /// Counts a file that was finished here, and what is beside it; again, if that has changed.
    ///
    /// # Errors
    /// The file doesn't exist, it's larger than the limit and was removed, or an older one can't be removed for it.
    pub fn took(&mut self, path: &Path) -> io::Result<()> {
        let stored = Stored::at(path, self.kind).ok_or(ErrorKind::NotFound)?;
        if let Some(at) = self.files.iter().position(|stored| stored.path == path)
            && let Some(old) = self.files.remove(at)
        {
            self.total -= old.size;
        }
        let size = stored.size;
        self.total += size;
        self.files.push_back(stored);
        self.make_room(0)?;
        self.check(size)
    }

    /// Removes the oldest files until `size` more bytes fit, and those that are too old or too many.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn make_room(&mut self, size: u64) -> io::Result<()> {
        while let Some(oldest) = self.files.front()
            && (self.total + size > self.limits.bytes || self.files.len() > self.limits.files || self.is_old(oldest))
            && let Some(oldest) = self.files.pop_front()
        {
            for path in self.kind.paths(&oldest.path) {
                match fs::remove_file(&path) {
                    // A file that doesn't exist any more was removed by hand.
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        self.files.push_front(oldest);
                        return Err(error);
                    }
                    _ => {}
                }
            }
            self.total -= oldest.size;
        }
        Ok(())
    }

    fn is_old(&self, stored: &Stored) -> bool {
        let age = stored.finished.elapsed().ok();
        self.limits.age.zip(age).is_some_and(|(longest, age)| age > longest)
    }
}

/// Whether a file's name begins with a time, as [`text`] writes it.
fn is_named_by_time(path: &Path) -> bool {
    const FORM: &[u8] = b"00000000T000000.000Z";
    let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
    let fits = |(expected, found): (&u8, &u8)| match expected {
        b'0' => found.is_ascii_digit(),
        other => found == other,
    };
    name.len() > FORM.len() && FORM.iter().zip(name).all(fits)
}

/// A time in a form that sorts by name: `20260504T123456.789Z`.
pub fn text(time: &glib::DateTime) -> Option<String> {
    Some(format!("{}.{:03}Z", time.format("%Y%m%dT%H%M%S").ok()?, time.microsecond() / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPG: Kind = Kind::alone("jpg");
    const LIMITS: Limits = Limits::of_bytes(100);
    /// Names of files of earlier runs.
    const ZERO: &str = "20200101T000000.000Z.jpg";
    const FIVE: &str = "20990101T000000.000Z.jpg";
    const NINE: &str = "20990101T000000.001Z.jpg";

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
        let mut store = Store::open(&inner, JPG, LIMITS).unwrap();
        let [_, two, three] = ["1", "2", "3"].map(|name| name_of(&store.write(name, &[0; 40]).unwrap()));
        assert_eq!(names(&inner), [two, three]);
        let four = name_of(&store.write("4", &[0; 90]).unwrap());
        assert_eq!(names(&inner), [four]);
        let five = inner.join(FIVE);
        fs::write(&five, [0; 60]).unwrap();
        store.took(&five).unwrap();
        assert_eq!(names(&inner), [FIVE]);

        // Files of an earlier run count, and other files are left alone.
        fs::write(inner.join(ZERO), [0; 60]).unwrap();
        fs::write(inner.join("notes.txt"), [0; 600]).unwrap();
        let mut store = Store::open(&inner, JPG, LIMITS).unwrap();
        assert_eq!(names(&inner), [FIVE, "notes.txt"]);
        // A file that was removed by hand isn't an error.
        fs::remove_file(inner.join(FIVE)).unwrap();
        let six = name_of(&store.write("6", &[0; 50]).unwrap());
        assert_eq!(names(&inner), [six, "notes.txt".into()]);
    }

    fn name_of(path: &Path) -> String {
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_file_larger_than_all_may_be_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), JPG, LIMITS).unwrap();
        let small = name_of(&store.write("small", &[0; 40]).unwrap());
        let error = store.write("large", &[0; 101]).unwrap_err();
        assert!(error.to_string().contains("101 bytes exceed the limit of all files, 100"), "{error}");
        assert_eq!(names(folder.path()), [small], "nothing makes room for what can't be kept");
        let large = folder.path().join(NINE);
        fs::write(&large, [0; 101]).unwrap();
        assert!(store.took(&large).is_err());
        assert_eq!((names(folder.path()), store.total), (vec![], 0));
    }

    #[test]
    fn names_are_times_and_never_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), JPG, LIMITS).unwrap();
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
        Store::open(folder.path(), JPG, LIMITS).unwrap();
        assert_eq!(names(folder.path()), ["1.mp4", "2.jpg"]);
    }

    #[test]
    fn what_is_beside_a_file_goes_with_it_and_number_and_age_are_bounded_too() {
        let folder = tempfile::tempdir().unwrap();
        let kind = Kind { extension: "mp4", beside: Some("json") };
        let limits = Limits { bytes: 1000, files: 2, age: None };
        let path = |n: u32, extension: &str| folder.path().join(format!("20200101T00000{n}.000Z-door.{extension}"));
        let mut store = Store::open(folder.path(), kind, limits).unwrap();
        for n in 0..4 {
            fs::write(path(n, "mp4"), [0; 300]).unwrap();
            store.took(&path(n, "mp4")).unwrap();
            fs::write(path(n, "json"), [0; 50]).unwrap();
            store.took(&path(n, "mp4")).unwrap();
        }
        assert_eq!((store.total, store.files.len()), (700, 2));
        let left = [path(2, "json"), path(2, "mp4"), path(3, "json"), path(3, "mp4")];
        assert_eq!(names(folder.path()), left.each_ref().map(|path| name_of(path)));
        // What is beside a file that was removed by hand counts too, and other names are left alone.
        fs::remove_file(path(2, "mp4")).unwrap();
        fs::write(folder.path().join("holiday.mp4"), [0; 5000]).unwrap();
        let store = Store::open(folder.path(), kind, limits).unwrap();
        assert_eq!((store.total, store.files.len()), (400, 2));
        std::thread::sleep(Duration::from_millis(5));
        let old = Limits { age: Some(Duration::from_millis(1)), ..limits };
        let store = Store::open(folder.path(), kind, old).unwrap();
        assert_eq!((store.total, names(folder.path())), (0, vec!["holiday.mp4".to_owned()]));
    }
}
