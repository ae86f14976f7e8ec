//! Content-addressed files.

mod common;

use common::*;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use wengu_store::*;

#[derive(Debug, Serialize, Deserialize)]
struct Case {
    text: Hash,
}

impl Record for Case {
    const TABLE: &'static str = "case";
    const VERSION: u16 = 1;

    fn objects(&self) -> Vec<Hash> {
        vec![self.text]
    }
}

#[test]
fn bytes_are_kept_under_their_hash() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let objects = store.objects();
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let hash = objects.put_bytes(&large).unwrap();
    assert_eq!(hash, Hash::of(&large));
    assert_eq!(
        objects.path(&hash),
        dir.path()
            .join("objects")
            .join(&hash.to_string()[..2])
            .join(&hash.to_string()[2..])
    );
    assert_eq!(
        fs::metadata(objects.path(&hash)).unwrap().permissions().mode() & 0o777,
        0o400
    );
    assert_eq!(objects.get(&hash).unwrap(), large);
    assert_eq!(objects.check(&hash).unwrap(), 1_000_000);
    fs::write(dir.path().join("病历.txt"), &large).unwrap();
    assert_eq!(
        objects.put_file(&dir.path().join("病历.txt")).unwrap(),
        (hash, 1_000_000)
    );
    assert_eq!(
        objects.put_reader(&large[..10], 10).unwrap(),
        (Hash::of(&large[..10]), 10)
    );
    assert_eq!(objects.list().unwrap().0.len(), 2);

    assert!(matches!(
        objects.put_reader(&large[..11], 10),
        Err(StoreError::ObjectTooLarge { limit_bytes: 10 })
    ));
    assert!(objects.put_file(dir.path()).is_err());
    assert!(matches!(
        objects.get(&Hash::of(b"?")),
        Err(StoreError::ObjectMissing { .. })
    ));
    assert_eq!(fs::read_dir(dir.path().join("objects/tmp")).unwrap().count(), 0);

    assert!(objects.remove(&hash).unwrap() && !objects.contains(&hash) && !objects.remove(&hash).unwrap());
}

#[test]
fn damaged_bytes_are_never_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let hash = store.objects().put_bytes(b"case file").unwrap();
    let path = store.objects().path(&hash);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"case fils").unwrap();
    for error in [
        store.objects().get(&hash).unwrap_err(),
        store.objects().check(&hash).unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::ObjectDamaged { found, .. } if found == Hash::of(b"case fils")),
            "{error}"
        );
    }
}

#[test]
fn a_record_is_not_committed_without_its_objects() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let batch = || {
        Batch::new("x")
            .put(
                "c",
                &Case {
                    text: Hash::of(b"text"),
                },
            )
            .unwrap()
    };
    assert!(matches!(store.commit(batch()), Err(StoreError::ObjectMissing { .. })));
    let hash = store.objects().put_bytes(b"text").unwrap();
    store.commit(batch()).unwrap();
    assert_sound(&store);
    store.objects().remove(&hash).unwrap();
    let missing = Problem::NoObject {
        hash,
        record: "case/c".to_string(),
    };
    assert_eq!(store.verify().unwrap().problems, [missing]);
    // A record that is gone needs nothing.
    store.commit(Batch::new("x").delete::<Case>("c")).unwrap();
    assert_sound(&store);
}

#[test]
fn leftovers_of_interrupted_puts_go_at_open() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::write(dir.path().join("objects/tmp/99-0"), "half").unwrap();
    fs::write(dir.path().join("journal/.00000002.wj.99-0.tmp"), "half").unwrap();
    let (store, _) = open(dir.path());
    assert_eq!(fs::read_dir(dir.path().join("objects/tmp")).unwrap().count(), 0);
    assert_eq!(segments(dir.path()).len(), 1);
    assert_sound(&store);
}
