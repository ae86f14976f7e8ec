//! What lies in the state directory: records, and the journal.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wengu_alert::outbox::OutboxItem;
use wengu_store::StoreError;
use wengu_store::audit;
use wengu_store::records::{
    ContentRecord, CurrentRecord, FileRecord, PluginRecord, RunRecord, ScheduleRecord, SplitRecord, TokenRecord,
    VersionRecord,
};

/// The JSON of a record; the first byte says of which table.
pub fn records(data: &[u8]) {
    let Some((&table, json)) = data.split_first() else {
        return;
    };
    match table % 10 {
        0 => read::<FileRecord>(json),
        1 => read::<ContentRecord>(json),
        2 => read::<RunRecord>(json),
        3 => read::<VersionRecord>(json),
        4 => read::<CurrentRecord>(json),
        5 => read::<ScheduleRecord>(json),
        6 => read::<SplitRecord>(json),
        7 => read::<PluginRecord>(json),
        8 => read::<OutboxItem>(json),
        _ => read::<TokenRecord>(json),
    }
}

fn read<R: DeserializeOwned + Serialize>(json: &[u8]) {
    let Ok(record) = serde_json::from_slice::<R>(json) else {
        return;
    };
    let written = serde_json::to_vec(&record).expect("a record can be written");
    assert!(
        serde_json::from_slice::<R>(&written).is_ok(),
        "what was written can be read"
    );
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
