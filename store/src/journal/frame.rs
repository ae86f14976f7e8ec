//! Bytes of segment headers and frames, and nothing that touches a file.

use crate::Hash;

/// First bytes of every segment.
pub const MAGIC: [u8; 8] = *b"WENGUJNL";
/// Version of the layout of segments, frames and payloads that is written.
pub const FORMAT: u16 = 3;
/// The oldest that is read. Its frames and headers carry no hash.
pub const OLDEST_FORMAT: u16 = 1;
/// What a segment header begins with in every format.
pub const SEGMENT_PREFIX: usize = 32;
/// Size of a segment header of today's format.
pub const SEGMENT_HEADER: usize = segment_header(FORMAT);
/// Size of a frame header of today's format.
pub const FRAME_HEADER: usize = frame_header(FORMAT);

/// Size of a segment header.
pub const fn segment_header(format: u16) -> usize {
    if format == OLDEST_FORMAT {
        SEGMENT_PREFIX
    } else {
        SEGMENT_PREFIX + 36
    }
}

/// Size of a frame header.
pub const fn frame_header(format: u16) -> usize {
    if format == OLDEST_FORMAT { 24 } else { 56 }
}

/// What a frame knows of the frame before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its checksum.
    pub crc: u32,
    /// Its hash, which covers the hash of the frame before it, and so on.
    pub hash: Hash,
}

impl Default for Link {
    /// What the first frame carries.
    fn default() -> Self {
        Link {
            crc: 0,
            hash: blake3::Hash::from_bytes([0; 32]).into(),
        }
    }
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its format.
    pub format: u16,
    /// Its number, as in its name.
    pub number: u32,
    /// The sequence number of its first frame, written or not yet written.
    pub first_seq: u64,
    /// Of the last frame of the segment before. In the oldest format its hash is not stored.
    pub prev: Link,
}

/// Why bytes are not a segment header.
#[derive(Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// They are something else, or damaged.
    Damaged(&'static str),
    /// They are one of another format.
    Version(u16),
}

impl SegmentHeader {
    /// Its bytes, in today's format.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.prev.crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes[32..64].copy_from_slice(self.prev.hash.as_bytes());
        let crc = crc32c::crc32c(&bytes[32..64]);
        bytes[64..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What the first bytes of a header say; the hash is not among them.
    pub fn decode_prefix(bytes: &[u8; SEGMENT_PREFIX]) -> Result<Self, BadHeader> {
        if bytes[..8] != MAGIC {
            return Err(BadHeader::Damaged("this is not a journal segment"));
        }
        if u32_at(bytes, 28) != crc32c::crc32c(&bytes[..28]) {
            return Err(BadHeader::Damaged("the checksum of the segment header does not match"));
        }
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if !(OLDEST_FORMAT..=FORMAT).contains(&format) {
            return Err(BadHeader::Version(format));
        }
        let prev = Link {
            crc: u32_at(bytes, 24),
            ..Link::default()
        };
        Ok(SegmentHeader {
            format,
            number: u32_at(bytes, 12),
            first_seq: u64_at(bytes, 16),
            prev,
        })
    }

    /// The hash in what follows the first bytes.
    pub fn decode_hash(bytes: &[u8; SEGMENT_HEADER - SEGMENT_PREFIX]) -> Result<Hash, BadHeader> {
        match u32_at(bytes, 32) == crc32c::crc32c(&bytes[..32]) {
            true => Ok(hash_at(bytes, 0)),
            false => Err(BadHeader::Damaged(
                "the checksum of the hash in the segment header does not match",
            )),
        }
    }
}

/// Makes a segment one of this format. Not for one of the oldest, whose frames are laid out otherwise.
pub fn raise_format(segment: &mut [u8], format: u16) {
    segment[8..10].copy_from_slice(&format.to_le_bytes());
    let crc = crc32c::crc32c(&segment[..28]);
    segment[28..32].copy_from_slice(&crc.to_le_bytes());
}

/// What a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload.
    pub len: u32,
    /// Checksum of the frame before.
    pub prev_crc: u32,
    /// Hash of the frame before, where the format has it.
    pub prev_hash: Option<Hash>,
    /// Sequence number.
    pub seq: u64,
    /// How many frames were written before it by the same write, which one fsync made durable.
    pub in_group: u16,
    /// Checksum of this frame.
    pub crc: u32,
}

impl FrameHeader {
    /// The header in as many bytes as one of this format has, if its own checksum holds.
    pub fn decode(bytes: &[u8], format: u16) -> Option<Self> {
        let intact = u32_at(bytes, 16) == crc32c::crc32c(&bytes[..16]);
        intact.then(|| FrameHeader {
            len: u32_at(bytes, 0),
            prev_crc: u32_at(bytes, 4),
            prev_hash: (format != OLDEST_FORMAT).then(|| hash_at(bytes, 24)),
            seq: u64_at(bytes, 8) & SEQ_MAX,
            in_group: (u64_at(bytes, 8) >> SEQ_BITS) as u16,
            crc: u32_at(bytes, 20),
        })
    }

