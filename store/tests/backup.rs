//! Backups are whole, sound and taken while commits go on; what is not is refused by name.

mod common;

use common::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use wengu_store::*;

/// A backup of a small store with an object, and what was in it.
fn small(dir: &Path) -> (PathBuf, Model) {
    let (store, _) = open(&dir.join("store"));
    (0..30).for_each(|n| assert!(put(&store, &format!("k{}", n % 9), n) > 0));
    store.objects().put_bytes("病历".as_bytes()).unwrap();
    let report = store.backup(&dir.join("backup"), store.last_seq(), &[]).unwrap();
    assert_eq!(report.last_seq, 30);
    assert_eq!(report.files as usize + 1, files(&dir.join("backup")).len());
    (dir.join("backup"), docs(&store))
}

#[test]
fn a_backup_is_restored_as_it_was_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let (backup, before) = small(dir.path());
    let to = dir.path().join("restored");
    let report = backup::restore(&backup, &to, &options(), |_| Ok(())).unwrap();
    assert_eq!(report, backup::check(&backup).unwrap());
    let (store, opened) = open(&to);
    assert_eq!((opened.last_seq, opened.torn_tail), (30, None));
    assert_eq!(docs(&store), before);
    assert_eq!(
        store.objects().get(&Hash::of("病历".as_bytes())).unwrap(),
        "病历".as_bytes()
    );
    assert_eq!(put(&store, "next", 1), 31);
    assert_sound(&store);
}

#[test]
fn what_lies_beside_goes_along_and_is_there_before_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&dir.path().join("store"));
    put(&store, "k", 1);
    let from = dir.path().join("adapter");
    fs::write(&from, "权重").unwrap();
    fs::set_permissions(&from, fs::Permissions::from_mode(0o640)).unwrap();
    let beside = |name: &str| Beside {
        from: from.clone(),
        name: name.into(),
    };
    let backup = dir.path().join("backup");
    let names = ["versions/a/1/adapter", "versions/a/2/deep/adapter", "plugins/x"];
    let report = store.backup(&backup, store.last_seq(), &names.map(beside)).unwrap();
    assert_eq!(report.files, 4);

    let (to, back) = (dir.path().join("restored"), dir.path().join("back"));
    let mut told = Vec::new();
    let mut taken = None;
    let restored = backup::restore(&backup, &to, &options(), |saved| {
        assert!(!to.exists());
        told = saved.files().map(|(name, _)| name.to_path_buf()).collect();
        saved.restore(Path::new("versions/a/2"), &back.join("v/2"))?;
        taken = saved.restore(Path::new("versions/a/1"), &back.join("v")).err();
        Ok(())
    });
    assert_eq!(restored.unwrap(), report);
    assert_eq!(told, names.map(PathBuf::from));
    assert_eq!(files(&back), [back.join("v/2/deep/adapter")]);
    let adapter = back.join("v/2/deep/adapter");
    assert_eq!(fs::read_to_string(&adapter).unwrap(), "权重");
    assert_eq!(fs::metadata(&adapter).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(!to.join("beside").exists());
    assert_eq!(docs(&open(&to).0).len(), 1);
    assert!(matches!(taken, Some(StoreError::Taken { .. })), "{taken:?}");

    // It is checked like all else, and where it cannot be brought back no store is made.
    let to = dir.path().join("another");
    let failed = backup::restore(&backup, &to, &options(), |saved| {
        saved.restore(Path::new("plugins"), &back.join("v"))
    });
    assert!(matches!(failed, Err(StoreError::Taken { .. })) && !to.exists());
    fs::write(backup.join("beside/plugins/x"), "权熏").unwrap();
    let error = backup::check(&backup).unwrap_err().to_string();
    assert!(error.contains("beside/plugins/x"), "{error}");
}

#[test]
fn an_empty_store_has_a_backup_too() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&dir.path().join("store"));
    let backup = dir.path().join("backup");
    assert_eq!(store.backup(&backup, store.last_seq(), &[]).unwrap().last_seq, 0);
    backup::restore(&backup, &dir.path().join("restored"), &options(), |_| Ok(())).unwrap();
    assert_eq!(put(&open(&dir.path().join("restored")).0, "k", 1), 1);
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (backup, _) = small(dir.path());
    let (store, _) = open(&dir.path().join("store"));
    let taken = |result: Result<BackupReport, StoreError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    };
    taken(store.backup(&backup, store.last_seq(), &[]));
    taken(backup::restore(&backup, &dir.path().join("store"), &options(), |_| {
        Ok(())
    }));
    fs::write(dir.path().join("file"), "").unwrap();
    taken(backup::restore(&backup, &dir.path().join("file"), &options(), |_| {
        Ok(())
    }));
    // An empty directory is as good as none.
    fs::create_dir(dir.path().join("empty")).unwrap();
    backup::restore(&backup, &dir.path().join("empty"), &options(), |_| Ok(())).unwrap();
}

