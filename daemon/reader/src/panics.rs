//! Where the last panic was. Its message may hold text of the document, and is told to nobody.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use wengu_protocol::reader::{Refusal, Verdict};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// For [`std::panic::set_hook`].
pub fn note_panic(info: &PanicHookInfo<'_>) {
    LAST.with(|last| *last.borrow_mut() = Some(wengu_protocol::panic_place(info)));
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
