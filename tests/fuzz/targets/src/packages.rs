//! What an administrator puts there: the configuration, plugins, models.

use std::path::Path;
use wengu_plugin_package::{Manifest, Package};
use wengu_tokenize::{ChatTemplate, Message, Segment, SegmentKind, Tokenizer};

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
    let Ok(mut tokenizer) = Tokenizer::load(folder.path()) else {
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
    if let Ok(words) = tokenizer.encode_words(text, 16) {
        assert!(words.ids.len() <= 16 && words.asked.iter().all(|(place, _)| *place < 16));
    }
    // The folder has no template, so the plain one writes the conversation.
    let template = ChatTemplate::load(folder.path()).expect("the plain template");
    if let Ok(example) = tokenizer.instruction(&template, text, "第三条 applies.") {
        assert_eq!(example.ids.len(), example.answer.len());
    }
    let terms = ["Licensee".to_owned(), "室性早搏二联律".to_owned(), "€".to_owned()];
    let Ok(new) = tokenizer.new_terms(&terms) else { return };
    if let Ok(tokens) = tokenizer.append_terms(&new) {
        assert_eq!(tokens.len(), new.len());
        let _ = tokenizer.to_json();
    }
}

/// `chat_template.jinja`; what can be loaded must be able to write a conversation, or say why not.
pub fn chat_template(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("chat_template.jinja"), data).expect("a temporary file");
    let config = r#"{"bos_token": "<s>", "eos_token": {"content": "</s>"}}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), config).expect("a temporary file");
    let Ok(template) = ChatTemplate::load(folder.path()) else {
        return;
    };
    let said = |role: &str, content: &str| Message {
        role: role.into(),
        content: content.into(),
    };
    let messages = [said("user", "第三条?"), said("assistant", "It \"applies\".")];
    for generation in [false, true] {
        if let Err(error) = template.render(&messages, generation) {
            assert!(!error.to_string().is_empty());
        }
    }
}
