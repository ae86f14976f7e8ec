//! Strings that stand nowhere else, and the search for them in every form that a file may hold them in.

use crate::harness::{Site, root};
use base64::Engine as _;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Strings that stand nowhere else. What is not ASCII is written otherwise where JSON escapes it.
pub fn marker(n: usize) -> String {
    match n % 2 {
        0 => format!("zqmk{n:02}x7f3a9bqz"),
        _ => format!("zqmk{n:02}x标记é7f3a"),
    }
}

pub const MARKERS: usize = 20;

/// Every file below, with its bytes.
pub fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    found
}

/// A marker as files may hold it: UTF-8, JSON that escapes, base64 at each alignment, UTF-16, hex, token ids.
fn variants(marker: &str) -> Vec<Vec<u8>> {
    let escaped = |upper: bool| -> String {
        let unit = |unit: u16| match (unit < 128, upper) {
            (true, _) => char::from(unit as u8).to_string(),
            (false, false) => format!("\\u{unit:04x}"),
            (false, true) => format!("\\u{unit:04X}"),
        };
        marker.encode_utf16().map(unit).collect()
    };
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD;
    let aligned = (0..3).map(|skip| {
        let whole = &marker.as_bytes()[skip..];
        base64.encode(&whole[..whole.len() / 3 * 3]).into_bytes()
    });
    let hex: String = marker.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        marker.as_bytes().to_vec(),
        escaped(false).into_bytes(),
        escaped(true).into_bytes(),
        marker.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        hex.into_bytes(),
    ];
    all.extend(aligned);
    if let Some(ids) = tokens(marker) {
        all.push(ids.iter().flat_map(|id| i64::from(*id).to_le_bytes()).collect());
        all.push(ids.iter().flat_map(|id| id.to_le_bytes()).collect());
    }
    all
}

fn tokens(marker: &str) -> Option<Vec<u32>> {
    let folder = root().join(".deps/models/all-MiniLM-L6-v2");
    let tokenizer = wengu_tokenize::Tokenizer::load(&folder).ok()?;
    let ids = tokenizer.encode(marker, &[], 64).ok()?;
    // Without the tokens that begin and end a text, and those at the edges, which a neighbour may change.
    Some(ids[2..ids.len() - 2].to_vec())
}

/// Which markers stand where below `dir`, in whatever form.
pub fn found(dir: &Path) -> Vec<(usize, PathBuf)> {
    // By their first four bytes, so that one pass over a file is enough.
    let mut needles: HashMap<[u8; 4], Vec<(usize, Vec<u8>)>> = HashMap::new();
    for n in 0..MARKERS {
        for bytes in variants(&marker(n)) {
            assert_ne!(bytes[0], 0);
            let first = bytes[..4].try_into().unwrap();
            needles.entry(first).or_default().push((n, bytes));
        }
    }
    let mut found = Vec::new();
    for (path, bytes) in files(dir) {
        let named = path.display().to_string();
        found.extend(
            (0..MARKERS)
                .filter(|n| named.contains(&marker(*n)))
                .map(|n| (n, path.clone())),
        );
        for at in 0..bytes.len().saturating_sub(3) {
            // No form of a marker begins with a zero; the reserve is 64 MiB of them.
            if bytes[at] == 0 {
                continue;
            }
            let first: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            let here = needles.get(&first).into_iter().flatten();
            found.extend(
                here.filter(|(_, needle)| bytes[at..].starts_with(needle))
                    .map(|(n, _)| (*n, path.clone())),
            );
        }
    }
    found
}

/// None of them is in any file of the state directory.
pub fn assert_nowhere(site: &Site) {
    let left = found(&site.path("state"));
    assert!(left.is_empty(), "{left:?}\n{}", site.log());
}

/// Waits until nothing is being forgotten, and returns the last one.
pub fn forgotten(site: &Site) -> Value {
    site.until("it is forgotten", |site| {
        let all = site.json(&["forget", "list"]);
        let all = all.as_array().unwrap();
        !all.is_empty() && all.iter().all(|one| one["step"] == "done")
    });
    site.json(&["forget", "list"])
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone()
}
