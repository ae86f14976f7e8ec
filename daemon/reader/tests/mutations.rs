//! Samples with bytes changed, cut, doubled or taken from each other, through the real process: each is read or refused
//! by name, in time. In a process, since that is where a name must come from when all else fails.

use proptest::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};
use wengu_protocol::reader::{Limits, Verdict};
use wengu_reader_client::{Failure, read};

const READER: &str = env!("CARGO_BIN_EXE_wengu-reader");
/// Longer than any sample takes by far, also on a machine that is busy.
const TIME_MAX: Duration = Duration::from_secs(30);

/// `WENGU_MUTATIONS` asks for more.
fn cases() -> u32 {
    std::env::var("WENGU_MUTATIONS").map_or(1500, |cases| cases.parse().expect("a number"))
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut samples: Vec<(String, Vec<u8>)> = entries
        .filter(|path| path.extension().is_none_or(|extension| extension != "expected"))
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(path).unwrap(),
            )
        })
        .collect();
    samples.sort();
    samples
}

#[derive(Debug, Clone)]
enum Change {
    /// A bit is turned.
    Flip(prop::sample::Index, u8),
    /// Bytes become others.
    Put(prop::sample::Index, Vec<u8>),
    /// Bytes are taken out.
    Cut(prop::sample::Index, u16),
    /// Bytes are said again.
    Double(prop::sample::Index, u16),
    /// The rest is missing.
    End(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let pieces: Vec<&[u8]> = vec![
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\x7f\xff\xff\xff",
        b"99999999999",
        b"-1",
        b"<<",
        b">>",
        b"[",
        b"obj",
        b"stream",
        b"0 R",
        b"{",
        b"}",
        b"\\u-1",
        b"\\bin9",
        b"<",
        b"&#x110000;",
        b"<![CDATA[",
        b"PK\x01\x02",
        b"PAR1",
        b"--",
        b"\r\n\r\n",
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        3 => (at(), prop::sample::select(pieces)).prop_map(|(at, piece)| Change::Put(at, piece.to_vec())),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Put(at, bytes)),
        1 => (at(), 1..200_u16).prop_map(|(at, bytes)| Change::Cut(at, bytes)),
        1 => (at(), 1..200_u16).prop_map(|(at, bytes)| Change::Double(at, bytes)),
        1 => at().prop_map(Change::End),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        let range = |at: usize, count: u16| at..(at + usize::from(count)).min(length);
        match change {
            Change::Flip(at, bit) => bytes[at.index(length)] ^= 1 << (bit % 8),
            Change::Put(at, piece) => {
                let at = at.index(length);
                let end = (at + piece.len()).min(length);
                bytes.splice(at..end, piece.iter().copied());
            }
            Change::Cut(at, count) => drop(bytes.drain(range(at.index(length), *count))),
            Change::Double(at, count) => {
                let at = at.index(length);
                let again = bytes[range(at, *count)].to_vec();
                bytes.splice(at..at, again);
            }
            Change::End(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn what_is_broken_is_read_or_named(
        sample in prop::sample::select(samples()),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        let (name, bytes) = sample;
        let bytes = changed(bytes, &changes);
        let limits = Limits { time_s: 10, memory_bytes: 512 << 20, ..Limits::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let began = Instant::now();
        let found = runtime.block_on(read(Path::new(READER), &name, &bytes, None, &limits));
        prop_assert!(began.elapsed() < TIME_MAX, "{name} took {:?}", began.elapsed());
        // A parser that fails by a panic is named, and that is enough; a signal would be a mistake of ours.
        let by_signal = |reason: &str| reason.contains("signal");
        match found {
            Ok(found) => {
                prop_assert!(!found.parts.is_empty() || !found.refused.is_empty(), "{name}: nothing was told");
                for (member, refusal) in found.refused {
                    prop_assert!(!by_signal(&refusal.reason), "{name}: {member}: {refusal}");
                }
            }
            Err(Failure::File(refusal)) => {
                prop_assert!(!refusal.reason.is_empty() && !by_signal(&refusal.reason), "{name}: {refusal}");
                prop_assert!(refusal.verdict != Verdict::TimedOut, "{name}: {refusal}");
            }
            Err(failure @ Failure::Reader(_)) => prop_assert!(false, "{name}: {failure}"),
        }
    }
}
