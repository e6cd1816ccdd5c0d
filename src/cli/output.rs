//! Where the report goes, and whatever else is kept of a run: a file that is opened before the run,
//! or stdout.

use crate::report::escape;
use lock_lab::runtime::quoted;
use redis_sim::server::of_system;
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why something can't be written. Each message has the system's words in it already, so none has a
/// source that would say them again.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file can't be opened.
    #[error("cannot open {} for the {what}: {}; nothing was run", escape(&path.display().to_string()), of_system(error))]
    Open {
        /// What was to be written: the report, the history or the timeline.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file can't be written.
    #[error("cannot write the {what} to {}: {}", escape(&path.display().to_string()), of_system(error))]
    Write {
        /// What was to be written: the report, the history or the timeline.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Stdout can't be written.
    #[error("cannot write the report to stdout: {}", of_system(error))]
    Stdout {
        /// What the system said.
        error: io::Error,
    },
}

/// The way out for one thing that is written.
#[derive(Debug)]
pub enum Output {
    /// A file that the user named.
    File(OutputFile),
    /// Stdout.
    Stdout,
    /// Nowhere: `--quiet` without a file.
    Nowhere,
}

impl Output {
    /// The report's: a file, if one is named, or else stdout.
    pub fn open(path: Option<&Path>, quiet: bool) -> Result<Self, OutputError> {
        match path {
            Some(path) => Self::file(path, "report"),
            None if quiet => Ok(Output::Nowhere),
            None => Ok(Output::Stdout),
        }
    }

    /// Opens a file. What it held stays until [`write`](Output::write).
    pub fn file(path: &Path, what: &'static str) -> Result<Self, OutputError> {
        OutputFile::open(path, what).map(Output::File).map_err(|error| OutputError::Open {
            what,
            path: path.to_owned(),
            error,
        })
    }

    /// The history's: a file, if one is named.
    pub fn history(path: Option<&Path>) -> Result<Self, OutputError> {
        path.map_or(Ok(Output::Nowhere), |path| Self::file(path, "history"))
    }

    /// The command that removes a file that was created here.
    pub fn by_hand(&self) -> Option<String> {
        match self {
            Output::File(file) if file.remove => {
                Some(format!("rm {}", quoted(&file.path.display().to_string())))
            }
            _ => None,
        }
    }

    /// Writes what `content` writes. It is complete before the first byte leaves, so that a file
    /// loses its old content only for a whole new one.
    pub fn write(
        self,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        if let Output::Nowhere = self {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let rendered = content(&mut bytes);
        match self {
            Output::File(mut file) => {
                rendered.and_then(|()| file.replace(&bytes)).map_err(|error| OutputError::Write {
                    what: file.what,
                    path: file.path.clone(),
                    error,
                })
            }
            Output::Stdout => rendered
                .and_then(|()| to_stream(&bytes, &mut io::stdout().lock()).map(drop))
                .map_err(|error| OutputError::Stdout { error }),
            Output::Nowhere => Ok(()),
        }
    }
}

/// Writes to stdout at once; says whether it still has a reader.
pub fn offer(bytes: &[u8]) -> io::Result<bool> {
    to_stream(bytes, &mut io::stdout().lock())
}

/// Writes a large report to stdout while it is made. A closed pipe is no error.
pub fn stream(report: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = is_read(report(&mut out).and_then(|()| out.flush()));
    written.map(drop).map_err(|error| OutputError::Stdout { error })
}

/// Writes everything, or as much as the reader wants; says whether it was all.
fn to_stream(bytes: &[u8], stream: &mut dyn Write) -> io::Result<bool> {
    is_read(stream.write_all(bytes).and_then(|()| stream.flush()))
}

/// Whether there is still a reader: a closed pipe is no error.
fn is_read(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Opens what is there, and refuses a named pipe without a reader instead of waiting for one.
fn open_existing(path: &Path) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().write(true).custom_flags(at_once).open(path)?;
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// A file to write. One that was created here and never got its content is removed again.
#[derive(Debug)]
pub struct OutputFile {
    what: &'static str,
    path: PathBuf,
    file: File,
    remove: bool,
}

impl OutputFile {
    fn open(path: &Path, what: &'static str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let (file, created) = match options.write(true).create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (open_existing(path)?, false)
            }
            Err(error) => return Err(error),
        };
        Ok(Self { what, path: path.to_owned(), file, remove: created })
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A pipe or /dev/null has no old content to cut off.
        if self.file.metadata()?.is_file() {
            self.file.rewind()?;
            self.file.set_len(0)?;
        }
        to_stream(bytes, &mut self.file)?;
        self.remove = false;
        Ok(())
    }

    /// Whether the path still leads to the file that was opened.
    fn is_at_its_path(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.remove && self.is_at_its_path() {
            // There is no way to report it; an empty file is the worst that stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"hello\n")
    }

    #[test]
    fn a_new_file_gets_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let output = Output::open(Some(&path), true).unwrap();
        assert!(path.exists(), "opened before the run");
        output.write(hello).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello\n");
    }

    #[test]
    fn an_old_file_keeps_its_content_until_the_report_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(&path, "an older and longer report\n").unwrap();
        drop(Output::open(Some(&path), false).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "an older and longer report\n");
        let output = Output::open(Some(&path), false).unwrap();
        assert!(output.write(|_| Err(io::Error::other("broken"))).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "an older and longer report\n");
        Output::open(Some(&path), false).unwrap().write(hello).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello\n");
    }

    #[test]
    fn a_new_file_without_a_report_is_removed_unless_another_process_replaced_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        drop(Output::open(Some(&path), false).unwrap());
        assert!(!path.exists());
        let output = Output::open(Some(&path), false).unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "theirs").unwrap();
        fs::rename(&other, &path).unwrap();
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }

    #[test]
    fn an_unwritable_path_is_reported_at_once_and_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("mis\nsing").join("report.json");
        let error = Output::open(Some(&missing), false).unwrap_err().to_string();
        assert!(error.starts_with("cannot open /"), "{error}");
        assert!(error.ends_with("No such file or directory; nothing was run"), "{error}");
        assert!(!error.contains('\n'), "{error}");
        let error = Output::open(Some(folder.path()), false).unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "said once");
        let error = error.to_string();
        assert!(error.contains("Is a directory"), "{error}");
    }

    #[test]
    fn a_device_can_be_written_and_a_full_one_is_an_error() {
        Output::open(Some(Path::new("/dev/null")), false).unwrap().write(hello).unwrap();
        let full = Output::open(Some(Path::new("/dev/full")), false).unwrap();
        let error = full.write(hello).unwrap_err().to_string();
        assert_eq!(error, "cannot write the report to /dev/full: No space left on device");
    }

    #[test]
    fn a_named_pipe_without_a_reader_is_refused_instead_of_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(Output::open(Some(&path), false).is_err());
        assert!(path.exists());
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert!(!to_stream(&[b'x'; 1 << 20], &mut writer).unwrap());
    }

    #[test]
    fn quiet_writes_nowhere() {
        assert!(matches!(Output::open(None, true), Ok(Output::Nowhere)));
        assert!(matches!(Output::open(None, false), Ok(Output::Stdout)));
    }
}
