//! Writing a sealed file.

use crate::format::{Chunks, NONCE_BYTES, header};
use crate::{CHUNK_BYTES, Key, SealError, TAG_BYTES};
use std::io::{self, Write};

/// Seals what is written to it. Without [`Sealer::finish`] the file is one that was cut short.
pub struct Sealer<W: Write> {
    to: W,
    chunks: Chunks,
    /// What is not sealed yet. A full chunk waits for more, since the last one is marked.
    waiting: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Begins a file. `context` says what it is, and has to be the same when it is opened.
    ///
    /// # Errors
    /// The system gives no random numbers, or `to` takes no header.
    pub fn new(key: &Key, context: &str, mut to: W) -> io::Result<Self> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|e| io::Error::other(format!("the system gives no random numbers: {e}")))?;
        let header = header(key, &nonce);
        to.write_all(&header)?;
        Ok(Sealer {
            to,
            chunks: Chunks::new(key, &header, context),
            waiting: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES),
        })
    }

    /// Writes the last chunk, and gives back what it wrote to.
    ///
    /// # Errors
    /// What it writes to refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        Ok(self.to)
    }

    fn write_chunk(&mut self, last: bool) -> io::Result<()> {
        self.chunks.seal(&mut self.waiting, last)?;
        self.to.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.write_chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Seals bytes that are in memory.
///
/// # Errors
/// The system gives no random numbers.
pub fn seal(key: &Key, context: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let len = usize::try_from(crate::sealed_bytes(bytes.len() as u64)).map_err(|_| SealError::TooLarge)?;
    let mut sealer = Sealer::new(key, context, Vec::with_capacity(len))?;
    sealer.write_all(bytes)?;
    sealer.finish()
}
