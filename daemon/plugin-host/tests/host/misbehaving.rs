use crate::support::{HOST, Plugin, document, options};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use wengu_plugin_client::{End, Options, PluginClient, Status};

#[tokio::test]
async fn each_broken_rule_is_refused_by_name() {
    for (misdeed, check, words) in [
        ("NO_SYMBOL", "symbol", "no symbol wengu_entry_v1"),
        ("NULL_ENTRY", "size", "wengu_entry_v1()"),
        (
            "LIES_ABOUT_SIZE",
            "size",
            "sizeof(wengu_entry): the library says 8, version 1.0 has 48",
        ),
        (
            "SMALL_DESCRIPTOR",
            "size",
            "sizeof(wengu_descriptor): the library says 16, version 1.0 has 56",
        ),
        ("WRONG_MAJOR", "major", "ABI 9, this host knows ABI 1.x"),
        (
            "OTHER_VERSION",
            "descriptor",
            "`version` is \"2.0.0\" in the library and \"1.0.0\" in its manifest",
        ),
        (
            "BREAKS_ITS_PROMISE",
            "extension",
            "provides wengu.labeler/1, the library has no table",
        ),
        ("INCOMPLETE_TABLE", "extension", "null function"),
        ("CREATE_FAILS", "create", "no licence file"),
        ("CREATE_LIES", "create", "no instance"),
        ("NON_UTF8", "lists", "not UTF-8"),
        ("REPEATS_NAMES", "lists", "\"same\" stands in it twice"),
        ("NULL_ITEMS", "lists", "3 items at 0x0"),
        ("IGNORES_REFUSAL", "lists", "a name must have 1 to 1024 bytes"),
    ] {
        let (found, message) = Plugin::misbehaving(misdeed).refusal().await;
        assert_eq!(found, check, "{misdeed}: {message}");
        assert!(message.contains(words), "{misdeed}: {message}");
    }
}

#[tokio::test]
async fn a_library_with_other_bytes_is_refused() {
    let plugin = Plugin::misbehaving("NOTHING");
    let library = plugin.installed.library();
    let mut bytes = std::fs::read(&library).unwrap();
    bytes.push(0);
    std::fs::remove_file(&library).unwrap();
    std::fs::write(&library, bytes).unwrap();
    let (check, message) = plugin.refusal().await;
    assert_eq!(check, "digest");
    assert!(message.contains("its manifest says"), "{message}");
}

#[tokio::test]
async fn what_is_no_library_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("x.so");
    std::fs::write(&library, "not an ELF file").unwrap();
    let plugin = Plugin::install("tests/plugins/misbehaving/manifest.toml", &library);
    assert_eq!(plugin.refusal().await.0, "open");
}

#[tokio::test]
async fn each_way_to_die_is_named_with_its_document() {
    let plugin = Plugin::misbehaving("NOTHING");
    for (text, end) in [
        ("segfault", End::Signal { signal: 11 }),
        ("abort", End::Signal { signal: 6 }),
        ("exit", End::Exited { code: 3 }),
    ] {
        let mut client = plugin.start().await.unwrap();
        let documents = [document("fine"), document("fine"), document(text), document("fine")];
        let ended = client.label(&documents).await.unwrap_err();
        assert_eq!((ended.end.clone(), ended.document), (end, Some(2)), "{ended}");
        if text == "abort" {
            assert!(ended.to_string().contains("these are the last words"), "{ended}");
        }
        // The end is remembered, and nothing hangs on a dead process.
        assert_eq!(client.label(&documents).await.unwrap_err(), ended);
    }
}

#[tokio::test]
async fn a_hanging_plugin_is_killed_with_its_children() {
    let plugin = Plugin::misbehaving("NOTHING");
    let limits = Options {
        silence_timeout: Duration::from_secs(3),
        ..options()
    };
    let mut client = PluginClient::start(Path::new(HOST), &plugin.installed, limits)
        .await
        .unwrap();
    let begun = Instant::now();
    let ended = client.label(&[document("hang")]).await.unwrap_err();
    assert_eq!(
        ended.end,
        End::TimedOut {
            wanted: "sign of life",
            after: Duration::from_secs(3)
        }
    );
    // The output ends only when every process that holds the pipe is gone, so this shows that the group was killed.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn garbage_on_the_channel_is_a_bad_message() {
    let plugin = Plugin::misbehaving("NOTHING");
    let mut client = plugin.start().await.unwrap();
    let ended = client.label(&[document("garbage")]).await.unwrap_err();
    assert!(
        matches!(&ended.end, End::BadMessage(m) if m.contains("larger than the limit")),
        "{ended}"
    );
}

#[tokio::test]
async fn a_plugin_that_closes_its_channel_is_ended() {
    let plugin = Plugin::misbehaving("NOTHING");
    let mut client = plugin.start().await.unwrap();
    let ended = client.label(&[document("close")]).await.unwrap_err();
    assert!(!matches!(ended.end, End::TimedOut { .. } | End::StoppedByUs), "{ended}");
}

#[tokio::test]
async fn bad_results_cost_one_document() {
    let plugin = Plugin::misbehaving("NOTHING");
    let mut client = plugin.start().await.unwrap();
    let texts = [
        "bad label",
        "bad confidence",
        "bad span",
        "unknown status",
        "shout",
        "fine",
        "",
    ];
    let documents: Vec<_> = texts.iter().map(|t| document(t)).collect();
    let outcomes = client.label(&documents).await.unwrap();
    let statuses: Vec<_> = outcomes.iter().map(|o| o.as_ref().err().map(|e| e.status)).collect();
    let internal = Some(Status::Internal);
    assert_eq!(
        statuses,
        [internal, internal, internal, Some(Status::Poisoned), None, None, None]
    );
    assert!(outcomes[0].as_ref().unwrap_err().message.contains("label 7 of 1"));
    assert_eq!(outcomes[5].as_ref().unwrap()[0].confidence, 0.5);
    client.stop().await;
}

#[tokio::test]
async fn a_capability_that_is_not_there_is_unsupported() {
    let plugin = Plugin::misbehaving("NOTHING");
    let mut client = plugin.start().await.unwrap();
    let outcomes = client.segment(&["text"]).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().status, Status::Unsupported);
}

#[tokio::test]
async fn a_host_that_cannot_be_started_is_named() {
    let plugin = Plugin::misbehaving("NOTHING");
    let ended = PluginClient::start(Path::new("/nonexistent/host"), &plugin.installed, options()).await;
    assert!(matches!(ended.map(drop).unwrap_err().end, End::CouldNotStart(m) if m.contains("/nonexistent/host")));
}

#[tokio::test]
async fn a_dropped_client_leaves_no_process() {
    let plugin = Plugin::misbehaving("NOTHING");
    let client = plugin.start().await.unwrap();
    let pid = Pid::from_raw(client.process_id().unwrap() as i32);
    assert!(kill(pid, None).is_ok());
    drop(client);
    for _ in 0..100 {
        if kill(pid, None).is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("process {pid} is still there");
}

#[test]
fn the_host_refuses_to_be_run_by_hand() {
    let output = Command::new(HOST).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("is started by wengu"), "{words}");
    let with_cookie = Command::new(HOST)
        .env("WENGU_PLUGIN_HOST", "started-by-wengu")
        .output()
        .unwrap();
    assert_eq!(with_cookie.status.code(), Some(64), "without a socket it refuses too");
}