#[test]
fn a_backup_that_lost_a_byte_or_has_another_one_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (backup, _) = small(dir.path());
    let to = dir.path().join("restored");
    let refused = |what: &str, named: &Path| {
        let error = backup::restore(&backup, &to, &options(), |_| Ok(())).unwrap_err();
        assert!(matches!(error, StoreError::BackupDamaged { .. }), "{what}: {error}");
        assert!(error.to_string().contains(named.to_str().unwrap()), "{what}: {error}");
        assert!(!to.exists(), "{what}");
    };
    for path in files(&backup) {
        let sound = fs::read(&path).unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        fs::set_permissions(&path, permissions).unwrap();
        for step in 0..8 {
            let mut bad = sound.clone();
            bad[sound.len() * step / 8] ^= 1;
            fs::write(&path, bad).unwrap();
            refused("a flipped bit", &path);
        }
        fs::write(&path, &sound[..sound.len() - 1]).unwrap();
        refused("a lost byte", &path);
        fs::remove_file(&path).unwrap();
        refused("a lost file", &path);
        fs::write(&path, sound).unwrap();
    }
    let stray = backup.join("objects/stray");
    fs::write(&stray, "").unwrap();
    refused("a file too many", &stray);
    fs::remove_file(&stray).unwrap();
    backup::restore(&backup, &to, &options(), |_| Ok(())).unwrap();
}

#[test]
fn what_has_no_end_is_not_read_in_place_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (backup, _) = small(dir.path());
    let segment = backup.join("journal/00000001.wj");
    fs::remove_file(&segment).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &segment).unwrap();
    let error = backup::check(&backup).unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert!(error.to_string().contains("no regular file"), "{error}");
}

#[test]
fn where_no_folder_is_there_is_no_backup_rather_than_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    for nothing in [dir.path().join("nothing"), PathBuf::from("/dev/null")] {
        let error = backup::restore(&nothing, &dir.path().join("store"), &options(), |_| Ok(())).unwrap_err();
        assert!(
            !error.is_damage() && error.to_string().contains("no backup in"),
            "{error}"
        );
    }
}

#[test]
fn a_newer_backup_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (backup, _) = small(dir.path());
    let list = backup.join("BACKUP.jsonl");
    let text = fs::read_to_string(&list).unwrap().replacen(":2,", ":3,", 1);
    fs::write(&list, text).unwrap();
    let error = backup::check(&backup).unwrap_err();
    let newer = matches!(
        error,
        StoreError::BackupVersion {
            found: 3,
            supported: 2,
            ..
        }
    );
    assert!(newer, "{error}");
}

#[test]
fn a_damaged_object_does_not_get_into_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&dir.path().join("store"));
    let hash = store.objects().put_bytes(b"object").unwrap();
    let path = store.objects().path(&hash);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "0bject").unwrap();
    let error = store
        .backup(&dir.path().join("backup"), store.last_seq(), &[])
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::ObjectDamaged { path: named, .. } if *named == path),
        "{error}"
    );
    assert!(!dir.path().join("backup").exists());
}

#[test]
fn a_backup_taken_among_commits_is_the_store_after_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&dir.path().join("store"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                store.objects().put_bytes(format!("{n}").as_bytes()).unwrap();
                assert_eq!(put(&store, "k", n), n);
            }
            n
        });
        let mut last = 0;
        for round in 0..5 {
            let backup = dir.path().join(format!("backup-{round}"));
            let report = store.backup(&backup, store.last_seq(), &[]).unwrap();
            let to = dir.path().join(format!("restored-{round}"));
            backup::restore(&backup, &to, &options(), |_| Ok(())).unwrap();
            let (restored, _) = open(&to);
            let n = restored.get::<Doc>("k").unwrap().map_or(0, |doc| doc.n);
            assert_eq!(n, report.last_seq);
            assert!(n >= last);
            last = n;
            assert_sound(&restored);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(last > 0 && writer.join().unwrap() > last, "nothing went on meanwhile");
    });
}

#[test]
fn compaction_keeps_everything_and_clears_what_was_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    (0..40).for_each(|n| assert!(put(&store, &format!("k{}", n % 9), n) > 0));
    let before = docs(&store);
    drop(store);
    fs::remove_dir_all(index_dir(dir.path())).unwrap();
    fs::write(index_dir(dir.path()), "not a directory").unwrap();
    assert!(open(dir.path()).1.quarantined.is_some());
    let report = compact(dir.path(), &options()).unwrap();
    assert!(report.quarantine_bytes > 0 && report.after.disk_bytes <= report.before.disk_bytes);
    assert_eq!(fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 0);
    let (store, opened) = open(dir.path());
    assert_eq!(opened.rebuilt, None);
    assert_eq!(docs(&store), before);
    let error = compact(dir.path(), &options()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}
