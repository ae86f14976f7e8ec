//! Sealed files, and what names and holds their key.

use std::io::{Read, Write};
use std::sync::Arc;
use wengu::sealing;
use wengu_seal::{Key, KeyId, Opener, Sealer, is_sealed, key_of, open, seal, sealed_bytes};
use wengu_store::{Options, StoreError, backup};

/// The key and the context of `tests/golden/seal`.
const KEY: &str = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283";
const CONTEXT: &str = "object";

/// The first byte says what the rest is, and where it is cut or changed.
pub fn sealed(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let at = usize::from(how) * 37;
    match how % 4 {
        0 => opened(rest, at),
        1 => round_trip(rest, at),
        2 => key(rest),
        _ => note(rest),
    }
}

fn golden_key() -> Key {
    Key::parse(KEY).expect("a key")
}

/// Nothing opens but what was sealed: of what does, no bit can be another.
fn opened(file: &[u8], at: usize) {
    let key = golden_key();
    if let Ok(named) = key_of(file) {
        assert!(is_sealed(file));
        assert_eq!(named.to_string().parse::<KeyId>().ok(), Some(named));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join(sealing::EVALUATION), file).expect("a temporary file");
    let bare = sealing::read(folder.path(), sealing::EVALUATION, None);
    match is_sealed(file) {
        true => assert!(bare.is_err(), "a sealed file is read without its key"),
        false => assert_eq!(bare.ok().flatten().as_deref(), Some(file)),
    }
    assert!(
        sealing::read(folder.path(), sealing::EVALUATION, Some(&key)).is_err(),
        "it was sealed as another file"
    );
    if let Ok(plain) = open(&key, CONTEXT, file) {
        assert_eq!(sealed_bytes(plain.len() as u64), file.len() as u64);
        refused(&key, file, at);
    }
}

fn refused(key: &Key, file: &[u8], at: usize) {
    let at = at % file.len();
    let mut changed = file.to_vec();
    changed[at] ^= 1 << (at % 8);
    assert!(open(key, CONTEXT, &changed).is_err(), "byte {at} was changed");
    assert!(open(key, CONTEXT, &file[..at]).is_err(), "it was cut at {at}");
    assert!(open(key, CONTEXT, &[file, &[0]].concat()).is_err(), "a byte follows");
    assert!(open(key, "another", file).is_err(), "it is another file");
}

/// However it is written and read, the same comes out.
fn round_trip(plain: &[u8], at: usize) {
    let key = golden_key();
    let whole = seal(&key, CONTEXT, plain).expect("sealing in memory");
    let cut = at % (plain.len() + 1);
    let mut sealer = Sealer::new(&key, CONTEXT, Vec::new()).expect("sealing in memory");
    for piece in [&plain[..cut], &plain[cut..]] {
        sealer.write_all(piece).expect("sealing in memory");
    }
    let pieces = sealer.finish().expect("sealing in memory");
    for file in [&whole, &pieces] {
        assert_eq!(file.len() as u64, sealed_bytes(plain.len() as u64));
        assert!(open(&key, CONTEXT, file).as_deref() == Ok(plain));
        refused(&key, file, at);
    }
    let mut opener = Opener::new(&key, CONTEXT, whole.as_slice()).expect("it is sealed");
    let mut read = vec![0; cut];
    opener.read_exact(&mut read).expect("so much was sealed");
    opener.read_to_end(&mut read).expect("it is whole");
    assert!(read == plain);
}

/// A key's file.
fn key(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(id) = text.parse::<KeyId>() {
        assert!(id.to_string() == text.to_lowercase());
    }
    if let Ok(key) = Key::parse(text) {
        let padded = Key::parse(&format!(" {text}\n")).expect("space around it is none of it");
        assert_eq!(padded.id(), key.id());
        let shown = format!("{key:?}");
        assert!(!shown.contains(text.trim()), "a key is shown");
    }
}

/// `KEY` of a backup: a restore goes on only with the key that it names, and not while a change of keys is under way.
fn note(text: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let from = folder.path().join("backup");
    std::fs::create_dir(&from).expect("a temporary folder");
    std::fs::write(from.join("KEY"), text).expect("a temporary file");
    let key = Arc::new(golden_key());
    for given in [None, Some(key.clone())] {
        let has_key = given.is_some();
        let options = Options {
            key: given,
            ..Options::default()
        };
        match backup::restore(&from, &folder.path().join("store"), &options, |_| Ok(())) {
            Ok(_) => panic!("a backup without a list was restored"),
            Err(StoreError::KeyNeeded { .. }) => assert!(!has_key),
            Err(StoreError::OtherKey { found, given, .. }) => assert!(found != given && given == key.id()),
            Err(StoreError::KeyNote { .. } | StoreError::EncryptionUnfinished { .. }) => {}
            // The key is the right one: it is the list that is missing.
            Err(_) => {
                assert!(has_key);
                let said = String::from_utf8_lossy(text).to_lowercase();
                assert!(said.contains(&key.id().to_string()) || said.contains('\\'), "{said}");
            }
        }
    }
}
