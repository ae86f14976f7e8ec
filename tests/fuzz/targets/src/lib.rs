//! One function for each parser of bytes that come from outside. It may refuse what it gets; it may not panic, hang, or take what it
//! must refuse. The fuzzer calls them (`make fuzz`), and so does a test, with the files in `tests/fuzz/corpus`.

mod documents;
mod messages;
mod packages;
mod state;

/// A target: its name, which is that of its folder in the corpus too, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 10] = [
    ("audit_journal", state::audit_journal),
    ("config", packages::config),
    ("document", documents::document),
    ("frames", messages::frames),
    ("intake", documents::intake),
    ("job", messages::job),
    ("plugin_package", packages::plugin_package),
    ("records", state::records),
    ("tokenizer", packages::tokenizer),
    ("webhook", messages::webhook),
];

/// Calls the target of this name; for the fuzzer's programs.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("the name is one of TARGETS").1(data);
}
