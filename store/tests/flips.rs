//! A byte of any file of a store is flipped. It is found and named, or nothing that is served depends on it.

mod common;

use common::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wengu_store::*;

/// Bytes tried in each file, beside the first and the last.
const SAMPLES: usize = 40;

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_flipped_byte_in_any_file_is_named_or_harmless() {
    let origin = tempfile::tempdir().unwrap();
    let (store, _) = open(origin.path());
    (1..=40).for_each(|n| assert!(put(&store, &format!("k{}", n % 9), n) > 0));
    let object = store.objects().put_bytes("病历".repeat(50).as_bytes()).unwrap();
    let before = docs(&store);
    drop(store);
    let (mut journal, mut objects, mut index) = (0, 0, 0);
    for file in files(origin.path()) {
        let sound = fs::read(&file).unwrap();
        let name = file.strip_prefix(origin.path()).unwrap();
        // Of large files mostly what is not empty: there is nothing to damage in sled's padding.
        let used: Vec<usize> = (0..sound.len())
            .filter(|at| sound[*at] != 0 || sound.len() < 5000)
            .collect();
        let samples = used.iter().step_by((used.len() / SAMPLES).max(1)).chain(used.last());
        for at in samples {
            let dir = tempfile::tempdir().unwrap();
            copy(origin.path(), dir.path());
            let path = dir.path().join(name);
            let mut bad = sound.clone();
            bad[*at] ^= [0x01, 0x80, 0xff][at % 3];
            fs::write(&path, bad).unwrap();
            let context = format!("byte {at} of {}", name.display());
            if name.starts_with("journal") {
                let error = Store::open(dir.path(), options()).expect_err(&context).to_string();
                assert!(error.contains(path.to_str().unwrap()), "{context}: {error}");
                journal += 1;
                continue;
            }
            let (store, report) = Store::open(dir.path(), options()).expect(&context);
            assert_eq!(docs(&store), before, "{context}");
            let problems = store.verify().unwrap().problems;
            if name.starts_with("objects") {
                let error = store.objects().get(&object).unwrap_err();
                assert!(
                    matches!(&error, StoreError::ObjectDamaged { path: named, .. } if *named == path),
                    "{error}"
                );
                assert!(
                    matches!(&problems[..], [Problem::BadObject { why, .. }] if why.contains(path.to_str().unwrap())),
                    "{context}: {problems:?}"
                );
                objects += 1;
            } else {
                assert_eq!(problems, [], "{context}: {report:?}");
                index += u64::from(report.rebuilt.is_some() || report.replayed > 0);
            }
        }
    }
    println!("{INDEX}: found in the journal {journal}, in objects {objects}, in the index {index}");
    assert!(
        journal > 100 && objects >= SAMPLES && index > 0,
        "{journal} {objects} {index}"
    );
}
