//! Sealed files: a [`Key`], and bytes that only it reads.
//!
//! A file is sealed with XChaCha20-Poly1305 in chunks, by the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár:
//! "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015), so that it is written and read as it
//! streams by, and nothing that was changed, cut off or moved inside it is ever given out. `FORMAT.md` of the store has the bytes.

mod format;
mod key;
mod open;
mod sealer;

pub use format::{CHUNK_BYTES, HEADER_BYTES, SealError, TAG_BYTES, is_sealed, key_of, sealed_bytes};
pub use key::{Key, KeyError, KeyId, generate};
pub use open::{Opener, open};
pub use sealer::{Sealer, seal};
