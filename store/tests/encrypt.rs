//! A store with a key: nothing of what was put can be read without it, and an existing store becomes one whenever it is
//! killed meanwhile.

mod common;

use common::*;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use wengu_seal::Key;
use wengu_store::*;

const CHILD: &str = "WENGU_STORE_ENCRYPT_TEST_DIR";
const MARK: &str = "患者编号 4711 自述胸痛";

fn key(byte: u8) -> Arc<Key> {
    Arc::new(Key::parse(&format!("{byte:02x}").repeat(32)).unwrap())
}

fn with(key: Option<Arc<Key>>) -> Options {
    Options { key, ..options() }
}

/// Files in which the mark stands.
fn marked(dir: &Path) -> usize {
    holding(dir, MARK.as_bytes()).len()
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir)
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// A store of `n` marked objects of very different sizes, each named by a record.
fn fill(dir: &Path, key: Option<Arc<Key>>, n: usize) -> Vec<(Hash, Vec<u8>)> {
    let (store, _) = Store::open(dir, with(key)).unwrap();
    let texts = (0..n).map(|i| format!("{i} {MARK} {}", "病历".repeat(i * i * 4000)).into_bytes());
    texts
        .map(|text| (store.objects().put_bytes(&text).unwrap(), text))
        .collect()
}

fn all_there(dir: &Path, key: &Arc<Key>, put: &[(Hash, Vec<u8>)]) {
    let (store, _) = Store::open(dir, with(Some(Arc::clone(key)))).unwrap();
    for (hash, text) in put {
        assert_eq!(&store.objects().get(hash).unwrap(), text);
        assert_eq!(store.objects().check(hash).unwrap(), text.len() as u64);
    }
    assert_eq!(store.verify().unwrap().problems, []);
}

fn encrypt(dir: &Path, key: &Arc<Key>, old: Option<&Arc<Key>>) -> Result<EncryptReport, StoreError> {
    let encryption = Encryption::begin(dir, Arc::clone(key), old.cloned(), 0)?;
    let report = encryption.objects(|_| ())?;
    encryption.finish()?;
    Ok(report)
}

#[test]
fn a_store_with_a_key_holds_no_text_and_opens_with_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let put = fill(dir.path(), Some(key(1)), 6);
    assert_eq!(marked(dir.path()), 0);
    all_there(dir.path(), &key(1), &put);
    let before = contents(dir.path());
    for (other, message) in [(None, "no key is given"), (Some(key(2)), "the key given is")] {
        let refused = Store::open(dir.path(), with(other)).unwrap_err();
        assert!(
            refused.is_about_key() && refused.to_string().contains(message),
            "{refused}"
        );
        assert!(refused.to_string().contains(&key(1).id().to_string()), "{refused}");
    }
    let outside = Objects::read(dir.path(), None, &put[0].0).unwrap_err();
    assert!(matches!(outside, StoreError::KeyNeeded { .. }), "{outside}");
    assert!(contents(dir.path()) == before, "a refusal has written something");
    assert_eq!(Objects::read(dir.path(), Some(key(1)), &put[0].0).unwrap(), put[0].1);
}

#[test]
fn what_was_done_to_a_sealed_object_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let put = fill(dir.path(), Some(key(1)), 5);
    let (store, _) = Store::open(dir.path(), with(Some(key(1)))).unwrap();
    let (hash, text) = put.last().unwrap();
    let path = store.objects().path(hash);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let sealed = fs::read(&path).unwrap();
    let mut flipped = sealed.clone();
    flipped[100_000] ^= 1;
    let first_chunk = sealed[..40 + (64 << 10) + 16].to_vec();
    let other = fs::read(store.objects().path(&put[1].0)).unwrap();
    for (bytes, message) in [
        (flipped, "was changed"),
        (first_chunk, "cut short"),
        (sealed[..sealed.len() - 1].to_vec(), "was changed"),
        (text.clone(), "is not sealed"),
        (other, "hash to"),
    ] {
        fs::write(&path, bytes).unwrap();
        for failed in [
            store.objects().get(hash).unwrap_err(),
            store.objects().check(hash).unwrap_err(),
        ] {
            let told = failed.to_string();
            assert!(failed.is_damage() && told.contains(message), "{told}");
            assert!(told.contains(&path.display().to_string()), "{told}");
        }
        assert_eq!(store.verify().unwrap().problems.len(), 1);
    }
    store.objects().put_bytes(text).unwrap();
    assert_eq!(store.verify().unwrap().problems, []);
}

