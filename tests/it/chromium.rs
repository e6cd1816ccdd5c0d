//! A browser without a window, for tests that look at what is drawn.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::program::poll;

/// A browser that was found.
pub struct Chromium(PathBuf);

/// What a browser said when it was done with a page.
pub struct Said {
    /// The page as it then was, if that was asked for.
    pub page: String,
    /// Everything else, with the messages of the page's console.
    pub log: String,
}

impl Chromium {
    /// The browser on the PATH. If there is none, this says that `test` is left out, or panics if
    /// everything is required.
    pub fn find(test: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let found = std::env::split_paths(&path)
            .flat_map(|directory| names.map(|name| directory.join(name)))
            .find(|file| file.is_file());
        if found.is_none() {
            crate::redis_server::leave_out(test, "no chromium on the PATH");
        }
        found.map(Self)
    }

    /// Opens a file, with what else it is told; it gets a directory of its own, and is gone at the
    /// end, or at the deadline.
    pub fn open(&self, file: &Path, arguments: &[&str]) -> Said {
        let own = TempDir::new().unwrap();
        let (page, log) = (own.path().join("page"), own.path().join("log"));
        let mut child = Command::new(&self.0)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--hide-scrollbars", "--enable-logging=stderr"])
            .arg(format!("--user-data-dir={}", own.path().join("profile").display()))
            .args(arguments)
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .stdout(File::create(&page).unwrap())
            .stderr(File::create(&log).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let is_done = poll(|| child.try_wait().unwrap()).is_some();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait();
        assert!(is_done, "the browser hangs: {}", read(&log));
        Said { page: read(&page), log: read(&log) }
    }
}
