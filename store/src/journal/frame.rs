//! Bytes of segment headers and frames, and nothing that touches a file.

/// First bytes of every segment.
pub const MAGIC: [u8; 8] = *b"WENGUJNL";
/// Version of the layout of segments, frames and payloads.
pub const FORMAT: u16 = 1;
/// Size of a segment header. Its layout up to and including the version is the same in every format.
pub const SEGMENT_HEADER: usize = 32;
/// Size of a frame header.
pub const FRAME_HEADER: usize = 24;

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its number, as in its name.
    pub number: u32,
    /// The sequence number of its first frame, written or not yet written.
    pub first_seq: u64,
    /// The checksum of the last frame of the segment before, 0 in segment 1.
    pub prev_crc: u32,
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
    /// Its bytes.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.prev_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in these bytes.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Self, BadHeader> {
        if bytes[..8] != MAGIC {
            return Err(BadHeader::Damaged("this is not a journal segment"));
        }
        if u32_at(bytes, 28) != crc32c::crc32c(&bytes[..28]) {
            return Err(BadHeader::Damaged("the checksum of the segment header does not match"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != FORMAT {
            return Err(BadHeader::Version(version));
        }
        Ok(SegmentHeader {
            number: u32_at(bytes, 12),
            first_seq: u64_at(bytes, 16),
            prev_crc: u32_at(bytes, 24),
        })
    }
}

/// What a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload.
    pub len: u32,
    /// Checksum of the frame before.
    pub prev_crc: u32,
    /// Sequence number.
    pub seq: u64,
    /// Checksum of this frame.
    pub crc: u32,
}

impl FrameHeader {
    /// The header in these bytes, if its own checksum holds.
    pub fn decode(bytes: &[u8; FRAME_HEADER]) -> Option<Self> {
        let intact = u32_at(bytes, 16) == crc32c::crc32c(&bytes[..16]);
        intact.then(|| FrameHeader {
            len: u32_at(bytes, 0),
            prev_crc: u32_at(bytes, 4),
            seq: u64_at(bytes, 8),
            crc: u32_at(bytes, 20),
        })
    }

    /// Whether this payload is the one that the header was written for.
    pub fn covers(&self, payload: &[u8]) -> bool {
        checksum(self.len, self.prev_crc, self.seq, payload) == self.crc
    }
}

/// Appends a frame to `out` and returns its checksum, which the next frame carries.
pub fn encode(out: &mut Vec<u8>, prev_crc: u32, seq: u64, payload: &[u8]) -> u32 {
    let len = u32::try_from(payload.len()).expect("batches are limited to far less than 4 GiB");
    let header = head(len, prev_crc, seq);
    let crc = checksum(len, prev_crc, seq, payload);
    out.extend_from_slice(&header);
    out.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
    crc
}

fn head(len: u32, prev_crc: u32, seq: u64) -> [u8; 16] {
    let mut head = [0; 16];
    head[0..4].copy_from_slice(&len.to_le_bytes());
    head[4..8].copy_from_slice(&prev_crc.to_le_bytes());
    head[8..16].copy_from_slice(&seq.to_le_bytes());
    head
}

/// Over the first 16 bytes and the payload. The header's own checksum must stay out of it: a CRC that runs over data
/// followed by the CRC of that data always arrives at the same value, so the header would no longer count.
fn checksum(len: u32, prev_crc: u32, seq: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head(len, prev_crc, seq)), payload)
}

/// The offset of an intact frame anywhere in these bytes. A payload cannot pass for a frame: it is JSON, which has
/// no zero bytes, and the length of a frame has one.
pub fn find_intact(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len().saturating_sub(FRAME_HEADER - 1)).find(|&at| {
        let (header, rest) = bytes[at..]
            .split_first_chunk::<FRAME_HEADER>()
            .expect("the range leaves a header");
        FrameHeader::decode(header).is_some_and(|header| {
            rest.get(..header.len as usize)
                .is_some_and(|payload| header.covers(payload))
        })
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
