//! A parsed file that is read again when it changes.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

type Load<T> = Box<dyn Fn(&[u8]) -> T + Send + Sync>;

pub struct FollowedFile<T> {
    path: PathBuf,
    load: Load<T>,
    seen: Mutex<Option<(Stamp, Arc<T>)>>,
}

/// What tells one content from another without reading it. The inode is part of it because
/// some systems pin the time of modification, and tools replace the file rather than write it.
#[derive(PartialEq, Eq)]
enum Stamp {
    Missing,
    File {
        modified: Option<SystemTime>,
        inode: u64,
        size: u64,
    },
}

impl<T> FollowedFile<T> {
    /// Touches no file: the first [`Self::current`] does.
    pub fn new(path: PathBuf, load: impl Fn(&[u8]) -> T + Send + Sync + 'static) -> Self {
        Self {
            path,
            load: Box::new(load),
            seen: Mutex::new(None),
        }
    }

    /// The parsed content as of now. A file that is missing or cannot be read counts as empty.
    pub fn current(&self) -> Arc<T> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The stamp is taken before reading: a change in between is then seen next time.
        let stamp = self.stamp();
        if let Some((last, content)) = &*seen
            && *last == stamp
        {
            return content.clone();
        }
        let bytes = match stamp {
            Stamp::File { .. } => fs::read(&self.path).unwrap_or_default(),
            Stamp::Missing => vec![],
        };
        let content = Arc::new((self.load)(&bytes));
        *seen = Some((stamp, content.clone()));
        content
    }

    fn stamp(&self) -> Stamp {
        match fs::metadata(&self.path) {
            // Reading a pipe would wait for a writer, and every other lookup with it.
            Ok(metadata) if !metadata.is_file() => Stamp::Missing,
            Ok(metadata) => Stamp::File {
                modified: metadata.modified().ok(),
                inode: inode(&metadata),
                size: metadata.len(),
            },
            Err(_) => Stamp::Missing,
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn path(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("dns_mesh_{test}_{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn read_once_while_unchanged() {
        let path = path("unchanged");
        fs::write(&path, "a").unwrap();
        let loads = Arc::new(AtomicUsize::new(0));
        let counter = loads.clone();
        let file = FollowedFile::new(path.clone(), move |bytes| {
            counter.fetch_add(1, Ordering::SeqCst);
            bytes.to_vec()
        });
        assert_eq!(loads.load(Ordering::SeqCst), 0, "opening reads nothing");
        assert_eq!(*file.current(), b"a");
        assert_eq!(*file.current(), b"a");
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        fs::remove_file(path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_read() {
        let path = path("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        let file = FollowedFile::new(path.clone(), <[u8]>::to_vec);
        assert_eq!(*file.current(), b"");
        fs::remove_file(path).unwrap();
        assert_eq!(
            *FollowedFile::new("/".into(), <[u8]>::to_vec).current(),
            b""
        );
    }

    #[test]
    fn replaced_with_pinned_time_and_size_is_seen_by_inode() {
        let path = path("replaced");
        fs::write(&path, "a").unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let file = FollowedFile::new(path.clone(), <[u8]>::to_vec);
        assert_eq!(*file.current(), b"a");

        let other = path.with_extension("new");
        fs::write(&other, "b").unwrap();
        fs::File::options()
            .write(true)
            .open(&other)
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(*file.current(), b"b");

        fs::write(&path, "longer").unwrap();
        assert_eq!(*file.current(), b"longer");
        fs::remove_file(&path).unwrap();
        assert_eq!(*file.current(), b"");
    }
}
