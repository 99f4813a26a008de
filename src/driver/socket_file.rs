//! The file by which a Unix socket is found: made by binding, and removed by whoever made it.
//!
//! - What a process has left that ended without closing, a socket that nobody listens on, makes way for a new one. There is
//!   one way to know: to connect. So somebody who does listen has one connection more that says nothing.
//! - Nothing but a socket is ever removed, and nothing that somebody has put in the place of ours.
//!
//! What it does not do: two processes that begin at the same moment, with a left socket in their way, are not kept apart.
//! The later one may take the place of the earlier.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mio::net::UnixStream;
use socket2::{SockAddr, Socket};

/// A socket's file: as long as this value is there, and unless somebody else removes it.
pub(super) struct SocketFile {
    path: PathBuf,
    metadata: Metadata,
}

impl SocketFile {
    /// Binds the socket to the path, which must not be that of something in use. To be dropped before the socket is: as
    /// long as that is open, no other file is taken for this one.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody listens there, `AlreadyExists` if there is something that is no socket, and what the system
    /// says against the path, as that it is too long (Linux: 107 bytes).
    pub(super) fn bind(socket: &Socket, path: &Path) -> io::Result<Self> {
        // The process may change its directory before it removes the file.
        let absolute = std::path::absolute(path)?;
        make_way(path)?;
        socket.bind(&SockAddr::unix(path)?)?;
        Ok(Self { path: absolute, metadata: fs::symlink_metadata(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |found: Metadata| (found.dev(), found.ino()) == (self.metadata.dev(), self.metadata.ino());
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("{} stays: {error}", self.path.display());
        }
    }
}

/// Removes what nobody listens on.
fn make_way(path: &Path) -> io::Result<()> {
    let fail = |kind, what| Err(io::Error::new(kind, what));
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return fail(ErrorKind::AlreadyExists, "there is something that is no socket"),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // Mio's does not block, should those who wait to be accepted be too many already.
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => fail(ErrorKind::AddrInUse, "somebody listens there"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use socket2::{Domain, Type};

    use super::*;

    /// Binds below a folder of its own in which `before` has been; then what the folder holds.
    fn check<T>(before: impl FnOnce(&Path) -> T, expected: Result<(), ErrorKind>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let _kept = before(&path);
        let was_there = path.symlink_metadata().is_ok();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a descriptor");
        let bound = SocketFile::bind(&socket, &path);
        if bound.is_ok() {
            assert!(socket.listen(1).and_then(|()| UnixStream::connect(&path)).is_ok());
        }
        let still_there = bound.is_err() && was_there;
        assert_eq!(bound.map(drop).map_err(|error| error.kind()), expected);
        assert_eq!(path.symlink_metadata().is_ok(), still_there);
    }

    #[test]
    fn what_is_in_use_or_no_socket_is_left_alone() {
        check(|_| {}, Ok(()));
        check(|path| drop(UnixListener::bind(path).expect("a free path")), Ok(()));
        check(|path| drop(UnixDatagram::bind(path).expect("a free path")), Ok(()));
        check(|path| UnixListener::bind(path).expect("a free path"), Err(ErrorKind::AddrInUse));
        check(|path| fs::write(path, "a letter").expect("a writable folder"), Err(ErrorKind::AlreadyExists));
        check(|path| fs::create_dir(path).expect("a writable folder"), Err(ErrorKind::AlreadyExists));
        let left = |path: &Path| {
            let far = path.with_extension("far");
            drop(UnixListener::bind(&far).expect("a free path"));
            std::os::unix::fs::symlink(&far, path).expect("a writable folder");
        };
        check(left, Err(ErrorKind::AlreadyExists));
    }

    #[test]
    fn who_has_no_room_for_more_listens_all_the_same() {
        let full = |path: &Path| {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a descriptor");
            socket.bind(&SockAddr::unix(path)?)?;
            socket.listen(0)?;
            let mut waiting = Vec::new();
            while let Ok(stream) = UnixStream::connect(path) {
                waiting.push(stream);
            }
            io::Result::Ok((socket, waiting))
        };
        check(|path| full(path).expect("a free path"), Err(ErrorKind::AddrInUse));
    }

    #[test]
    fn what_somebody_put_in_its_place_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a descriptor");
        let file = SocketFile::bind(&socket, &path).expect("a free path");
        fs::remove_file(&path).expect("it is there");
        let _theirs = UnixListener::bind(&path).expect("a free path");
        drop(file);
        assert!(UnixStream::connect(&path).is_ok());
    }
}
