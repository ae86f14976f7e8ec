//! The header is what ABI.md says it is, compiles without a warning, and has the layout of its Rust mirror.

use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use wengu_plugin::abi;

const HEADER: &str = include_str!("../include/wengu_plugin.h");
const RULES: &str = include_str!("../ABI.md");

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// Compiles a source and returns what the compiler said; `run` also runs it and returns its output.
fn compile(compiler: &str, flags: &[&str], extension: &str, source: &str, run: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(format!("t.{extension}"));
    std::fs::write(&file, source).unwrap();
    let program = dir.path().join("t");
    let mut command = Command::new(compiler);
    command
        .args(["-Wall", "-Wextra", "-Wpadded", "-pedantic", "-Werror"])
        .args(flags);
    if !run {
        command.arg("-c");
    }
    let output = command
        .arg("-I")
        .arg(include())
        .arg("-o")
        .args([&program, &file])
        .output();
    let output = output.unwrap_or_else(|e| panic!("the tests need a compiler named {compiler}: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if !run {
        return String::new();
    }
    String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap()
}

#[test]
fn the_header_has_the_hash_that_abi_md_records() {
    let hash: String = Sha256::digest(HEADER).iter().map(|b| format!("{b:02x}")).collect();
    assert!(
        RULES.contains(&hash),
        "the header has changed: add a dated entry with the reason to ABI.md, with this sha256: {hash}"
    );
}

#[test]
fn c11_and_cpp17_accept_the_header_without_a_warning() {
    let source = "#include \"wengu_plugin.h\"\n#include \"wengu_plugin.h\"\n";
    compile("cc", &["-std=c11"], "c", source, false);
    compile("c++", &["-std=c++17"], "cpp", source, false);
}

/// Lines of `name value` from the header by way of C, and the same from Rust.
macro_rules! layout {
    ($c:ident, $rust:ident; $($c_type:literal => $type:ty { $($field:ident),* })+) => {
        $(
            writeln!($c, "printf(\"{0} %zu\\n\", sizeof({0}));", $c_type).unwrap();
            writeln!($rust, "{} {}", $c_type, size_of::<$type>()).unwrap();
            $(
                let name = concat!($c_type, ".", stringify!($field));
                writeln!($c, "printf(\"{name} %zu\\n\", offsetof({}, {}));", $c_type, stringify!($field)).unwrap();
                writeln!($rust, "{name} {}", offset_of!($type, $field)).unwrap();
            )*
        )+
    };
}

#[test]
fn the_rust_mirror_has_the_headers_layout() {
    let mut c =
        String::from("#include \"wengu_plugin.h\"\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n");
    let mut rust = String::new();
    layout! { c, rust;
        "wengu_status" => abi::Status {}
        "wengu_bytes" => abi::Bytes { ptr, len }
        "wengu_error" => abi::Error { size, message }
        "wengu_sink" => abi::Sink { ctx, put }
        "wengu_host" => abi::Host { size, ctx, log, keep_going }
        "wengu_descriptor" => abi::Descriptor { size, id, name, version, domain, languages, provides }
        "wengu_entry" => abi::Entry { size, abi_major, abi_minor, descriptor, create, destroy, extension }
        "wengu_segment" => abi::Segment { kind, begin, end }
        "wengu_segmenter_v1" => abi::SegmenterV1 { terms, segment }
        "wengu_vote" => abi::Vote { function, label, begin, end, confidence }
        "wengu_labeler_v1" => abi::LabelerV1 { labels, functions, label }
        "wengu_metric" => abi::Metric { name, higher_is_better, reserved }
        "wengu_prediction" => abi::Prediction { input, expected, actual }
        "wengu_score" => abi::Score { metric, reserved, value }
        "wengu_evaluator_v1" => abi::EvaluatorV1 { metrics, score }
    }
    let text = |id: &std::ffi::CStr| id.to_str().unwrap().to_owned();
    for (name, value) in [
        ("WENGU_ENTRY_SYMBOL", text(abi::ENTRY_SYMBOL)),
        ("WENGU_EXT_SEGMENTER", text(abi::EXT_SEGMENTER)),
        ("WENGU_EXT_LABELER", text(abi::EXT_LABELER)),
        ("WENGU_EXT_EVALUATOR", text(abi::EXT_EVALUATOR)),
    ] {
        writeln!(c, "printf(\"{name} %s\\n\", {name});").unwrap();
        writeln!(rust, "{name} {value}").unwrap();
    }
    use wengu_plugin::{SegmentKind, Status};
    for (name, value) in [
        ("WENGU_ABI_MAJOR", abi::ABI_MAJOR),
        ("WENGU_ABI_MINOR", abi::ABI_MINOR),
        ("WENGU_OK", 0),
        ("WENGU_E_INPUT", Status::Input as u32),
        ("WENGU_E_UNSUPPORTED", Status::Unsupported as u32),
        ("WENGU_E_CANCELLED", Status::Cancelled as u32),
        ("WENGU_E_RESOURCE", Status::Resource as u32),
        ("WENGU_E_INTERNAL", Status::Internal as u32),
        ("WENGU_E_POISONED", Status::Poisoned as u32),
        ("WENGU_SEGMENT_TEXT", SegmentKind::Text as u32),
        ("WENGU_SEGMENT_TERM", SegmentKind::Term as u32),
        ("WENGU_SEGMENT_DROP", SegmentKind::Drop as u32),
    ] {
        writeln!(c, "printf(\"{name} %u\\n\", (unsigned){name});").unwrap();
        writeln!(rust, "{name} {value}").unwrap();
    }
    c.push_str("return 0;\n}\n");
    assert_eq!(compile("cc", &["-std=c11"], "c", &c, true), rust);
}