    /// The header at the beginning of these bytes, and the length of its frame, if all of the frame is there.
    pub fn at(bytes: &[u8], format: u16) -> Option<(Self, usize)> {
        let header = FrameHeader::decode(bytes.get(..frame_header(format))?, format)?;
        let len = frame_header(format) + header.len as usize;
        (len <= bytes.len()).then_some((header, len))
    }

    /// Appends this frame with another payload. What it knows of the frame before stays.
    pub fn encode_with(&self, out: &mut Vec<u8>, payload: &[u8]) {
        let head = head(payload_len(payload), self.prev_crc, self.seq, self.in_group);
        put(out, &head, self.prev_hash.as_ref(), payload);
    }

    /// Whether this payload is the one that the header was written for.
    pub fn covers(&self, payload: &[u8]) -> bool {
        let head = head(self.len, self.prev_crc, self.seq, self.in_group);
        checksum(&head, self.prev_hash.as_ref(), payload) == self.crc
    }

    /// Whether this frame belongs behind that one.
    pub fn follows(&self, prev: &Link) -> bool {
        self.prev_crc == prev.crc && self.prev_hash.is_none_or(|hash| hash == prev.hash)
    }

    /// What the next frame carries of this one, which stands behind `prev`.
    pub fn link(&self, prev: &Link, payload: &[u8]) -> Link {
        let head = head(self.len, self.prev_crc, self.seq, self.in_group);
        Link {
            crc: self.crc,
            hash: chain(&head, &prev.hash, payload),
        }
    }
}

/// Appends a frame to `out`, behind `in_group` others of the same write, and returns what the next frame carries of it.
pub fn encode(out: &mut Vec<u8>, prev: &Link, seq: u64, in_group: u16, payload: &[u8]) -> Link {
    let head = head(payload_len(payload), prev.crc, seq, in_group);
    let crc = put(out, &head, Some(&prev.hash), payload);
    Link {
        crc,
        hash: chain(&head, &prev.hash, payload),
    }
}

fn payload_len(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).expect("batches are limited to far less than 4 GiB")
}

/// Appends a frame, with the hash where its format has one, and returns its checksum.
fn put(out: &mut Vec<u8>, head: &[u8; 16], prev_hash: Option<&Hash>, payload: &[u8]) -> u32 {
    let crc = checksum(head, prev_hash, payload);
    out.extend_from_slice(head);
    out.extend_from_slice(&crc32c::crc32c(head).to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    if let Some(hash) = prev_hash {
        out.extend_from_slice(hash.as_bytes());
    }
    out.extend_from_slice(payload);
    crc
}

/// Sequence numbers have so many bits; the 16 above them are the place in the group, 0 in journals from before it was kept.
const SEQ_BITS: u32 = 48;
const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;

fn head(len: u32, prev_crc: u32, seq: u64, in_group: u16) -> [u8; 16] {
    let mut head = [0; 16];
    head[0..4].copy_from_slice(&len.to_le_bytes());
    head[4..8].copy_from_slice(&prev_crc.to_le_bytes());
    let numbered = seq | u64::from(in_group) << SEQ_BITS;
    head[8..16].copy_from_slice(&numbered.to_le_bytes());
    head
}

/// Over the first 16 bytes, the hash and the payload. The header's own checksum must stay out of it: a CRC that runs
/// over data followed by the CRC of that data always arrives at the same value, so the header would no longer count.
fn checksum(head: &[u8; 16], prev_hash: Option<&Hash>, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(head);
    let crc = prev_hash.map_or(crc, |hash| crc32c::crc32c_append(crc, hash.as_bytes()));
    crc32c::crc32c_append(crc, payload)
}

/// The hash of a frame, whether or not its format stores the one of the frame before.
fn chain(head: &[u8; 16], prev_hash: &Hash, payload: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(prev_hash.as_bytes()).update(payload);
    hasher.finalize().into()
}

/// The offset of an intact frame in these bytes that was written when commit `seq` was durable already: by a later write than that
/// of `seq`. Frames of one write share an fsync, and a power cut may leave any of their pages. A payload cannot pass for a
/// frame: it is JSON, which has no zero bytes, and the length of a frame has one.
pub fn find_later(bytes: &[u8], format: u16, seq: u64) -> Option<usize> {
    let mut at = 0;
    while at + frame_header(format) <= bytes.len() {
        match FrameHeader::at(&bytes[at..], format) {
            Some((header, len)) if header.covers(&bytes[at + frame_header(format)..at + len]) => {
                if header.seq.saturating_sub(u64::from(header.in_group)) > seq {
                    return Some(at);
                }
                at += len;
            }
            _ => at += 1,
        }
    }
    None
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn hash_at(bytes: &[u8], at: usize) -> Hash {
    let bytes: [u8; 32] = bytes[at..at + 32].try_into().expect("32 bytes");
    blake3::Hash::from_bytes(bytes).into()
}
