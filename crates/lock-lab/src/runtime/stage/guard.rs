//! Keeps two runs of this machine out of one directory, and so from the keys of each other. It guards nothing
//! against runs on other machines.

use super::{StageError, World};
use crate::server::Server;
use sha1_smol::Sha1;
use std::fs::{File, TryLockError};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

/// Held while the run lasts; the system gives both back however we end.
pub(super) struct Guard {
    /// A name for the keys of the run, where others can see these. It needs no directory: a run that touches no
    /// file creates none.
    _keys: Option<UnixDatagram>,
    /// The directory, where files are on disk.
    _files: Option<File>,
}

impl Guard {
    /// Takes a run directory for this run.
    pub fn take(directory: &Path, world: &World) -> Result<Self, StageError> {
        let shown = directory.display();
        let taken = || {
            StageError::Environment(format!(
                "another nodb-trigger is at work in {shown}; wait for it, or choose another directory"
            ))
        };
        let keys = match world.server() {
            Server::Redis(_) => match bind(&format!("{}\0{shown}", world.server().name())) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(taken()),
                // A system that gives no names: then only the directory is guarded.
                other => other.ok(),
            },
            Server::Embedded(_) => None,
        };
        if !world.services.files.are_on_disk() {
            return Ok(Self { _keys: keys, _files: None });
        }
        let failed = |error| StageError::Environment(format!("cannot lock {shown}: {error}"));
        let files = File::open(directory).map_err(failed)?;
        match files.try_lock() {
            Ok(()) => Ok(Self { _keys: keys, _files: Some(files) }),
            Err(TryLockError::WouldBlock) => Err(taken()),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Takes a name that no other process of this machine has. It is none of the file system's.
fn bind(name: &str) -> io::Result<UnixDatagram> {
    let name = format!("nodb-trigger/{}", Sha1::from(name).digest());
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)
}
