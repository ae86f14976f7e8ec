//! What lies beside the store and is checked with it: versions, and the marks, orders and receipts of what was forgotten.

use crate::forget;
use crate::layout::Layout;
use crate::learn::adopt::verify_version;
use anyhow::Result;
use wengu_store::Store;
use wengu_store::records::VersionRecord;

/// What is not as it was written, for people.
///
/// # Errors
/// The store, or a folder, cannot be read.
pub fn problems(store: &Store, layout: &Layout) -> Result<Vec<String>> {
    let mut problems = forget::problems(&layout.forget())?;
    let key = store.objects().key().map(AsRef::as_ref);
    for (at, version) in store.scan::<VersionRecord>("")? {
        let dir = layout.version(&version.domain, &version.id);
        // A version that has to go loses its record first.
        if let Err(error) = verify_version(&dir, key)
            && store.get::<VersionRecord>(&at)?.is_some()
        {
            problems.push(format!("version {} of {}: {error:#}", version.id, version.domain));
        }
    }
    Ok(problems)
}
