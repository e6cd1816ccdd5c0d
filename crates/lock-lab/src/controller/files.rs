//! Where state files live: on disk, or in memory for virtual runs. Those in memory can be watched and
//! put back, so that exploration can put a state back and knows what a piece of code depends on.

use super::on_disk::{self, absent_is_none, signature};
use parking_lot::Mutex;
use sha1_smol::Sha1;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Distinguishes one content of a file from the next (contract, section 3: modification time and
/// size).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature {
    pub(super) modified: SystemTime,
    pub(super) size: u64,
}

/// Where state files live, and what was written there through it.
#[derive(Debug, Default)]
pub struct Files {
    on_disk: bool,
    written: Mutex<BTreeMap<PathBuf, Written>>,
    /// The files that were there before anything was written through here.
    found: Mutex<BTreeMap<PathBuf, Content>>,
    /// Digests of what was mirrored in Redis, and under which name: the path of a file.
    mirrored: Mutex<BTreeSet<(PathBuf, [u8; 20])>>,
    /// Held by a thread that reads and then writes.
    checked: Mutex<()>,
    /// Which files were read or written, if this is recorded.
    touched: Option<Mutex<BTreeSet<PathBuf>>>,
}

/// What was last written to a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Written {
    /// The content.
    pub bytes: Vec<u8>,
    /// The file's signature since then.
    pub signature: Signature,
    /// Which of the contents written through here it is, from 1.
    pub revision: u64,
    /// Whether another writer's content has been overwritten since the first one.
    pub over_foreign: bool,
    /// How many operations were counted, where the content does not say it.
    pub beside: u64,
}

/// A file's content as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The file's signature.
    pub signature: Signature,
    /// The content's revision; 0 if it was not written through here.
    pub revision: u64,
    /// How many operations were counted through here, where the content does not say it.
    pub beside: u64,
}

/// A content that was replaced by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The file's signature now.
    pub signature: Signature,
    /// The revision that was there; 0 if it was not written through here, or there was none.
    pub old: u64,
    /// The revision that is there now.
    pub new: u64,
}

impl Files {
    /// Files on disk.
    pub fn on_disk() -> Self {
        Self { on_disk: true, ..Self::default() }
    }

    /// Files in memory: none yet, nothing else sees them, and they cost nothing.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Files in memory that note which of them are touched.
    pub fn watched() -> Self {
        Self { touched: Some(Mutex::default()), ..Self::default() }
    }

    /// The paths that were read, asked about or written since this was last asked, in order, whether
    /// or not there was a file. Always none unless the files are [`watched`](Self::watched).
    pub fn touched(&self) -> Vec<PathBuf> {
        let Some(touched) = &self.touched else { return Vec::new() };
        std::mem::take(&mut *touched.lock()).into_iter().collect()
    }

    /// Gives a file in memory the content that [`last_written`](Self::last_written) returned, or
    /// removes it. That is no write: no revision is counted, and nothing is noted.
    pub fn put(&self, path: &Path, content: Option<Written>) {
        match content {
            Some(content) => self.written.lock().insert(path.into(), content),
            None => self.written.lock().remove(path),
        };
    }

    /// Whether they are on disk.
    pub fn are_on_disk(&self) -> bool {
        self.on_disk
    }

    /// What was last written to a file through here, if anything was.
    pub fn last_written(&self, path: &Path) -> Option<Written> {
        self.written.lock().get(path).cloned()
    }

    /// Notes what is about to be mirrored in Redis under this name.
    pub fn note_mirrored(&self, path: &Path, bytes: &[u8]) {
        self.mirrored.lock().insert((path.into(), Sha1::from(bytes).digest().bytes()));
    }

    /// Whether this was mirrored in Redis under this name by this program.
    pub fn has_mirrored(&self, path: &Path, bytes: &[u8]) -> bool {
        self.mirrored.lock().contains(&(path.into(), Sha1::from(bytes).digest().bytes()))
    }

    /// Notes a file as it is before anything is written through here, to recognise what others write
    /// meanwhile.
    pub fn note_found(&self, path: &Path, content: Content) {
        self.found.lock().insert(path.into(), content);
    }

    /// Whether others have written the file since it was noted, or first written through here.
    pub fn is_changed_by_others(&self, path: &Path) -> bool {
        let now = self.read(path).ok().flatten();
        match self.last_written(path) {
            Some(written) => {
                written.over_foreign || now.is_none_or(|now| now.revision != written.revision)
            }
            None => self.found.lock().get(path).is_some_and(|found| now.as_ref() != Some(found)),
        }
    }

