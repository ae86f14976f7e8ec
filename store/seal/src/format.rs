//! What a sealed file looks like from outside.

use crate::{Key, KeyId};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::stream::{NewStream, StreamBE32, StreamPrimitive};
use std::io;

/// Begins every sealed file.
const MAGIC: [u8; 8] = *b"WENGUSEA";
/// What is written, and the newest that is read.
const VERSION: u16 = 1;
/// Magic, version, key and nonce stand before the chunks.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a chunk before it is sealed; the last one has fewer or as many.
pub const CHUNK_BYTES: usize = 64 << 10;
/// What sealing adds to a chunk.
pub const TAG_BYTES: usize = 16;
/// Of a nonce of 24 bytes the last five are the chunk's number and the mark of the last one.
pub(crate) const NONCE_BYTES: usize = 19;

const KEY_AT: usize = 12;
const NONCE_AT: usize = 20;

pub(crate) type Stream = StreamBE32<XChaCha20Poly1305>;
pub(crate) type Header = [u8; HEADER_BYTES];

/// Why a sealed file is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not begin as one.
    #[error("it is not sealed")]
    NotSealed,
    /// A newer wengu wrote it.
    #[error(
        "it is sealed in format {found}, this wengu reads up to {VERSION}; use the version that wrote it, or a newer one"
    )]
    Version {
        /// Its format version.
        found: u16,
    },
    /// Another key sealed it.
    #[error("it is sealed with the key {found}, the key given is {given}")]
    OtherKey {
        /// The key that it names.
        found: KeyId,
        /// The key that was tried.
        given: KeyId,
    },
    /// It ends before the chunk that is marked as its last.
    #[error("it was cut short: {bytes} bytes are there, and the last of them do not end it")]
    Cut {
        /// What is there, once opened.
        bytes: u64,
    },
    /// A chunk is not what was sealed.
    #[error("it was changed, or is another file: the chunk at byte {offset} does not open")]
    Changed {
        /// Where in the sealed file the chunk begins.
        offset: u64,
    },
    /// It is larger than the numbers of chunks reach (256 TiB).
    #[error("it is too large to be sealed")]
    TooLarge,
}

impl SealError {
    /// Whether the bytes are not those that were written, so that only a backup helps.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            SealError::NotSealed | SealError::Cut { .. } | SealError::Changed { .. }
        )
    }

    /// The reason in an error of [`crate::Opener`].
    pub fn of(error: &io::Error) -> Option<&SealError> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<SealError> for io::Error {
    fn from(error: SealError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Whether a file that begins so claims to be sealed.
pub fn is_sealed(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}

/// The key that a sealed file names.
///
/// # Errors
/// It is not sealed, or in a newer format.
pub fn key_of(beginning: &[u8]) -> Result<KeyId, SealError> {
    if !is_sealed(beginning) {
        return Err(SealError::NotSealed);
    }
    let header: &Header = beginning.first_chunk().ok_or(SealError::Cut { bytes: 0 })?;
    let found = u16::from_le_bytes([header[8], header[9]]);
    if found > VERSION {
        return Err(SealError::Version { found });
    }
    Ok(KeyId(header[KEY_AT..NONCE_AT].try_into().expect("eight bytes")))
}

/// How long a file of `bytes` is once it is sealed.
pub fn sealed_bytes(bytes: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK_BYTES as u64).max(1);
    HEADER_BYTES as u64 + bytes + chunks * TAG_BYTES as u64
}

/// The header of a new sealed file.
pub(crate) fn header(key: &Key, nonce: &[u8; NONCE_BYTES]) -> Header {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[KEY_AT..NONCE_AT].copy_from_slice(&key.id().0);
    header[NONCE_AT..NONCE_AT + NONCE_BYTES].copy_from_slice(nonce);
    header
}

/// The chunks behind a header.
pub(crate) struct Chunks {
    stream: Stream,
    /// Goes into every tag: the header, and what the file is.
    bound: Vec<u8>,
    next: u32,
}

impl Chunks {
    pub fn new(key: &Key, header: &Header, context: &str) -> Self {
        let nonce = &header[NONCE_AT..NONCE_AT + NONCE_BYTES];
        Chunks {
            stream: Stream::from_aead(key.cipher(), nonce.into()),
            bound: [header.as_slice(), context.as_bytes()].concat(),
            next: 0,
        }
    }

    /// Where the next chunk begins in the sealed file.
    pub fn offset(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.next) * (CHUNK_BYTES + TAG_BYTES) as u64
    }

    pub fn seal(&mut self, chunk: &mut Vec<u8>, last: bool) -> Result<(), SealError> {
        let sealed = self.stream.encrypt_in_place(self.next, last, &self.bound, chunk);
        sealed.map_err(|_| SealError::TooLarge)?;
        self.advance(last)
    }

    pub fn open(&mut self, chunk: &mut Vec<u8>, last: bool) -> Result<(), SealError> {
        let at = self.next;
        if self.stream.decrypt_in_place(at, last, &self.bound, chunk).is_ok() {
            return self.advance(last);
        }
        // A chunk that opens as one in the middle is sound, and what came behind it is gone.
        if last && self.stream.decrypt_in_place(at, false, &self.bound, chunk).is_ok() {
            let bytes = u64::from(at) * CHUNK_BYTES as u64 + chunk.len() as u64;
            return Err(SealError::Cut { bytes });
        }
        Err(SealError::Changed { offset: self.offset() })
    }

    fn advance(&mut self, last: bool) -> Result<(), SealError> {
        if !last {
            self.next = self.next.checked_add(1).ok_or(SealError::TooLarge)?;
        }
        Ok(())
    }
}
