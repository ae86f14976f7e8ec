//! What is refused, and in which words.

mod mistakes;

use mistakes::ONE_MISTAKE;
use std::path::Path;
use wengu_config::{Problems, Severity, parse};

const MINIMAL: &str = r#"
state_dir = "state"
[models.base]
path = "model"
[domains.contracts]
watch = "inbox"
model = "base"
"#;

fn refuse(text: &str) -> Problems {
    parse(text, Path::new("/etc/wengu/wengu.toml")).expect_err("a configuration with errors")
}

#[test]
fn every_mistake_of_a_file_at_once() {
    insta::assert_snapshot!(refuse(include_str!("bad.toml")));
}

#[test]
fn every_broken_line_of_a_file_at_once() {
    let text = "state_dir = state\n[models.base\npath = \"m\"\n\n[domains.contracts]\nwatch = [\"a\" \"b\"]\nmodel = 'base\n\
                watch = \"twice\"\n合同 = 1\n";
    insta::assert_snapshot!(refuse(text));
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(refuse(""));
}

#[test]
fn one_mistake_gives_one_error_at_its_key() {
    assert!(
        parse(MINIMAL, Path::new("/etc/wengu/wengu.toml"))
            .unwrap()
            .warnings
            .is_empty()
    );
    for (added, key, words) in ONE_MISTAKE {
        let problems = refuse(&format!("{MINIMAL}{added}\n"));
        let errors: Vec<_> = problems
            .list()
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        assert_eq!(errors.len(), 1, "{added}\n{problems}");
        assert!(errors[0].key.ends_with(key), "{added}\n{problems}");
        assert!(errors[0].message.contains(words), "{added}\n{problems}");
        assert!(errors[0].line > Some(1), "{added}\n{problems}");
    }
}

#[test]
fn a_socket_path_that_the_system_would_refuse() {
    let text = MINIMAL.replace("\"state\"", &format!("\"/{}\"", "s".repeat(110)));
    assert!(refuse(&text).to_string().contains("socket's path has 122 bytes"));
}

#[test]
fn names_of_any_script_and_of_bounded_length() {
    let named = |name: &str| {
        let text = MINIMAL.replace("domains.contracts", &format!("domains.\"{name}\""));
        parse(&text, Path::new("wengu.toml"))
    };
    for good in ["contracts", "合同", "病历-住院_2026", "Verträge", "9", &"病".repeat(64)] {
        assert!(named(good).unwrap().domains.contains_key(good), "{good}");
    }
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "a b",
        "-a",
        "_a",
        "a.b",
        "a\\u0000",
        "a\\n",
        "😀",
        &"病".repeat(65),
    ] {
        assert!(named(bad).is_err(), "{bad}");
    }
}

#[test]
fn files_that_are_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wengu.toml");
    let said = || wengu_config::load(&path).unwrap_err().to_string();
    assert!(said().contains("cannot be read"));
    // GBK, as an editor of another time saves it.
    std::fs::write(&path, b"state_dir = \"state\"\n# \xba\xcf\xcd\xac\n").unwrap();
    assert!(said().contains("line 2 is not UTF-8"));
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    assert!(said().contains("2097152 bytes"));
    assert!(
        wengu_config::load(dir.path())
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
}

#[test]
fn a_ring_of_second_channels_is_told_at_each_of_its_members() {
    let webhook = |name: &str, second: &str| {
        format!("[webhooks.{name}]\nurl = \"https://h/\"\nsecret_file = \"s\"\nsecond_channel = \"{second}\"\n")
    };
    let ring = [("a", "b"), ("b", "c"), ("c", "b")].map(|(name, second)| webhook(name, second));
    let text = format!("{MINIMAL}{}", ring.concat());
    let problems = parse(&text, Path::new("/etc/wengu/wengu.toml")).unwrap_err();
    let found: Vec<(&str, &str)> = problems
        .list()
        .iter()
        .map(|p| (p.key.as_str(), p.message.as_str()))
        .collect();
    let expected = [
        ("webhooks.b.second_channel", "leads back to itself: b → c → b"),
        ("webhooks.c.second_channel", "leads back to itself: c → b → c"),
    ];
    assert_eq!(found, expected);
}
