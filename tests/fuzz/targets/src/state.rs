//! What lies in the state directory and in its backups: records, the journal, and the list of a backup.

use crate::messages::same_again;
use std::path::Path;
use wengu::alerts::OutboxRecord;
use wengu::aligned::AlignedRecord;
use wengu::disk::DiskRecord;
use wengu::drift::DriftRecord;
use wengu::forget::record::ForgetRecord;
use wengu::incidents::{IncidentRecord, SilenceRecord};
use wengu::inputs::InputRecord;
use wengu::learn::sources::{ReviewRecord, SourceRecord};
use wengu::learn::tune::TuningRecord;
use wengu_store::records::{
    ContentRecord, CurrentRecord, FileRecord, PluginRecord, RunRecord, ScheduleRecord, SplitRecord, TokenRecord,
    VersionRecord,
};
use wengu_store::{Hash, IndexKind, Options, Record, Store, StoreError, audit, backup as backups};

/// The JSON of a record; the first byte says of which table.
pub fn records(data: &[u8]) {
    let Some((&table, json)) = data.split_first() else {
        return;
    };
    match table % 20 {
        0 => read::<FileRecord>(json),
        1 => read::<ContentRecord>(json),
        2 => read::<RunRecord>(json),
        3 => read::<VersionRecord>(json),
        4 => read::<CurrentRecord>(json),
        5 => read::<ScheduleRecord>(json),
        6 => read::<SplitRecord>(json),
        7 => read::<PluginRecord>(json),
        8 => read::<OutboxRecord>(json),
        9 => read::<TokenRecord>(json),
        10 => read::<DriftRecord>(json),
        11 => read::<DiskRecord>(json),
        12 => read::<AlignedRecord>(json),
        13 => read::<ForgetRecord>(json),
        14 => read::<IncidentRecord>(json),
        15 => read::<SilenceRecord>(json),
        16 => read::<TuningRecord>(json),
        17 => read::<SourceRecord>(json),
        18 => read::<ReviewRecord>(json),
        _ => read::<InputRecord>(json),
    }
}

fn read<R: Record>(json: &[u8]) {
    let Ok(record) = serde_json::from_slice::<R>(json) else {
        return;
    };
    same_again(&record);
    let _ = record.objects();
}

/// The only segment of a journal. What verifies can be exported, all of it.
pub fn audit_journal(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = folder.path().join("journal");
    std::fs::create_dir(&journal).expect("a temporary folder");
    std::fs::write(journal.join(SEGMENT), data).expect("a temporary file");
    let Ok(report) = audit::verify(folder.path(), None) else {
        return;
    };
    let mut commits = 0;
    let shown = audit::export(folder.path(), i64::MIN, |_| {
        commits += 1;
        Ok::<(), StoreError>(())
    });
    if shown.is_ok() {
        assert_eq!(commits, report.commits);
    }
}

/// As the store names its first segment.
const SEGMENT: &str = "00000001.wj";
/// Between the list of a backup and its journal.
const BETWEEN: &[u8] = b"\n--\n";
const OBJECT: &[u8] = b"the patient";

/// The first byte says how much is made to fit; then the list of a backup and, after a line that says `--`, its journal. One
/// object is there.
pub fn backup(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let between = rest.windows(BETWEEN.len()).position(|four| four == BETWEEN);
    let (list, journal) = match between {
        Some(at) => (&rest[..=at], &rest[at + BETWEEN.len()..]),
        None => (rest, &[][..]),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (folder.path().join("backup"), folder.path().join("store"));
    let name = Hash::of(OBJECT).to_string();
    let object = format!("objects/{}/{}", &name[..2], &name[2..]);
    let mut lines = list.to_vec();
    let beside = "beside/plugins/a/b".to_owned();
    let mut files = vec![(format!("journal/{SEGMENT}"), journal), (object, OBJECT)];
    files.extend((how & 4 == 4).then_some((beside, OBJECT)));
    for (path, bytes) in &files {
        let path_in = from.join(path);
        std::fs::create_dir_all(path_in.parent().expect("it is in a folder")).expect("a temporary folder");
        std::fs::write(path_in, bytes).expect("a temporary file");
        if how & 1 == 1 {
            let line = serde_json::json!({"path": path, "bytes": bytes.len(), "blake3": Hash::of(bytes)});
            lines.extend(format!("{line}\n").into_bytes());
        }
    }
    if how & 2 == 2 {
        let files = lines.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1);
        let line = serde_json::json!({"files": files, "blake3": Hash::of(&lines)});
        lines.extend(format!("{line}\n").into_bytes());
    }
    std::fs::write(from.join("BACKUP.jsonl"), &lines).expect("a temporary file");
    let checked = backups::check(&from);
    let options = Options {
        index: IndexKind::Redb,
        reserve_bytes: 0,
        ..Options::default()
    };
    let plugins = folder.path().join("plugins");
    let restored = backups::restore(&from, &to, &options, |saved| match saved.files().next() {
        None => Ok(()),
        Some(_) => saved.restore(Path::new("plugins"), &plugins),
    });
    // All that a restore leaves is a store that was found sound, or nothing.
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).expect("a temporary folder").collect();
    left.retain(|entry| {
        entry
            .as_ref()
            .is_ok_and(|entry| entry.file_name() != "backup" && entry.file_name() != "plugins")
    });
    match restored {
        Err(_) => assert!(left.is_empty(), "a restore that failed left {left:?}"),
        Ok(report) => {
            assert_eq!(checked.ok(), Some(report.clone()));
            if how & 4 == 4 {
                assert_eq!(std::fs::read(plugins.join("a/b")).expect("it was restored"), OBJECT);
            }
            assert_eq!(left.len(), 1, "{left:?}");
            reads_back(&to, options, report.last_seq);
            changed_is_refused(&from, &lines, usize::from(how) * 37);
        }
    }
}

fn reads_back(store: &Path, options: Options, last_seq: u64) {
    let (store, opened) = Store::open(store, options).expect("it was restored");
    assert_eq!(opened.last_seq, last_seq);
    assert!(store.verify().expect("it was restored").problems.is_empty());
}

/// The last line, which has the hash of those before, may be written in other ways.
fn changed_is_refused(backup: &Path, list: &[u8], at: usize) {
    let mut changed = list.to_vec();
    let before_last = list[..list.len() - 1].iter().rposition(|byte| *byte == b'\n');
    let at = at % before_last.expect("a first line");
    changed[at] ^= 1 << (at % 8);
    std::fs::write(backup.join("BACKUP.jsonl"), changed).expect("a temporary file");
    assert!(
        backups::check(backup).is_err(),
        "byte {at} of the list was changed, and it is taken"
    );
}
