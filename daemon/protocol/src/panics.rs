//! Where a panic was.

use std::panic::PanicHookInfo;

/// The file and line of a panic, from the name of the crate on: where it was built is nobody's business. The words are left out, as
/// they may hold text of a case.
pub fn panic_place(info: &PanicHookInfo<'_>) -> String {
    let Some(at) = info.location() else {
        return "an unknown place".to_owned();
    };
    let file = at.file().rsplit_once("/src/").map_or(at.file(), |(before, _)| {
        let crate_begins = before.rfind('/').map_or(0, |slash| slash + 1);
        &at.file()[crate_begins..]
    });
    format!("{file}:{}", at.line())
}
