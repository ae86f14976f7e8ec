//! What a parser's panic becomes. The message may hold text of the document, and is told to nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use wengu_protocol::last_panic;
use wengu_protocol::reader::{Refusal, Verdict};

/// Runs a parser; its panic is a refusal.
pub fn guarded<T>(parse: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    // What a parser leaves behind half done is dropped with it: nothing outlives a document but counters.
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| {
        let place = last_panic();
        Err(Refusal::new(Verdict::Crashed, format!("its parser failed at {place}")))
    })
}
