//! What is sealed comes back, and nothing else does.

use proptest::prelude::*;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use wengu_seal::{
    CHUNK_BYTES, HEADER_BYTES, Key, KeyError, Opener, SealError, Sealer, TAG_BYTES, generate, key_of, open, seal,
    sealed_bytes,
};

fn key(byte: u8) -> Key {
    Key::parse(&format!("{byte:02x}").repeat(32)).unwrap()
}

fn plain(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/seal")
        .join(name)
}

/// tests/oracle/seal.py made them with libsodium.
#[test]
fn files_that_another_implementation_sealed_are_opened() {
    let vectors: serde_json::Value = serde_json::from_slice(&fs::read(golden("vectors.json")).unwrap()).unwrap();
    let text = "患者自述胸痛三天。".as_bytes().to_vec();
    for written in ["key_base64", "key_hex"] {
        let key = Key::parse(vectors[written].as_str().unwrap()).unwrap();
        assert_eq!(key.id().to_string(), vectors["key_id"].as_str().unwrap());
        for (name, expected) in [
            ("empty", vec![]),
            ("text", text.clone()),
            ("border", plain(CHUNK_BYTES + 3)),
        ] {
            let sealed = fs::read(golden(&format!("{name}.sealed"))).unwrap();
            assert_eq!(key_of(&sealed), Ok(key.id()));
            assert_eq!(sealed.len() as u64, sealed_bytes(expected.len() as u64), "{name}");
            assert_eq!(open(&key, "object", &sealed).unwrap(), expected, "{name}");
            assert_eq!(
                open(&key, "version", &sealed),
                Err(SealError::Changed {
                    offset: HEADER_BYTES as u64
                })
            );
        }
    }
}

#[test]
fn sizes_around_the_borders_of_chunks_come_back() {
    let key = key(1);
    for chunks in 0..3 {
        for by in [-1i64, 0, 1] {
            let Ok(len) = usize::try_from(chunks * CHUNK_BYTES as i64 + by) else {
                continue;
            };
            let sealed = seal(&key, "object", &plain(len)).unwrap();
            assert_eq!(sealed.len() as u64, sealed_bytes(len as u64), "{len}");
            assert_eq!(open(&key, "object", &sealed).unwrap(), plain(len), "{len}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_comes_back_however_it_is_written_and_read(
        near in 0usize..4, by in -40i64..40, writes in 1usize..200_000, reads in 1usize..200_000
    ) {
        let len = usize::try_from(near as i64 * CHUNK_BYTES as i64 + by).unwrap_or(0);
        let (key, text) = (key(2), plain(len));
        let mut sealer = Sealer::new(&key, "x", Vec::new()).unwrap();
        for part in text.chunks(writes) {
            sealer.write_all(part).unwrap();
        }
        let sealed = sealer.finish().unwrap();
        let mut opener = Opener::new(&key, "x", sealed.as_slice()).unwrap();
        let (mut found, mut part) = (Vec::new(), vec![0; reads]);
        loop {
            match opener.read(&mut part).unwrap() {
                0 => break,
                read => found.extend_from_slice(&part[..read]),
            }
        }
        prop_assert_eq!(found, text);
    }

    #[test]
    fn a_flipped_bit_is_found(near in 0usize..3, by in 0usize..40, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let key = key(3);
        let mut sealed = seal(&key, "object", &plain(near * CHUNK_BYTES + by)).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        let found = open(&key, "object", &sealed).unwrap_err();
        match at {
            0..8 => prop_assert_eq!(found, SealError::NotSealed),
            8..10 => {
                let named = matches!(found, SealError::Version { .. } | SealError::Changed { .. });
                prop_assert!(named);
            }
            12..20 => {
                let named = matches!(found, SealError::OtherKey { .. });
                prop_assert!(named);
            }
            _ => {
                let chunk = at.saturating_sub(HEADER_BYTES) / (CHUNK_BYTES + TAG_BYTES);
                let offset = (HEADER_BYTES + chunk * (CHUNK_BYTES + TAG_BYTES)) as u64;
                prop_assert_eq!(found, SealError::Changed { offset });
            }
        }
    }

    #[test]
    fn what_was_cut_off_is_missed(near in 0usize..3, by in 0usize..40, at in any::<prop::sample::Index>()) {
        let key = key(4);
        let sealed = seal(&key, "object", &plain(near * CHUNK_BYTES + by)).unwrap();
        prop_assert!(open(&key, "object", &sealed[..at.index(sealed.len())]).is_err());
    }
}

#[test]
fn a_file_that_ends_with_a_whole_chunk_is_still_cut_short() {
    let key = key(5);
    let sealed = seal(&key, "object", &plain(3 * CHUNK_BYTES)).unwrap();
    for chunks in [1, 2] {
        let end = HEADER_BYTES + chunks * (CHUNK_BYTES + TAG_BYTES);
        let bytes = (chunks * CHUNK_BYTES) as u64;
        assert_eq!(open(&key, "object", &sealed[..end]), Err(SealError::Cut { bytes }));
    }
    let more = [sealed.as_slice(), b"more"].concat();
    assert!(matches!(open(&key, "object", &more), Err(SealError::Changed { .. })));
    let (head, chunks) = sealed.split_at(HEADER_BYTES);
    let (first, others) = chunks.split_at(CHUNK_BYTES + TAG_BYTES);
    let (second, last) = others.split_at(CHUNK_BYTES + TAG_BYTES);
    let exchanged = [head, second, first, last].concat();
    let offset = HEADER_BYTES as u64;
    assert_eq!(open(&key, "object", &exchanged), Err(SealError::Changed { offset }));
}

#[test]
fn equal_bytes_are_sealed_differently_each_time() {
    let key = key(6);
    let once = seal(&key, "object", b"same").unwrap();
    assert_ne!(once, seal(&key, "object", b"same").unwrap());
}

#[test]
fn keys_are_read_named_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wengu.key");
    let text = generate().unwrap();
    fs::write(&path, format!("{}\n", *text)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = Key::read(&path, false).unwrap_err();
    assert!(matches!(refused, KeyError::Mode { mode: 0o640, .. }), "{refused}");
    Key::read(&path, true).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let key = Key::read(&path, false).unwrap();
    assert_eq!(key.id(), Key::parse(&text).unwrap().id());
    assert_eq!(key.id().to_string().parse::<wengu_seal::KeyId>().unwrap(), key.id());
    assert_eq!(format!("{key:?}"), format!("Key({})", key.id()));
    for bad in [
        "",
        "secret",
        &text[1..],
        &"0".repeat(63),
        &"g".repeat(64),
        &"字".repeat(32),
    ] {
        let refused = Key::parse(bad).unwrap_err().to_string();
        assert!(bad.is_empty() || !refused.contains(bad), "{refused}");
    }
    let other = key_of(&seal(&key, "object", b"").unwrap()).unwrap();
    assert_eq!(other, key.id());
}
