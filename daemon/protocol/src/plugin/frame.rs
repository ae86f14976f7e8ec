//! Frames: a length in four bytes, little-endian, then a message in that many bytes, as postcard has it
//! (<https://postcard.jamesmunns.com/wire-format>).

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};

/// Largest frame, in either direction.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// What a reader reserves for a frame, or buffers of a channel, before its bytes are there.
pub const FRAME_BYTES_AT_ONCE: usize = 64 << 10;

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side has closed, between two frames.
    #[error("the other side has closed the channel")]
    Closed,
    /// Larger than any frame may be.
    #[error("a frame of {bytes} bytes is larger than the limit of {FRAME_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not a message of this version.
    #[error("a frame cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
    /// More than a message.
    #[error("a frame cannot be read: {bytes} bytes follow its message")]
    Surplus {
        /// How many.
        bytes: usize,
    },
    /// The channel failed, or ended inside a frame.
    #[error("the channel failed: {0}")]
    Io(#[from] io::Error),
}

/// A message as a frame.
///
/// # Errors
/// A message whose frame would be too large.
pub fn encode_frame<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = Vec::new();
    append_frame(&mut frame, message)?;
    Ok(frame)
}

/// Adds a message as a frame to others, which stay as they are where it fails.
///
/// # Errors
/// As [`encode_frame`].
pub fn append_frame<T: Serialize>(frames: &mut Vec<u8>, message: &T) -> Result<(), FrameError> {
    let begin = frames.len();
    frames.extend([0; 4]);
    let written = postcard::to_io(message, &mut *frames).map(drop);
    let bytes = frames.len() - begin - 4;
    let checked = match written {
        Ok(()) if bytes > FRAME_BYTES_MAX => Err(FrameError::TooLarge { bytes }),
        other => other.map_err(FrameError::from),
    };
    match checked {
        Ok(()) => frames[begin..begin + 4].copy_from_slice(&(bytes as u32).to_le_bytes()),
        Err(_) => frames.truncate(begin),
    }
    checked
}

/// The length of the body that follows a frame's first four bytes.
///
/// # Errors
/// A length beyond the limit.
pub fn frame_body_bytes(header: [u8; 4]) -> Result<usize, FrameError> {
    match u32::from_le_bytes(header) as usize {
        bytes if bytes > FRAME_BYTES_MAX => Err(FrameError::TooLarge { bytes }),
        bytes => Ok(bytes),
    }
}

/// The message in a frame's body.
///
/// # Errors
/// Anything but one such message.
pub fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(body)? {
        (message, []) => Ok(message),
        (_, rest) => Err(FrameError::Surplus { bytes: rest.len() }),
    }
}