    /// Whether there is such a file.
    pub fn exists(&self, path: &Path) -> bool {
        self.note(path);
        if self.on_disk { path.exists() } else { self.written.lock().contains_key(path) }
    }

    /// The file's content, or nothing if there is no such file.
    ///
    /// # Errors
    ///
    /// Fails if the file exists and can't be read. In memory it never fails.
    pub fn read(&self, path: &Path) -> io::Result<Option<Content>> {
        self.note(path);
        let written = self.last_written(path);
        if !self.on_disk {
            return Ok(written.map(|Written { bytes, signature, revision, beside, .. }| Content {
                bytes,
                signature,
                revision,
                beside,
            }));
        }
        let Some((bytes, signature)) = absent_is_none(on_disk::read(path))? else {
            return Ok(None);
        };
        let revision = revision(written.as_ref(), &bytes, signature);
        let beside = written.map_or(0, |written| written.beside);
        Ok(Some(Content { bytes, signature, revision, beside }))
    }

    /// The file's signature, or nothing if there is no such file.
    ///
    /// # Errors
    ///
    /// Fails if the system refuses to say. In memory it never fails.
    pub fn signature(&self, path: &Path) -> io::Result<Option<Signature>> {
        self.note(path);
        if self.on_disk {
            absent_is_none(fs::metadata(path).and_then(|found| signature(&found)))
        } else {
            Ok(self.written.lock().get(path).map(|written| written.signature))
        }
    }

    /// Replaces the file's content at once and durably, or leaves it as it was (contract,
    /// section 4): a temporary file in the same directory, the mode and the owner of the old file
    /// (0666 less the umask for a new one), fsync, rename, fsync of the directory. The modification time rises
    /// with each rewrite.
    ///
    /// # Errors
    ///
    /// Fails if the old file's metadata can't be read, or if the new content can't be written,
    /// synchronized or moved into place; the file is then as it was. In memory it never fails.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<Replaced> {
        self.replace_counted(path, bytes, None)
    }

    /// Writes a new file, as [`replace`](Self::replace) does, unless there is one already; says whether it did.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written. In memory it never fails.
    pub fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        self.note(path);
        let mut written = self.written.lock();
        let modified = SystemTime::UNIX_EPOCH;
        let signature = if self.on_disk {
            on_disk::create(path, bytes)?
        } else if written.contains_key(path) {
            None
        } else {
            Some(Signature { modified, size: bytes.len() as u64 })
        };
        let Some(signature) = signature else { return Ok(false) };
        let bytes = bytes.into();
        let content = Written { bytes, signature, revision: 1, over_foreign: false, beside: 0 };
        written.insert(path.into(), content);
        Ok(true)
    }

    /// The same, with the count of operations, if the content does not say it.
    pub(super) fn replace_counted(
        &self,
        path: &Path,
        bytes: &[u8],
        beside: Option<u64>,
    ) -> io::Result<Replaced> {
        self.note(path);
        let mut written = self.written.lock();
        let old = written.get(path);
        let mut over_foreign = false;
        let (signature, replaced) = if self.on_disk {
            let before = absent_is_none(on_disk::read(path))?;
            let replaced = before.as_ref().map_or(0, |(bytes, it)| revision(old, bytes, *it));
            let found = self.found.lock().get(path).cloned();
            let found = found.map(|found| (found.bytes, found.signature));
            over_foreign = old.is_none() && found.is_some() && found != before;
            (on_disk::replace(path, bytes)?, replaced)
        } else {
            let modified = old.map_or(SystemTime::UNIX_EPOCH, |old| {
                old.signature.modified + Duration::from_millis(1)
            });
            let signature = Signature { modified, size: bytes.len() as u64 };
            (signature, old.map_or(0, |old| old.revision))
        };
        let new = old.map_or(0, |old| old.revision) + 1;
        over_foreign |= old.is_some_and(|old| old.over_foreign || old.revision != replaced);
        let beside = beside.or(old.map(|old| old.beside)).unwrap_or_default();
        let bytes = bytes.into();
        let content = Written { bytes, signature, revision: new, over_foreign, beside };
        written.insert(path.into(), content);
        Ok(Replaced { signature, old: replaced, new })
    }

    /// Reads and then writes: no other that does the same with this file, in this process or another,
    /// comes in between.
    ///
    /// # Errors
    ///
    /// Fails where `then` does, or if another process has the file locked.
    pub fn exclusively<T>(
        &self,
        path: &Path,
        then: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _ours = self.checked.lock();
        let _guard = if self.on_disk { on_disk::lock(path)? } else { None };
        then()
    }

    /// Gives a file on disk the content and the modification time that it had before, or removes it, unless
    /// others have written it; says whether it did. The file is compared when all else is done: only what is
    /// written between that and the one call that renames or removes is lost, as no file system compares and
    /// renames at once.
    ///
    /// # Errors
    ///
    /// Fails if the content can't be replaced, its modification time can't be set, or the file can't be removed.
    pub fn put_back(&self, path: &Path, before: Option<&Content>) -> io::Result<bool> {
        let temporary = match before {
            Some(before) => {
                let temporary = on_disk::written_beside(path, &before.bytes)?;
                temporary.as_file().set_modified(before.signature.modified)?;
                temporary.as_file().sync_all()?;
                Some(temporary)
            }
            None => None,
        };
        if self.is_changed_by_others(path) {
            return Ok(false);
        }
        match temporary {
            Some(temporary) => on_disk::persist(temporary, path)?,
            None => fs::remove_file(path)?,
        }
        Ok(true)
    }

    fn note(&self, path: &Path) {
        let Some(touched) = &self.touched else { return };
        let mut touched = touched.lock();
        if !touched.contains(path) {
            touched.insert(path.into());
        }
    }
}

