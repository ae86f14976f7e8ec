//! Reading a sealed file.

use crate::format::{Chunks, key_of};
use crate::{CHUNK_BYTES, HEADER_BYTES, Key, SealError, TAG_BYTES};
use std::io::{self, Read};

const SEALED_CHUNK_BYTES: u64 = (CHUNK_BYTES + TAG_BYTES) as u64;

/// Opens what it reads. Nothing is given out before its chunk has been found sound; that the file is whole is known
/// only at its end. Why it does not open is a [`SealError`] in the error, see [`SealError::of`].
pub struct Opener<R: Read> {
    from: R,
    chunks: Chunks,
    /// The next chunk, sealed: whether it is the last shows in that nothing follows.
    ahead: Vec<u8>,
    opened: Vec<u8>,
    given: usize,
    done: bool,
}

impl<R: Read> Opener<R> {
    /// Reads the header. `context` is what the file was sealed as.
    ///
    /// # Errors
    /// It is not sealed, with another key, or in a newer format; or it cannot be read.
    pub fn new(key: &Key, context: &str, mut from: R) -> io::Result<Self> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        from.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header)?;
        let found = key_of(&header)?;
        if found != key.id() {
            return Err(SealError::OtherKey { found, given: key.id() }.into());
        }
        let header = header.as_slice().try_into().expect("its key was there");
        let mut opener = Opener {
            from,
            chunks: Chunks::new(key, header, context),
            ahead: Vec::with_capacity(SEALED_CHUNK_BYTES as usize),
            opened: Vec::with_capacity(SEALED_CHUNK_BYTES as usize),
            given: 0,
            done: false,
        };
        opener.read_ahead()?;
        Ok(opener)
    }

    fn read_ahead(&mut self) -> io::Result<()> {
        self.ahead.clear();
        self.from
            .by_ref()
            .take(SEALED_CHUNK_BYTES)
            .read_to_end(&mut self.ahead)?;
        Ok(())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        std::mem::swap(&mut self.opened, &mut self.ahead);
        self.read_ahead()?;
        self.done = self.ahead.is_empty();
        self.given = 0;
        self.chunks.open(&mut self.opened, self.done).inspect_err(|_| {
            // Nothing of it may be given out by a caller that goes on.
            self.opened.clear();
            self.done = true;
        })?;
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.opened.len() && !self.done {
            self.next_chunk()?;
        }
        let taken = buffer.len().min(self.opened.len() - self.given);
        buffer[..taken].copy_from_slice(&self.opened[self.given..self.given + taken]);
        self.given += taken;
        Ok(taken)
    }
}

/// Opens bytes that are in memory.
///
/// # Errors
/// As [`Opener`].
pub fn open(key: &Key, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut opened = Vec::with_capacity(sealed.len());
    let read = Opener::new(key, context, sealed).and_then(|mut opener| opener.read_to_end(&mut opened));
    match read {
        Ok(_) => Ok(opened),
        // Bytes in memory fail for no other reason.
        Err(error) => Err(SealError::of(&error).cloned().unwrap_or(SealError::NotSealed)),
    }
}
