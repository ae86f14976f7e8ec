//! The bytes in an object's file, sealed or as they are.

use crate::{Hash, StoreError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use wengu_seal::{Key, Opener, SealError, Sealer, key_of};

/// What objects are sealed as. Which object it is shows its hash.
const CONTEXT: &str = "object";

/// A file that is being written.
pub(super) enum Out {
    Plain(File),
    Sealed(Sealer<File>),
}

impl Out {
    pub fn new(key: Option<&Key>, file: File) -> io::Result<Out> {
        Ok(match key {
            None => Out::Plain(file),
            Some(key) => Out::Sealed(Sealer::new(key, CONTEXT, file)?),
        })
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Out::Plain(file) => file.write_all(bytes),
            Out::Sealed(sealer) => sealer.write_all(bytes),
        }
    }

    pub fn finish(self) -> io::Result<File> {
        match self {
            Out::Plain(file) => Ok(file),
            Out::Sealed(sealer) => sealer.finish(),
        }
    }
}

/// A file that is being read.
pub(super) enum In {
    Plain(File),
    Sealed(Opener<File>),
}

impl In {
    pub fn new(key: Option<&Key>, file: File) -> io::Result<In> {
        Ok(match key {
            None => In::Plain(file),
            Some(key) => In::Sealed(Opener::new(key, CONTEXT, file)?),
        })
    }
}

impl Read for In {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            In::Plain(file) => file.read(buffer),
            In::Sealed(opener) => opener.read(buffer),
        }
    }
}

/// All of it.
pub(super) fn read_all(key: Option<&Key>, file: File) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    In::new(key, file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why a file was not read.
pub(super) fn unread(path: &Path, error: io::Error) -> StoreError {
    match SealError::of(&error) {
        Some(why) => StoreError::Sealed {
            path: path.to_path_buf(),
            why: why.clone(),
        },
        None => StoreError::io("read", path, error),
    }
}

/// The bytes are others than those that were put. Without a key they may be sealed.
pub(super) fn other(path: &Path, bytes: &[u8], found: Hash) -> StoreError {
    let path = path.to_path_buf();
    match key_of(bytes) {
        Ok(key) => StoreError::KeyNeeded { path, key },
        Err(_) => StoreError::ObjectDamaged { path, found },
    }
}
