//! Weights of base models, and their index.

use crate::models::{DEPTH, Model, Said, WEIGHTS, endless, hollow, wrong};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const INDEX: &str = "model.safetensors.index.json";

/// The models of this file.
pub fn models() -> impl Iterator<Item = Model> {
    lengths().chain(headers()).chain(indexes())
}

/// Files whose first eight bytes lie.
fn lengths() -> impl Iterator<Item = Model> {
    let cases: [(&str, u64, &str); 4] = [
        (
            "2^63 bytes",
            1 << 63,
            "9223372036854775808 bytes; at most 33554432 are read",
        ),
        ("2^40 bytes", 1 << 40, "1099511627776 bytes; at most 33554432 are read"),
        (
            "2^64 - 1 bytes",
            u64::MAX,
            "18446744073709551615 bytes; at most 33554432 are read",
        ),
        ("a byte more than the file", 3, "3 bytes, and 2 are left in the file"),
    ];
    let lies = cases.map(|(name, length, told)| {
        Model::new(
            &format!("header: {name}"),
            "tiny",
            wrong(&[WEIGHTS, told]),
            move |folder| {
                fs::write(
                    folder.join(WEIGHTS),
                    [length.to_le_bytes().as_slice(), b"{}".as_slice()].concat(),
                )
                .unwrap();
            },
        )
    });
    let short = ["", "1234567"].map(|bytes| {
        let told = format!("it has {} bytes", bytes.len());
        Model::new(
            &format!("header: {} bytes", bytes.len()),
            "tiny",
            wrong(&[WEIGHTS, &told]),
            move |folder| {
                fs::write(folder.join(WEIGHTS), bytes).unwrap();
            },
        )
    });
    let endless = Model::new(
        "weights: a device",
        "tiny",
        wrong(&[WEIGHTS, "no regular file"]),
        |folder| endless(&folder.join(WEIGHTS)),
    );
    lies.into_iter()
        .chain(short)
        // There is nothing in it to be mapped.
        .chain([endless.in_training(&[WEIGHTS, "it has 0 bytes"])])
}

/// Headers that are JSON, or nearly.
fn headers() -> impl Iterator<Item = Model> {
    let tensor = |shape: &str, begin: u64, end: u64| {
        format!(r#"{{"dtype": "F32", "shape": {shape}, "data_offsets": [{begin}, {end}]}}"#)
    };
    let one = |shape: &str, begin: u64, end: u64| format!(r#"{{"a": {}}}"#, tensor(shape, begin, end));
    let overlapping = format!(r#"{{"a": {}, "b": {}}}"#, tensor("[4]", 0, 16), tensor("[4]", 8, 24));
    let cases: [(&str, String, usize, &str); 9] = [
        (
            "deep",
            format!(r#"{{"a": {}"#, "[".repeat(DEPTH)),
            0,
            "invalid JSON in header",
        ),
        (
            "offsets beyond the file",
            one("[4]", 0, 16),
            0,
            "file not fully covered",
        ),
        (
            "offsets beyond every file",
            one("[144115188075855872]", 0, 1 << 59),
            16,
            "file not fully covered",
        ),
        (
            "an offset of 2^64",
            one("[4]", 0, 16).replace("16]", "18446744073709551616]"),
            16,
            "invalid JSON in header",
        ),
        ("offsets that overlap", overlapping, 24, "invalid offset for tensor `b`"),
        (
            "an end before its begin",
            one("[4]", 16, 0),
            16,
            "invalid offset for tensor `a`",
        ),
        (
            "a hole before the first tensor",
            one("[4]", 8, 24),
            24,
            "invalid offset for tensor `a`",
        ),
        ("2^62 rows of 4", one("[4611686018427387904, 4]", 0, 0), 0, "overflow"),
        (
            "2^61 numbers of 32 bits",
            one("[2305843009213693952]", 0, 0),
            0,
            "overflow",
        ),
    ];
    let told = cases.map(|(name, header, data, told)| {
        Model::new(
            &format!("header: {name}"),
            "tiny",
            wrong(&[WEIGHTS, told]),
            move |folder| {
                write_weights(folder, &header, &vec![0; data]);
            },
        )
    });
    let wide = one("[0, 18446744073709551615]", 0, 0).replace("\"a\"", "\"query.weight\"");
    let wide = Model::new(
        "header: 0 rows of 2^64 - 1",
        "tiny",
        wrong(&[WEIGHTS, "larger than its file"]),
        move |folder| {
            write_weights(folder, &wide, &[]);
        },
    );
    let many = Model::new("header: 100,000 tensors more", "tiny", Said::Sound, |folder| {
        let bytes = fs::read(folder.join(WEIGHTS)).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let (header, data) = bytes[8..].split_at(length);
        let mut header: Value = serde_json::from_slice(header).unwrap();
        let empty = json!({"dtype": "F32", "shape": [0], "data_offsets": [data.len(), data.len()]});
        for number in 0..100_000 {
            header[format!("surplus.{number}")] = empty.clone();
        }
        write_weights(folder, &header.to_string(), data);
    });
    told.into_iter().chain([
        wide.in_training(&[WEIGHTS, "missing"]),
        many.in_training(&[WEIGHTS, "100000 unexpected tensors", "surplus.0"]),
    ])
}

/// Indexes of shards.
fn indexes() -> impl Iterator<Item = Model> {
    let leading = ["/dev/zero", "../model.safetensors", "..", ".hidden.safetensors"].map(|place| {
        let told = format!("\"{place}\" is no file of this folder");
        Model::new(
            &format!("index: a shard in {place}"),
            "tiny",
            wrong(&[INDEX, &told]),
            move |folder| {
                write_index(folder, &json!({"weight_map": {"a": place}}).to_string());
            },
        )
    });
    let large = Model::new(
        "index: 32 MiB and a byte",
        "tiny",
        wrong(&[INDEX, "33554433", "at most 33554432"]),
        |folder| {
            write_index(folder, "{}");
            hollow(&folder.join(INDEX), (32 << 20) + 1);
        },
    );
    let deep = Model::new("index: deep", "tiny", wrong(&[INDEX]), |folder| {
        write_index(folder, &format!(r#"{{"weight_map": {{"a": {}"#, "[".repeat(DEPTH)));
    });
    leading.into_iter().chain([large, deep])
}

/// Writes a safetensors file with this header.
fn write_weights(folder: &Path, header: &str, data: &[u8]) {
    let length = (header.len() as u64).to_le_bytes();
    fs::write(
        folder.join(WEIGHTS),
        [length.as_slice(), header.as_bytes(), data].concat(),
    )
    .unwrap();
}

/// Leaves the weights to shards.
fn write_index(folder: &Path, text: &str) {
    fs::remove_file(folder.join(WEIGHTS)).unwrap();
    fs::write(folder.join(INDEX), text).unwrap();
}
