//! Where a panic was. Its words may hold text of a case, and are told to nobody.

use std::cell::RefCell;
use std::panic::PanicHookInfo;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers where this thread panics, and prints nothing; for [`std::panic::set_hook`].
pub fn note_panic(info: &PanicHookInfo<'_>) {
    LAST.with(|last| *last.borrow_mut() = Some(panic_place(info)));
}

/// Where this thread's last panic was, once.
pub fn last_panic() -> String {
    let place = LAST.with(|last| last.borrow_mut().take());
    place.unwrap_or_else(|| UNKNOWN.to_owned())
}

const UNKNOWN: &str = "an unknown place";

/// The file and line of a panic, from the name of the crate on: where it was built is nobody's business.
pub fn panic_place(info: &PanicHookInfo<'_>) -> String {
    let Some(at) = info.location() else {
        return UNKNOWN.to_owned();
    };
    let file = at.file().rsplit_once("/src/").map_or(at.file(), |(before, _)| {
        let crate_begins = before.rfind('/').map_or(0, |slash| slash + 1);
        &at.file()[crate_begins..]
    });
    format!("{file}:{}", at.line())
}
