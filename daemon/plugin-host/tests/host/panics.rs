use crate::support::{HOST, Plugin, document, options};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wengu_plugin_client::{End, Options, PluginClient, Status};
use wengu_protocol::plugin::{HOST_COOKIE, PLUGIN_PROTOCOL, Reply, Request, read_frame, write_frame};

fn plugin() -> Plugin {
    Plugin::rust("tests/plugins/panics/manifest.toml", "libwengu_plugin_panics.so")
}

#[tokio::test]
async fn a_panic_costs_one_document_and_the_instance() {
    let plugin = plugin();
    let mut client = plugin.start().await.unwrap();
    let outcomes = client.segment(&["count", "panic", "count", "good"]).await.unwrap();
    let words: Vec<_> = outcomes
        .iter()
        .map(|o| o.as_ref().err().map(|e| (e.status, e.message.as_str())))
        .collect();
    let want = [
        Some((Status::Input, "call 1")),
        Some((Status::Poisoned, "panicked: call 2 went wrong")),
        // A new instance counts anew.
        Some((Status::Input, "call 1")),
        None,
    ];
    assert_eq!(words, want);
    client.stop().await;
}

#[tokio::test]
async fn a_refusing_or_panicking_create_is_a_refusal() {
    let plugin = plugin();
    for (config, words) in [
        (serde_json::json!({"refuse": "太冷"}), "refuse is \"太冷\""),
        (serde_json::json!({"panic": 1}), "panicked: as configured"),
    ] {
        let ended = plugin.start_with(config).await.map(drop).unwrap_err();
        let End::Refused { check, message } = &ended.end else {
            panic!("{ended}")
        };
        assert_eq!(check, "create");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn memory_beyond_the_limit_ends_the_process() {
    let plugin = plugin();
    let mut client = plugin.start().await.unwrap();
    let ended = client.segment(&["leak"]).await.unwrap_err();
    assert_eq!(ended.end, End::Signal { signal: 6 });
    assert!(
        ended.output.iter().any(|line| line.contains("memory allocation of")),
        "{:?}",
        ended.output
    );
}

#[tokio::test]
async fn heartbeats_prolong_the_silence_but_not_the_call() {
    let plugin = plugin();
    let (silence_timeout, call_timeout) = (Duration::from_secs(2), Duration::from_secs(6));
    let limits = Options {
        silence_timeout,
        call_timeout,
        ..options()
    };
    let mut client = PluginClient::start(Path::new(HOST), &plugin.installed, limits)
        .await
        .unwrap();
    let ended = client.segment(&["good", "beat"]).await.unwrap_err();
    assert_eq!(
        ended.end,
        End::TimedOut {
            wanted: "result",
            after: call_timeout
        }
    );
    assert_eq!(ended.document, Some(1));
}

#[tokio::test]
async fn the_channel_is_not_the_plugins_standard_input() {
    let plugin = plugin();
    let mut client = plugin.start().await.unwrap();
    let outcomes = client.segment(&["stdin", "good"]).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().message, "0 lines on standard input");
    assert!(outcomes[1].is_ok());
}

#[tokio::test]
async fn a_document_beyond_a_frame_costs_itself() {
    let plugin = plugin();
    let mut client = plugin.start().await.unwrap();
    let large = "x".repeat(17 << 20);
    let controls = "\u{1}".repeat(4 << 20);
    let outcomes = client.segment(&["good", &large, &controls, "good"]).await.unwrap();
    // Characters that JSON would write six times longer are no longer than others.
    assert!([0, 2, 3].iter().all(|place| outcomes[*place].is_ok()));
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!(error.status, Status::Input);
    assert!(error.message.contains("larger than the limit"), "{error}");
}

#[test]
fn a_host_goes_when_its_daemon_is_gone_even_from_a_hanging_plugin() {
    let plugin = plugin();
    let (daemon, theirs) = UnixStream::pair().unwrap();
    let mut host = Command::new(HOST)
        .env(HOST_COOKIE.0, HOST_COOKIE.1)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    let hello = Request::Hello {
        protocol: PLUGIN_PROTOCOL,
        plugin_dir: plugin.installed.dir.clone(),
        package_sha256: plugin.installed.package_sha256.clone(),
        config: "{}".into(),
        memory_mib: None,
    };
    write_frame(&daemon, &hello).unwrap();
    assert!(matches!(read_frame(&daemon).unwrap(), Reply::Ready(_)));
    write_frame(
        &daemon,
        &Request::Read {
            documents: vec![document("sleep")],
            segments: true,
            votes: false,
        },
    )
    .unwrap();
    // As when the daemon is killed: the kernel closes its end, and nobody kills the host.
    drop(daemon);
    for _ in 0..400 {
        if let Some(status) = host.try_wait().unwrap() {
            assert_eq!(status.signal(), Some(9));
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    host.kill().unwrap();
    panic!("the host outlived its daemon");
}

#[test]
fn a_host_of_another_protocol_is_refused() {
    let (daemon, theirs) = UnixStream::pair().unwrap();
    let mut host = Command::new(HOST)
        .env(HOST_COOKIE.0, HOST_COOKIE.1)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    let hello = Request::Hello {
        protocol: 99,
        plugin_dir: "x".into(),
        package_sha256: String::new(),
        config: "{}".into(),
        memory_mib: None,
    };
    write_frame(&daemon, &hello).unwrap();
    let Reply::Refused { check, message } = read_frame(&daemon).unwrap() else {
        panic!("not refused")
    };
    assert_eq!(check, "protocol");
    assert!(message.contains("protocol 99"), "{message}");
    assert_eq!(host.wait().unwrap().code(), Some(70));
}
