//! What an administrator puts there: the configuration, plugins, models.

use std::path::Path;
use wengu_plugin_package::{Manifest, Package};
use wengu_tokenize::{Segment, SegmentKind, Tokenizer};

/// A configuration is refused with a reason, or can be used.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match wengu_config::parse(text, Path::new("/etc/wengu/wengu.toml")) {
        Ok(config) => assert!(!config.state_dir.as_os_str().is_empty()),
        Err(problems) => assert!(problems.list().iter().all(|problem| !problem.message.is_empty())),
    }
}

/// A manifest, or a package as it is installed.
pub fn plugin_package(data: &[u8]) {
    if data.starts_with(&[0x1f, 0x8b]) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("package.tar.gz");
        std::fs::write(&path, data).expect("a temporary file");
        let _ = Package::read(&path, None);
    } else if let Ok(text) = std::str::from_utf8(data) {
        let _ = Manifest::parse(text);
    }
}

/// `tokenizer.json`; what can be loaded must be able to encode, whatever it makes of the text.
pub fn tokenizer(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("tokenizer.json"), data).expect("a temporary file");
    let Ok(tokenizer) = Tokenizer::load(folder.path()) else {
        return;
    };
    let text = "The Licensee 第三条 shall pay €5.";
    let whole = Segment {
        begin: 0,
        end: text.len() as u32,
        kind: SegmentKind::Term,
    };
    for segments in [&[][..], &[whole]] {
        if let Ok(ids) = tokenizer.encode(text, segments, 16) {
            assert!(ids.len() <= 16, "{} tokens where 16 are allowed", ids.len());
        }
    }
}
