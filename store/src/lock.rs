//! One owner per store.

use crate::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

/// A child that a killed owner had just forked holds the lock until it runs its program, or dies with its parent.
const LEFT_BEHIND: Duration = Duration::from_secs(2);

/// Held until dropped; the kernel lets go of it when the process dies, so there are no stale locks.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing is not enough: a child that is just being started has the same open file until it runs its program.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!("the store's lock could not be let go of: {error}");
        }
    }
}

impl Lock {
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("LOCK");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| StoreError::io("open", &path, e))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &path, e)),
            }
            let mut text = String::new();
            let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
            let pid: Option<u32> = read.ok().and_then(|_| text.trim().parse().ok());
            let gone = pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
            if !gone || began.elapsed() > LEFT_BEHIND {
                return Err(StoreError::Locked {
                    dir: dir.to_path_buf(),
                    pid,
                });
            }
            thread::sleep(Duration::from_millis(10));
        }
        // The pid is for people only, so it needs no fsync.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", process::id()))
            .map_err(|e| StoreError::io("write", &path, e))?;
        Ok(Lock(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_let_go_of_although_a_child_that_is_being_started_has_the_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let _inherited = lock.0.try_clone().unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(StoreError::Locked { .. })));
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }
}
