//! Conversations and answers as transformers has them (tests/oracle/make_chat.py).

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use wengu_tokenize::{ChatTemplate, Message, TokenizeError, Tokenizer};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat")
}

fn golden() -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(fixtures().join("golden.json")).unwrap()).unwrap()
}

/// A model folder with this template.
fn template(config: &Value) -> ChatTemplate {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    ChatTemplate::load(folder.path()).unwrap()
}

fn of(golden: &Value, key: &str) -> ChatTemplate {
    template(&json!({
        "chat_template": golden[key], "bos_token": golden["bos_token"],
        "eos_token": {"content": golden["eos_token"], "lstrip": false},
    }))
}

fn said(role: &str, content: &str) -> Message {
    Message {
        role: role.into(),
        content: content.into(),
    }
}

#[test]
fn conversations_are_written_byte_for_byte_as_transformers_writes_them() {
    for golden in golden() {
        let template = of(&golden, "template");
        for case in golden["conversations"].as_array().unwrap() {
            let messages: Vec<Message> = case["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| said(m["role"].as_str().unwrap(), m["content"].as_str().unwrap()))
                .collect();
            let add = case["add_generation_prompt"].as_bool().unwrap();
            let text = template.render(&messages, add).unwrap();
            assert_eq!(text, case["text"].as_str().unwrap(), "{}", golden["name"]);
        }
    }
}

#[test]
fn the_answers_tokens_are_those_that_the_templates_own_marks_name() {
    let tokenizer = Tokenizer::load(&fixtures()).unwrap();
    for golden in golden() {
        for key in ["template", "marked"] {
            let template = of(&golden, key);
            for case in golden["instructions"].as_array().unwrap() {
                let (question, answer) = (case["question"].as_str().unwrap(), case["answer"].as_str().unwrap());
                let found = tokenizer.instruction(&template, question, answer).unwrap();
                assert_eq!(json!(found.ids), case["ids"], "{} {key}", golden["name"]);
                let mask: Vec<u8> = found.answer.iter().map(|&answer| u8::from(answer)).collect();
                assert_eq!(json!(mask), case["mask"], "{} {key}", golden["name"]);
            }
        }
    }
}

#[test]
fn a_model_without_a_template_reads_question_empty_line_and_answer() {
    let tokenizer = Tokenizer::load(&fixtures()).unwrap();
    let plain = template(&json!({"eos_token": "</s>"}));
    let text = plain
        .render(&[said("user", "何为要约？"), said("assistant", "意思表示")], false)
        .unwrap();
    assert_eq!(text, "何为要约？\n\n意思表示</s>");
    let found = tokenizer.instruction(&plain, "何为要约？", "意思表示").unwrap();
    let answered = found.answer.iter().filter(|answer| **answer).count();
    assert!(answered > 1 && answered < found.ids.len() && found.answer.ends_with(&[true]));
}

#[test]
fn templates_that_cannot_be_learned_from_are_told() {
    let tokenizer = Tokenizer::load(&fixtures()).unwrap();
    let error = |text: &str| {
        let template = template(&json!({"chat_template": text}));
        tokenizer
            .instruction(&template, "question", "Answer")
            .unwrap_err()
            .to_string()
    };
    assert!(error("{{ messages|length }}").contains("does not begin"));
    assert!(error("{% for m in messages %}{{ m.content|lower }}{% endfor %}").contains("changes the answer"));
    assert!(error("{{ raise_exception('no system role') }}").contains("no system role"));
    let endless = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}";
    assert!(error(endless).contains("fuel"), "{}", error(endless));
    assert!(error("{{ strftime_now('%') }}").contains("no format of a time"));
    assert!(error("{{ messages|tojson(indent=10000000000000) }}").contains("does not begin"));
    assert!(error("ok\n{{ messages[0].content.nothing() }}").contains("line 2"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("chat_template.jinja"), "{% if %}").unwrap();
    assert!(matches!(
        ChatTemplate::load(folder.path()),
        Err(TokenizeError::Chat { .. })
    ));
    let config = json!({"chat_template": [{"name": "rag", "template": "x"}]});
    std::fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    assert!(
        ChatTemplate::load(folder.path())
            .err()
            .unwrap()
            .to_string()
            .contains("default")
    );
}
