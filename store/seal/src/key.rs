//! The key: 32 random bytes in a file of the daemon's user, or in a credential of the service.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::{Zeroize, Zeroizing};

const KEY_BYTES: usize = 32;
/// A file that holds more than this is not a key's.
const FILE_BYTES_MAX: u64 = 4096;
/// What stands in the file is never used itself.
const FOR_SEALING: &str = "wengu 2026-11 sealed files, key of XChaCha20-Poly1305";
const FOR_ITS_NAME: &str = "wengu 2026-11 sealed files, name of the key";

/// The name of a key, which tells nothing of it: the first bytes of a hash. Shown as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut id = [0; 8];
        from_hex(text, &mut id).then_some(KeyId(id)).ok_or(KeyError::Shape)
    }
}

/// A key. It is wiped from memory when it is dropped, and never shown.
pub struct Key {
    sealing: Zeroizing<[u8; KEY_BYTES]>,
    id: KeyId,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key {}: cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others may read it.
    #[error("the key {}: its mode is {mode:04o}, so others may read it; `chmod 600` it, and take a new key if others could read it for long", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("the key {}: {error}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: Box<KeyError>,
    },
    /// Neither base64 nor hex of 32 bytes.
    #[error("32 bytes are expected, as 44 characters of base64 or 64 hex digits; `wengu key new FILE` makes a key")]
    Shape,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Key {
    /// Reads what a key's file holds.
    ///
    /// # Errors
    /// It is not the text of a key; the error does not repeat it.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        let text = text.trim();
        let mut master = Zeroizing::new([0; KEY_BYTES]);
        if !from_hex(text, master.as_mut_slice()) {
            let decoded = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| KeyError::Shape)?;
            let whole: &[u8; KEY_BYTES] = decoded.as_slice().try_into().map_err(|_| KeyError::Shape)?;
            master.copy_from_slice(whole);
        }
        let mut name = blake3::derive_key(FOR_ITS_NAME, master.as_slice());
        let id = KeyId(*name.first_chunk().expect("a hash has 32 bytes"));
        name.zeroize();
        Ok(Key {
            sealing: Zeroizing::new(blake3::derive_key(FOR_SEALING, master.as_slice())),
            id,
        })
    }

    /// Reads a key's file. One that only its user may read, unless the service manager put it there.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it holds no key.
    pub fn read(path: &Path, is_credential: bool) -> Result<Key, KeyError> {
        let failed = |error| KeyError::Read {
            path: path.into(),
            error,
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if !is_credential && mode & 0o077 != 0 {
            return Err(KeyError::Mode {
                path: path.into(),
                mode,
            });
        }
        // As large as it may get, so that no piece of it is left behind where it grew.
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Key::parse(&text).map_err(|error| KeyError::In {
            path: path.into(),
            error: Box::new(error),
        })
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The cipher wipes its copy of the key as well.
    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.sealing.as_slice().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The text of a new key.
///
/// # Errors
/// The system gives no random numbers.
pub fn generate() -> Result<Zeroizing<String>, KeyError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(KeyError::Random)?;
    Ok(Zeroizing::new(STANDARD.encode(bytes.as_slice())))
}

/// Whether the text is so many bytes in hex, which are then in `bytes`.
fn from_hex(text: &str, bytes: &mut [u8]) -> bool {
    let digits = text.as_bytes();
    if digits.len() != 2 * bytes.len() {
        return false;
    }
    bytes.iter_mut().zip(digits.chunks_exact(2)).all(|(byte, pair)| {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        let both = high.zip(low);
        *byte = both.map_or(0, |(high, low)| (high << 4 | low) as u8);
        both.is_some()
    })
}
