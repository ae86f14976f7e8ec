//! What the file system says to a configuration that is right in itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use wengu_config::{Problem, check_environment, load};

const TEXT: &str = r#"state_dir = "state"
[models.base]
path = "model"
[domains.contracts]
watch = ["inbox"]
model = "base"
[domains."合同"]
watch = ["收件"]
model = "base"
[webhooks.oncall]
url = "https://alerts.example.org/"
secret_file = "secret"
"#;

/// A folder in which all that the configuration names is there.
fn complete() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("wengu.toml"), TEXT).unwrap();
    for folder in ["model", "inbox", "收件"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::write(dir.path().join("model").join(file), "x").unwrap();
    }
    let secret = dir.path().join("secret");
    fs::write(&secret, "whsec_x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    dir
}

fn check(dir: &Path) -> Vec<Problem> {
    check_environment(&load(&dir.join("wengu.toml")).unwrap_or_else(|problems| panic!("{problems}")))
}

/// The only problem after a change, as key, line and message.
fn after(change: impl FnOnce(&Path)) -> (String, Option<u32>, String) {
    let dir = complete();
    change(dir.path());
    let problems = check(dir.path());
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let problem = problems.into_iter().next().unwrap();
    (problem.key, problem.line, problem.message)
}

#[test]
fn nothing_is_missed_where_all_is_there() {
    let dir = complete();
    assert_eq!(check(dir.path()), []);
    assert!(!dir.path().join("state").exists(), "a check makes nothing");
}

#[test]
fn all_that_is_missing_at_once() {
    let dir = complete();
    for gone in ["model", "inbox", "收件"] {
        fs::remove_dir_all(dir.path().join(gone)).unwrap();
    }
    fs::remove_file(dir.path().join("secret")).unwrap();
    fs::write(dir.path().join("state"), "a file").unwrap();
    let problems = check(dir.path());
    let found: Vec<(&str, Option<u32>)> = problems.iter().map(|p| (p.key.as_str(), p.line)).collect();
    let expected = [
        ("state_dir", Some(1)),
        ("domains.contracts.watch", Some(5)),
        ("domains.合同.watch", Some(8)),
        ("models.base.path", Some(3)),
        ("webhooks.oncall.secret_file", Some(12)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn one_thing_at_a_time() {
    let (key, line, message) = after(|dir| fs::remove_file(dir.join("model/tokenizer.json")).unwrap());
    assert_eq!((key.as_str(), line), ("models.base.path", Some(3)));
    assert!(message.ends_with("model/tokenizer.json is not there"));

    let (key, _, message) = after(|dir| {
        fs::set_permissions(dir.join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    });
    assert_eq!(key, "webhooks.oncall.secret_file");
    assert!(message.contains("open to every user (mode 644)"));

    let (key, _, message) = after(|dir| {
        fs::create_dir(dir.join("state")).unwrap();
        fs::write(dir.join("state/wengu.sock"), "").unwrap();
    });
    assert_eq!(key, "socket");
    assert!(message.contains("is no socket"));

    let (key, _, message) = after(|dir| {
        fs::write(
            dir.join("wengu.toml"),
            format!("{TEXT}[trainer]\ncommand = ['no-such-program']\n"),
        )
        .unwrap();
    });
    assert_eq!(
        (key.as_str(), message.as_str()),
        ("trainer.command", "`no-such-program` cannot be run")
    );

    let (key, _, message) = after(|dir| {
        fs::write(
            dir.join("wengu.toml"),
            format!("{TEXT}[reader]\nocr_command = ['no-such-program']\n"),
        )
        .unwrap();
    });
    assert_eq!(
        (key.as_str(), message.as_str()),
        ("reader.ocr_command", "`no-such-program` cannot be run")
    );
}

#[test]
fn folders_that_meet_by_a_symbolic_link() {
    let (key, _, message) = after(|dir| {
        fs::remove_dir(dir.join("收件")).unwrap();
        fs::create_dir(dir.join("inbox/inner")).unwrap();
        symlink(dir.join("inbox/inner"), dir.join("收件")).unwrap();
    });
    assert_eq!(key, "domains.合同.watch");
    assert!(
        message.contains("leads into") && message.contains("symbolic link"),
        "{message}"
    );

    let (key, _, message) = after(|dir| {
        fs::create_dir(dir.join("state")).unwrap();
        fs::remove_dir(dir.join("inbox")).unwrap();
        symlink(dir.join("state"), dir.join("inbox")).unwrap();
    });
    assert_eq!(key, "domains.contracts.watch");
    assert!(message.contains("the state folder"), "{message}");
}

#[test]
fn roles_and_tls_are_looked_at() {
    let dir = complete();
    let text = format!(
        "{TEXT}[api]\nviewers = [\"no-such-user\", \"@root\"]\nadmins = [\"@no-such-group\"]\n\
         [api.tcp]\nlisten = \"127.0.0.1:8443\"\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n"
    );
    fs::write(dir.path().join("wengu.toml"), text).unwrap();
    fs::write(dir.path().join("tls.key"), "x").unwrap();
    fs::set_permissions(dir.path().join("tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let found: Vec<(String, String)> = check(dir.path()).into_iter().map(|p| (p.key, p.message)).collect();
    let said = |key: &str, words: &str| found.iter().any(|(k, message)| k == key && message.contains(words));
    assert!(
        said("api.viewers", "this machine has no user no-such-user"),
        "{found:?}"
    );
    assert!(
        said("api.admins", "this machine has no group no-such-group"),
        "{found:?}"
    );
    assert!(said("api.tcp.certificate", "tls.pem is not there"), "{found:?}");
    assert!(said("api.tcp.key", "open to every user (mode 644)"), "{found:?}");
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn jobs_of_an_encrypted_store_belong_into_memory() {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    let on_disk = |path: &Path| statfs(path).unwrap().filesystem_type() != TMPFS_MAGIC;
    let warned = |dir: &Path, jobs: &str| -> Vec<String> {
        let text = format!("{TEXT}[encryption]\nkey_file = \"wengu.key\"\n[trainer]\n{jobs}\n");
        fs::write(dir.join("wengu.toml"), text).unwrap();
        check(dir).into_iter().map(|problem| problem.key).collect()
    };
    let dir = complete();
    let shm = Path::new("/dev/shm");
    if on_disk(dir.path()) {
        assert_eq!(warned(dir.path(), ""), ["trainer.jobs_dir"]);
    }
    if shm.exists() && !on_disk(shm) {
        assert_eq!(
            warned(dir.path(), "jobs_dir = \"/dev/shm/wengu-jobs\""),
            Vec::<String>::new()
        );
    }
}
