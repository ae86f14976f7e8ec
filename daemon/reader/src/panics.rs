//! Where the last panic was. Its message may hold text of the document, and is told to nobody.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use wengu_protocol::reader::{Refusal, Verdict};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// For [`std::panic::set_hook`].
pub fn note_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|at| {
        // From the name of the crate on: where it was built is nobody's business.
        let file = at.file().rsplit_once("/src/").map_or(at.file(), |(before, _)| {
            let crate_begins = before.rfind('/').map_or(0, |slash| slash + 1);
            &at.file()[crate_begins..]
        });
        format!("{file}:{}", at.line())
    });
    LAST.with(|last| *last.borrow_mut() = place);
}

/// Runs a parser; its panic is a refusal.
pub fn guarded<T>(parse: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    // What a parser leaves behind half done is dropped with it: nothing outlives a document but counters.
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| {
        let place = LAST.with(|last| last.borrow_mut().take());
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        Err(Refusal::new(Verdict::Crashed, format!("its parser failed at {place}")))
    })
}
