//! One function for each parser of bytes that come from outside. It may refuse what it gets; it may not panic, hang, or take what it
//! must refuse. The fuzzer calls them (`make fuzz`), and so does a test, with the files in `tests/fuzz/corpus`.

mod answers;
mod documents;
mod forgetting;
mod http;
mod messages;
mod models;
mod packages;
mod sealed;
mod state;

use std::sync::{Mutex, Once, PoisonError};

/// A target: its name, which is that of its folder in the corpus too, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 17] = [
    ("answers", answers::answers),
    ("audit_journal", state::audit_journal),
    ("backup", state::backup),
    ("chat_template", packages::chat_template),
    ("config", packages::config),
    ("document", documents::document),
    ("forgetting", forgetting::forgetting),
    ("frames", messages::frames),
    ("http", http::http),
    ("intake", documents::intake),
    ("job", messages::job),
    ("model_files", models::model_files),
    ("plugin_package", packages::plugin_package),
    ("records", state::records),
    ("sealed", sealed::sealed),
    ("tokenizer", packages::tokenizer),
    ("webhook", messages::webhook),
];

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Calls the target of this name; for the fuzzer's programs. Panics that the product catches are none: libFuzzer's own hook would end
/// the process at each of them.
pub fn run(name: &str, data: &[u8]) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
    });
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("the name is one of TARGETS");
    if std::panic::catch_unwind(|| target(data)).is_err() {
        eprintln!("{}", LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
}
