//! Files on disk: read and replaced as complete files, and locked while they are compared.

use super::Signature;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::Duration;
use tempfile::NamedTempFile;

pub(super) fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

pub(super) fn signature(found: &fs::Metadata) -> io::Result<Signature> {
    Ok(Signature { modified: found.modified()?, size: found.len() })
}

pub(super) fn read(path: &Path) -> io::Result<(Vec<u8>, Signature)> {
    // From one file: another may be renamed over it meanwhile.
    let mut file = File::open(path)?;
    let signature = signature(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, signature))
}

/// Locks the file that is at `path` now; a file that was renamed over it meanwhile is another one.
/// We don't wait for others: none of us holds this lock for longer than a write.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..RENAMES {
        let Some(file) = absent_is_none(File::open(path))? else { return Ok(None) };
        file.try_lock().map_err(|_| busy())?;
        let there = absent_is_none(fs::metadata(path))?.map(|found| found.ino());
        if there == Some(file.metadata()?.ino()) {
            return Ok(Some(file));
        }
    }
    Err(busy())
}

/// How often another file may be renamed over the one that we want to lock.
const RENAMES: usize = 100;

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another process has locked it (flock)")
}

pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<Signature> {
    let temporary = written_beside(path, bytes)?;
    if let Some(old) = absent_is_none(fs::metadata(path))? {
        let old = old.modified()?;
        if temporary.as_file().metadata()?.modified()? <= old {
            temporary.as_file().set_modified(old + Duration::from_micros(1))?;
        }
    }
    temporary.as_file().sync_all()?;
    let signature = signature(&temporary.as_file().metadata()?)?;
    persist(temporary, path)?;
    Ok(signature)
}

/// Writes a new file; nothing if there is one already.
pub(super) fn create(path: &Path, bytes: &[u8]) -> io::Result<Option<Signature>> {
    let temporary = written_beside(path, bytes)?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(path) {
        Ok(file) => {
            sync_directory_of(path);
            signature(&file.metadata()?).map(Some)
        }
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error.error),
    }
}

/// A temporary file beside the one at `path`, with this content, its mode and its owner.
pub(super) fn written_beside(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut temporary = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory_of(path))?;
    temporary.write_all(bytes)?;
    if let Some(old) = absent_is_none(fs::metadata(path))? {
        // Root keeps the owner; another user gets the file that they would create.
        let _ = fchown(temporary.as_file(), Some(old.uid()), Some(old.gid()));
        let mode = Permissions::from_mode(old.permissions().mode() & 0o7777);
        temporary.as_file().set_permissions(mode)?;
    }
    Ok(temporary)
}

/// Renames a temporary file over the one at `path`.
pub(super) fn persist(temporary: NamedTempFile, path: &Path) -> io::Result<()> {
    temporary.persist(path).map_err(|error| error.error)?;
    sync_directory_of(path);
    Ok(())
}

/// The file is committed; a directory that can't be synced is no failure of the write.
fn sync_directory_of(path: &Path) {
    let _ = File::open(directory_of(path)).and_then(|directory| directory.sync_all());
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