/// Reads one frame.
///
/// # Errors
/// [`FrameError::Closed`] at the end of the channel, the others for what is wrong with the frame.
pub fn read_frame<T: DeserializeOwned>(mut from: impl Read) -> Result<T, FrameError> {
    let mut header = [0; 4];
    loop {
        match from.read(&mut header[..1]) {
            Ok(0) => return Err(FrameError::Closed),
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    from.read_exact(&mut header[1..])?;
    let bytes = frame_body_bytes(header)?;
    // A length alone reserves little; beyond that the body grows as bytes arrive. Reserving nothing reads by 32 bytes.
    let mut body = Vec::with_capacity(bytes.min(FRAME_BYTES_AT_ONCE));
    if from.take(bytes as u64).read_to_end(&mut body)? < bytes {
        return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    decode_body(&body)
}

/// Writes one frame.
///
/// # Errors
/// A message that is too large or a channel that failed.
pub fn write_frame<T: Serialize>(mut to: impl Write, message: &T) -> Result<(), FrameError> {
    to.write_all(&encode_frame(message)?)?;
    Ok(to.flush()?)
}

#[cfg(test)]
mod tests {
    use super::super::{DocumentError, LabelInput, PLUGIN_PROTOCOL, ReadOutcome, Reply, Request, Status, Vote};
    use super::*;
    use proptest::prelude::*;

    fn hello() -> Request {
        Request::Hello {
            protocol: PLUGIN_PROTOCOL,
            plugin_dir: "plugins/a".into(),
            package_sha256: "00".into(),
            config: r#"{"k":1}"#.into(),
            memory_mib: None,
        }
    }

    #[test]
    fn frames_follow_each_other_and_end() {
        let votes = vec![Vote {
            function: 1,
            label: 2,
            span: Some((3, 4)),
            confidence: 0.5,
        }];
        let error = DocumentError {
            status: Status::Input,
            message: "太长".into(),
        };
        let replies = [
            Reply::Heartbeat { done: 1, total: 2 },
            Reply::Read(Box::new(ReadOutcome {
                segments: Some(Err(error)),
                votes: Some(Ok(votes)),
            })),
            Reply::Read(Box::new(ReadOutcome {
                segments: None,
                votes: None,
            })),
            Reply::Scored(Ok(vec![1.0, 0.5])),
            Reply::Done,
        ];
        let mut bytes = encode_frame(&hello()).unwrap();
        for reply in &replies {
            write_frame(&mut bytes, reply).unwrap();
        }
        let mut from = &bytes[..];
        assert_eq!(read_frame::<Request>(&mut from).unwrap(), hello());
        for reply in replies {
            assert_eq!(read_frame::<Reply>(&mut from).unwrap(), reply);
        }
        assert!(matches!(read_frame::<Reply>(&mut from), Err(FrameError::Closed)));
    }

    #[test]
    fn a_cut_frame_is_not_a_closed_channel() {
        let bytes = encode_frame(&hello()).unwrap();
        for cut in 1..bytes.len() {
            assert!(
                matches!(read_frame::<Request>(&bytes[..cut]), Err(FrameError::Io(_))),
                "{cut}"
            );
        }
    }

    fn read(texts: Vec<String>) -> Request {
        let input = |text: String| LabelInput {
            text: text.into(),
            metadata: String::new(),
            seed: 0,
        };
        Request::Read {
            documents: texts.into_iter().map(input).collect(),
            segments: true,
            votes: false,
        }
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused_on_both_sides() {
        let header = ((FRAME_BYTES_MAX + 1) as u32).to_le_bytes();
        assert!(matches!(
            read_frame::<Reply>(&header[..]),
            Err(FrameError::TooLarge { .. })
        ));
        let large = read(vec!["x".repeat(FRAME_BYTES_MAX)]);
        assert!(matches!(encode_frame(&large), Err(FrameError::TooLarge { .. })));
        let mut frames = encode_frame(&hello()).unwrap();
        assert!(append_frame(&mut frames, &large).is_err());
        assert_eq!(
            frames,
            encode_frame(&hello()).unwrap(),
            "what was there before is whole"
        );
    }

    #[test]
    fn unknown_messages_and_surplus_bytes_are_refused() {
        let heartbeat = &encode_frame(&Reply::Heartbeat { done: 1, total: 2 }).unwrap()[4..];
        let unknown = [99, 1, 2];
        for body in [&unknown[..], &heartbeat[..2], b""] {
            let read = decode_body::<Reply>(body);
            assert!(matches!(read, Err(FrameError::Malformed(_))), "{body:?}: {read:?}");
        }
        let longer = [heartbeat, &[0]].concat();
        assert!(matches!(
            decode_body::<Reply>(&longer),
            Err(FrameError::Surplus { bytes: 1 })
        ));
    }

    #[test]
    fn a_length_inside_a_message_reserves_no_memory() {
        // A list of votes that says it has 2^60 of them.
        let read = Reply::Read(Box::new(ReadOutcome {
            segments: None,
            votes: Some(Ok(Vec::new())),
        }));
        let mut body = encode_frame(&read).unwrap()[4..].to_vec();
        assert_eq!(body.pop(), Some(0), "its last byte is the number of votes");
        body.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(matches!(decode_body::<Reply>(&body), Err(FrameError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_frame::<Reply>(&bytes[..]);
            let _ = decode_body::<Request>(&bytes);
        }

        #[test]
        fn any_text_survives(texts in prop::collection::vec(".*", 0..5)) {
            let request = read(texts);
            let bytes = encode_frame(&request).unwrap();
            prop_assert_eq!(read_frame::<Request>(&bytes[..]).unwrap(), request);
        }
    }
}