/// Which revision a content is. Its signature alone does not say it: another process may write as many bytes
/// within one tick of the clock of the file system.
fn revision(written: Option<&Written>, bytes: &[u8], signature: Signature) -> u64 {
    let is_it = |it: &&Written| it.signature == signature && it.bytes == bytes;
    written.filter(is_it).map_or(0, |written| written.revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_rewrite_of_the_same_size_changes_the_signature() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        for files in [Files::on_disk(), Files::in_memory()] {
            assert_eq!(files.signature(&path).unwrap(), None);
            let first = files.replace(&path, b"1").unwrap();
            let second = files.replace(&path, b"2").unwrap();
            assert!(second.signature.modified > first.signature.modified);
            assert_eq!((first.old, first.new, second.old, second.new), (0, 1, 1, 2));
            assert_eq!(files.signature(&path).unwrap(), Some(second.signature));
            let (bytes, signature) = (b"2".to_vec(), second.signature);
            let content = Content { bytes, signature, revision: 2, beside: 0 };
            assert_eq!(files.read(&path).unwrap(), Some(content));
        }
    }

    #[test]
    fn a_file_locked_by_another_process_is_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        let files = Files::on_disk();
        files.replace(&path, b"1").unwrap();
        let theirs = File::open(&path).unwrap();
        theirs.lock().unwrap();
        let write = || files.exclusively(&path, || files.replace(&path, b"2"));
        let error = write().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(fs::read(&path).unwrap(), b"1");
        drop(theirs);
        write().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
    }

    #[test]
    fn overwriting_another_writers_content_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        let files = Files::on_disk();
        files.replace(&path, b"1").unwrap();
        files.replace(&path, b"2").unwrap();
        assert!(!files.last_written(&path).unwrap().over_foreign);
        fs::write(&path, b"theirs").unwrap();
        files.replace(&path, b"3").unwrap();
        files.replace(&path, b"4").unwrap();
        assert!(files.last_written(&path).unwrap().over_foreign);
    }

    #[test]
    fn a_file_that_others_have_written_is_not_put_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        for is_theirs in [false, true] {
            for had_file in [true, false] {
                fs::write(&path, b"before").unwrap();
                let files = Files::on_disk();
                let before = files.read(&path).unwrap().filter(|_| had_file);
                files.replace(&path, b"ours").unwrap();
                if is_theirs {
                    fs::write(&path, b"theirs, longer").unwrap();
                }
                let is_put_back = files.put_back(&path, before.as_ref()).unwrap();
                assert_eq!(is_put_back, !is_theirs);
                let now = files.read(&path).unwrap();
                match is_theirs {
                    true => assert_eq!(now.unwrap().bytes, b"theirs, longer"),
                    false => assert_eq!(now, before),
                }
                let names = fs::read_dir(directory.path()).unwrap().count();
                assert_eq!(names, usize::from(is_theirs || had_file), "nothing temporary stays");
            }
        }
    }

    #[test]
    fn what_others_write_before_the_first_write_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        for with_write in [false, true] {
            fs::write(&path, b"before").unwrap();
            let files = Files::on_disk();
            files.note_found(&path, files.read(&path).unwrap().unwrap());
            assert!(!files.is_changed_by_others(&path));
            if !with_write {
                files.replace(&path, b"ours").unwrap();
                assert!(!files.is_changed_by_others(&path));
            }
            fs::write(&path, b"theirs, longer").unwrap();
            assert!(files.is_changed_by_others(&path));
            files.replace(&path, b"ours again").unwrap();
            assert!(files.is_changed_by_others(&path));
        }
    }

    /// Writes as many bytes into the file as it has, and gives it its modification time again.
    fn write_unnoticed(path: &Path, bytes: &[u8]) {
        let before = fs::metadata(path).unwrap();
        assert_eq!(before.len(), bytes.len() as u64);
        fs::write(path, bytes).unwrap();
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(before.modified().unwrap())
            .unwrap();
    }

    #[test]
    fn what_others_write_within_one_tick_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        let found = || {
            fs::write(&path, b"before").unwrap();
            let files = Files::on_disk();
            files.note_found(&path, files.read(&path).unwrap().unwrap());
            files
        };
        let before_the_first = found();
        write_unnoticed(&path, b"theirs");
        assert!(before_the_first.is_changed_by_others(&path));
        before_the_first.replace(&path, b"ours 1").unwrap();
        assert!(before_the_first.is_changed_by_others(&path));

        let between_two = found();
        between_two.replace(&path, b"ours 1").unwrap();
        write_unnoticed(&path, b"theirs");
        assert_eq!(between_two.read(&path).unwrap().unwrap().revision, 0);
        assert_eq!(between_two.replace(&path, b"ours 2").unwrap().old, 0);
        assert!(between_two.is_changed_by_others(&path));

        let after_the_last = found();
        after_the_last.replace(&path, b"ours 1").unwrap();
        assert!(!after_the_last.is_changed_by_others(&path));
        write_unnoticed(&path, b"theirs");
        assert!(after_the_last.is_changed_by_others(&path));
    }

    #[test]
    fn a_file_that_is_there_is_not_created() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        let files = Files::on_disk();
        fs::write(&path, b"theirs").unwrap();
        assert!(!files.create(&path, b"ours").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(files.last_written(&path), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::remove_file(&path).unwrap();
        for files in [files, Files::in_memory()] {
            assert!(files.create(&path, b"ours").unwrap());
            assert_eq!(files.read(&path).unwrap().unwrap().revision, 1);
            assert!(!files.create(&path, b"again").unwrap());
        }
    }

    #[test]
    fn watched_files_report_each_touch_once() {
        let [a, b, c, d] = ["/a", "/b", "/c", "/d"].map(PathBuf::from);
        let files = Files::watched();
        files.replace(&c, b"1").unwrap();
        assert!(!files.exists(&a));
        files.signature(&b).unwrap();
        files.read(&c).unwrap();
        files.last_written(&d);
        files.put(&d, None);
        assert_eq!(files.touched(), [a.clone(), b, c]);
        assert!(files.touched().is_empty());
        files.exclusively(&d, || files.signature(&d)).unwrap();
        assert_eq!(files.touched(), [d]);
        let unwatched = Files::in_memory();
        unwatched.replace(&a, b"1").unwrap();
        assert!(unwatched.touched().is_empty());
    }

    #[test]
    fn a_count_beside_the_content_is_kept_until_another_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        for files in [Files::on_disk(), Files::in_memory()] {
            let beside = || files.read(&path).unwrap().unwrap().beside;
            files.replace(&path, b"1").unwrap();
            assert_eq!(beside(), 0);
            files.replace_counted(&path, b"2", Some(7)).unwrap();
            files.replace(&path, b"3").unwrap();
            assert_eq!(beside(), 7);
        }
    }

    #[test]
    fn a_file_that_is_put_back_is_what_it_was() {
        let path = Path::new("/x.nodb");
        let files = Files::in_memory();
        files.replace(path, b"1").unwrap();
        let (saved, content) = (files.last_written(path), files.read(path).unwrap());
        let next = files.replace(path, b"22").unwrap();
        files.put(path, saved.clone());
        assert_eq!(files.last_written(path), saved);
        assert_eq!(files.read(path).unwrap(), content);
        assert_eq!(files.replace(path, b"22").unwrap(), next);
        files.put(path, None);
        assert!(!files.exists(path));
        assert_eq!(files.replace(path, b"1").unwrap().new, 1);
    }

    #[test]
    fn the_mode_of_the_old_file_is_kept_and_nothing_temporary_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        Files::on_disk().replace(&path, b"1").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        Files::on_disk().replace(&path, b"2").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_target_and_nothing_temporary() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.nodb");
        fs::create_dir(&path).unwrap();
        assert!(Files::on_disk().replace(&path, b"1").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
