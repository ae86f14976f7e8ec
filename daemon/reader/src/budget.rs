//! What may still be unpacked.

use std::io::Read;
use wengu_protocol::reader::{Limits, Refusal, Verdict};

/// Bytes unpacked between two looks at what is left.
const CHUNK_BYTES: usize = 64 << 10;

/// What one file may still cost.
pub struct Budget {
    unpacked_max: u64,
    unpacked_left: u64,
    text_max: u64,
    text_left: u64,
    members_max: u32,
    members_left: u32,
}

impl Budget {
    /// For a file of so many bytes.
    pub fn new(limits: &Limits, file_bytes: u64) -> Budget {
        let unpacked = limits.unpacked_bytes(file_bytes);
        Budget {
            unpacked_max: unpacked,
            unpacked_left: unpacked,
            text_max: limits.text_bytes,
            text_left: limits.text_bytes,
            members_max: limits.members,
            members_left: limits.members,
        }
    }

    /// Unpacks all that a decoder gives.
    pub fn unpack(&mut self, mut from: impl Read) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        loop {
            let wanted = (CHUNK_BYTES as u64).min(self.unpacked_left + 1);
            let got = from.by_ref().take(wanted).read_to_end(&mut bytes);
            let got = got.map_err(|e| Refusal::new(Verdict::Malformed, format!("unpacking it failed: {e}")))?;
            if got == 0 {
                return Ok(bytes);
            }
            self.unpacked(got as u64)?;
        }
    }

    /// So many bytes were unpacked.
    pub fn unpacked(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.unpacked_left = self.unpacked_left.checked_sub(bytes).ok_or_else(|| {
            let reason = format!(
                "it unpacks to more than {} MiB, which its size does not warrant; if it is what it should be, raise \
                 max_ratio under [reader]",
                self.unpacked_max >> 20
            );
            Refusal::new(Verdict::TooBig, reason)
        })?;
        Ok(())
    }

    /// What may still be unpacked, in bytes.
    pub fn unpacked_left(&self) -> usize {
        usize::try_from(self.unpacked_left).unwrap_or(usize::MAX)
    }

    /// So many bytes of text were found.
    pub fn text(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.text_left = self.text_left.checked_sub(bytes as u64).ok_or_else(|| {
            let reason = format!(
                "it holds more than {} MiB of text; split it, or raise max_text_mib under [reader]",
                self.text_max >> 20
            );
            Refusal::new(Verdict::TooBig, reason)
        })?;
        Ok(())
    }

    /// One more document or other entry.
    pub fn member(&mut self) -> Result<(), Refusal> {
        self.members_left = self.members_left.checked_sub(1).ok_or_else(|| {
            let reason = format!(
                "it holds more than {} entries; split it, or raise max_members under [reader]",
                self.members_max
            );
            Refusal::new(Verdict::TooMany, reason)
        })?;
        Ok(())
    }
}