#[test]
fn backups_stay_sealed_and_are_restored_with_the_key_only() {
    let dir = tempfile::tempdir().unwrap();
    let [at, saved, back] = ["store", "saved", "back"].map(|name| dir.path().join(name));
    let put = fill(&at, Some(key(1)), 4);
    let (store, _) = Store::open(&at, with(Some(key(1)))).unwrap();
    store.backup(&saved, store.last_seq(), &[]).unwrap();
    drop(store);
    assert_eq!(marked(&saved), 0);
    backup::check(&saved).unwrap();
    for other in [None, Some(key(2))] {
        assert!(
            backup::restore(&saved, &back, &with(other), |_| Ok(()))
                .unwrap_err()
                .is_about_key()
        );
        assert!(!back.exists());
    }
    backup::restore(&saved, &back, &with(Some(key(1))), |_| Ok(())).unwrap();
    all_there(&back, &key(1), &put);
}

#[test]
fn an_existing_store_is_sealed_and_its_key_changed() {
    let dir = tempfile::tempdir().unwrap();
    let mut put = fill(dir.path(), None, 5);
    // It looks like a sealed object, and is a case file that says so.
    let liar = [
        b"WENGUSEA\x01\0\0\0".as_slice(),
        &hex(&key(1).id().to_string()),
        &[7; 90],
    ]
    .concat();
    let (store, _) = Store::open(dir.path(), with(None)).unwrap();
    put.push((store.objects().put_bytes(&liar).unwrap(), liar));
    drop(store);
    let refused = Store::open(dir.path(), with(Some(key(1)))).unwrap_err();
    assert!(matches!(refused, StoreError::NotEncrypted { .. }), "{refused}");
    assert_eq!(marked(dir.path()), 5);
    let report = encrypt(dir.path(), &key(1), None).unwrap();
    assert_eq!((report.sealed, report.already), (6, 0));
    assert_eq!(marked(dir.path()), 0);
    all_there(dir.path(), &key(1), &put);
    assert_eq!(encrypt(dir.path(), &key(1), None).unwrap().already, 6);

    for old in [None, Some(&key(3))] {
        assert!(encrypt(dir.path(), &key(2), old).unwrap_err().is_about_key());
    }
    all_there(dir.path(), &key(1), &put);
    assert_eq!(encrypt(dir.path(), &key(2), Some(&key(1))).unwrap().sealed, 6);
    all_there(dir.path(), &key(2), &put);
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Not a test: what the next one kills.
#[test]
fn encrypts_in_a_child() {
    if let Some(dir) = env::var_os(CHILD) {
        encrypt(Path::new(&dir), &key(1), None).unwrap();
    }
}

#[test]
fn it_is_killed_at_every_object_and_goes_on() {
    const OBJECTS: u64 = 5;
    // Behind the crate's name: the suite may be a module of a binary.
    let own_name = concat!(module_path!(), "::encrypts_in_a_child")
        .split_once("::")
        .unwrap()
        .1;
    for (point, kills) in [("object.written", OBJECTS), ("object.named", OBJECTS)] {
        for at in 1..=kills {
            let dir = tempfile::tempdir().unwrap();
            let put = fill(dir.path(), None, OBJECTS as usize);
            let child = Command::new(env::current_exe().unwrap())
                .args(["--exact", own_name])
                .env(CHILD, dir.path())
                .env("WENGU_FAILPOINTS", format!("{point}=kill@{at}"))
                .output()
                .unwrap();
            assert_eq!(child.status.signal(), Some(9), "{point} {at}: {child:?}");
            let refused = Store::open(dir.path(), with(Some(key(1)))).unwrap_err();
            assert!(matches!(refused, StoreError::EncryptionUnfinished { .. }), "{refused}");
            assert!(Store::open(dir.path(), with(None)).unwrap_err().is_about_key());
            let done = if point == "object.named" { at } else { at - 1 };
            let report = encrypt(dir.path(), &key(1), None).unwrap();
            assert_eq!((report.already, report.sealed), (done, OBJECTS - done), "{point} {at}");
            assert_eq!(marked(dir.path()), 0);
            all_there(dir.path(), &key(1), &put);
        }
    }
}
