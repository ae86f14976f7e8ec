use crate::support::{HOST, Plugin, document, options};
use std::fs;
use std::path::Path;
use std::time::Duration;
use wengu_plugin_client::{Options, PluginClient};
use wengu_protocol::plugin::Enforcement;

#[tokio::test]
async fn a_plugin_reaches_nothing_but_its_own_folder() {
    let dir = tempfile::tempdir().unwrap();
    let case = dir.path().join("case.txt");
    fs::write(&case, "a case file").unwrap();
    let new = dir.path().join("new");
    let plugin = Plugin::misbehaving("NOTHING");
    let mut client = plugin.start().await.unwrap();
    let sandbox = client.ready().sandbox;
    let (case, new) = (case.to_str().unwrap(), new.to_str().unwrap());
    let mut tries = vec![
        "TRY connect".to_owned(),
        format!("TRY create {new}"),
        format!("TRY write {case}"),
        format!("TRY mkdir {new}"),
        format!("TRY remove {case}"),
        format!("TRY chmod {case}"),
        "TRY fork".into(),
        "TRY exec".into(),
        "TRY kill".into(),
    ];
    assert_eq!(sandbox.seccomp, Enforcement::Full);
    match sandbox.landlock {
        Enforcement::None => eprintln!("skipped: reading other files, since this kernel has no Landlock"),
        _ => tries.push(format!("TRY read {case}")),
    }
    for attempt in &tries {
        let outcome = client.label(&[document(attempt)]).await.unwrap().remove(0).unwrap_err();
        assert!(
            ["Operation not permitted", "Permission denied"].contains(&outcome.message.as_str()),
            "{attempt}: {}",
            outcome.message
        );
    }
    let manifest = plugin.installed.dir.join("manifest.toml");
    let own = format!("TRY read {}", manifest.display());
    let outcome = client.label(&[document(&own)]).await.unwrap().remove(0).unwrap_err();
    assert_eq!(outcome.message, "it worked", "its own folder");
    assert!(Path::new(case).exists() && !Path::new(new).exists());
    assert!(client.label(&[document("fine")]).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn what_a_plugin_does_to_itself_disturbs_no_other() {
    let good = Plugin::rust("plugins/legal-en/manifest.toml", "libwengu_plugin_legal_en.so");
    let mut good = good.start().await.unwrap();
    let clause = document("This Agreement shall be governed by the laws of the State of New York.");
    let expected = good.label(std::slice::from_ref(&clause)).await.unwrap();
    let plugin = Plugin::misbehaving("NOTHING");
    let limits = Options {
        call_timeout: Duration::from_secs(4),
        memory_mib: Some(256),
        ..options()
    };
    for misdeed in [
        "abort",
        "segfault",
        "overflow",
        "spin",
        "leak memory",
        "leak descriptors",
        "fork bomb",
        "shout",
    ] {
        let mut bad = PluginClient::start(Path::new(HOST), &plugin.installed, limits.clone())
            .await
            .unwrap();
        let misbehave = async {
            match bad.label(&[document(misdeed)]).await {
                Err(ended) => ended.end.name().to_owned(),
                Ok(mut outcomes) => match outcomes.remove(0) {
                    Ok(_) => "nothing".into(),
                    Err(e) => e.message,
                },
            }
        };
        let work = async {
            for _ in 0..20 {
                assert_eq!(
                    good.label(std::slice::from_ref(&clause)).await.unwrap(),
                    expected,
                    "{misdeed}"
                );
            }
        };
        let (end, ()) = tokio::join!(misbehave, work);
        let wanted = match misdeed {
            "abort" | "segfault" | "overflow" | "leak memory" => "crashed",
            "spin" => "timed_out",
            "leak descriptors" => "Too many open files",
            _ => "nothing",
        };
        assert_eq!(end, wanted, "{misdeed}");
    }
}

#[tokio::test]
async fn a_package_swapped_between_the_daemons_check_and_the_load_is_refused() {
    let plugin = Plugin::misbehaving("NOTHING");
    let other = Plugin::misbehaving("OTHER_VERSION");
    // Manifest and library together, so that they fit each other.
    for file in ["manifest.toml", &plugin.installed.manifest.file] {
        let path = plugin.installed.dir.join(file);
        fs::remove_file(&path).unwrap();
        fs::copy(other.installed.dir.join(file), &path).unwrap();
    }
    let (check, message) = plugin.refusal().await;
    assert_eq!(check, "manifest");
    assert!(message.contains("plugins.lock says"), "{message}");
}
