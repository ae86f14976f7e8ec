//! Plugins under a daemon that runs: installed, replaced, failing, brought back.

use crate::harness::{Site, root};
use crate::webhook::{free_port, listen, site_with_webhook};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a C plugin from `source` into a folder of the site, with nothing but the header.
fn compile(site: &Site, folder: &str, library: &str, source: &str, manifest: &str) -> PathBuf {
    let dir = site.path(folder);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("plugin.c"), source).unwrap();
    fs::write(dir.join("manifest.toml"), manifest).unwrap();
    let include = root().join("plugin-api/include");
    let status = Command::new("cc")
        .args(["-std=c11", "-fPIC", "-shared", "-I"])
        .arg(&include)
        .arg("-o")
        .args([dir.join(library), dir.join("plugin.c")])
        .status()
        .expect("the tests need a C compiler named cc");
    assert!(status.success());
    dir
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn weather(site: &Site, version: &str, sun: &str) -> PathBuf {
    let source = read("examples/plugin-c/weather.c")
        .replace("\"1.0.0\"", &format!("\"{version}\""))
        .replace("\"snow\", \"sun\"}", &format!("\"snow\", \"{sun}\"}}"));
    let manifest = read("examples/plugin-c/manifest.toml").replace("1.0.0", version);
    compile(site, &format!("weather-{version}"), "libweather.so", &source, &manifest)
}

pub fn install(site: &Site, dir: &Path) {
    let done = site.wengu(&["plugin", "install", "--allow-unsigned", dir.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

pub fn use_plugin(site: &Site, id: &str) {
    site.rewrite("model = \"base\"\n", &format!("model = \"base\"\nplugin = \"{id}\"\n"));
}

fn problems(site: &Site) -> String {
    site.json(&["status"])["domains"][0]["problems"].to_string()
}

fn label(site: &Site, name: &str) -> serde_json::Value {
    let path = site.path("inbox").join(name);
    site.json(&["files", "explain", path.to_str().unwrap()])["examples"][0]["label"].clone()
}

#[test]
fn a_running_daemon_takes_a_new_plugin_and_reads_again_what_gave_nothing() {
    let mut site = Site::new("");
    use_plugin(&site, "org.example.weather");
    site.start();
    site.drop_file("monday.txt", b"Heavy rain is expected in the north.");
    site.drop_file("tuesday.txt", b"A day of bright intervals.");
    site.until("the daemon says what the files wait for", |s| {
        problems(s).contains("no plugin") && s.files().get("ingested") == Some(&2)
    });

    install(&site, &weather(&site, "1.0.0", "sun"));
    site.until("the plugin has read both", |s| {
        s.files().get("pooled") == Some(&1) && s.files().get("unlabelled") == Some(&1)
    });
    assert_eq!(label(&site, "monday.txt"), "rain");
    assert_eq!(problems(&site), "[]");

    install(&site, &weather(&site, "1.1.0", "bright"));
    site.until("the new version has labelled the other", |s| {
        s.files().get("pooled") == Some(&2)
    });
    assert_eq!(label(&site, "tuesday.txt"), "sunshine");
    let path = site.path("inbox/tuesday.txt");
    let explained = site.json(&["files", "explain", path.to_str().unwrap()]);
    assert!(explained["reading"].to_string().contains("org.example.weather 1.1.0"));
}

#[test]
fn three_crashes_quarantine_the_plugin_with_an_alert_and_enable_brings_it_back() {
    let port = free_port();
    let mut site = site_with_webhook(port);
    let mut receiver = listen(&site, port, "1");
    use_plugin(&site, "org.example.weather");
    let good = read("examples/plugin-c/weather.c");
    let manifest = read("examples/plugin-c/manifest.toml");
    let wild = "if (contains(text, \"hurricane\")) *(volatile int *)0 = 1;\n  if (text.len == 0) {";
    let bad = good.replacen("if (text.len == 0) {", wild, 1);
    assert_ne!(bad, good);
    install(&site, &compile(&site, "bad", "libweather.so", &bad, &manifest));
    site.start();
    for (file, place) in [("a.txt", "north"), ("b.txt", "south"), ("c.txt", "west")] {
        site.drop_file(file, format!("A hurricane with rain in the {place}.").as_bytes());
    }
    let mut line = String::new();
    BufReader::new(receiver.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(receiver.wait().unwrap().success());
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["type"], "wengu.plugin.quarantined", "{event}");
    assert_eq!(event["data"]["failure"], "crashed");
    assert_eq!(event["data"]["failures"], 3);

    // The quarantine outlives the daemon; files wait, and none is set aside for the plugin's fault.
    site.stop();
    site.start();
    site.drop_file("d.txt", b"More rain is on its way.");
    site.until("the daemon says what the files wait for", |s| {
        problems(s).contains("wengu plugin enable org.example.weather") && s.files().get("ingested") == Some(&4)
    });

    let mended = compile(&site, "mended", "libweather.so", &good, &manifest);
    install(&site, &mended);
    let enabled = site.json(&["plugin", "enable", "org.example.weather"]);
    assert_eq!(enabled["failures"], 3);
    site.until("all files are labelled", |s| s.files().get("pooled") == Some(&4));
    assert_eq!(problems(&site), "[]");
    let again = site.wengu(&["plugin", "enable", "org.example.weather"]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not quarantined"));
}

#[test]
fn installed_plugins_are_told_verified_and_removed() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new("");
    install(&site, &weather(&site, "1.0.0", "sun"));
    let info = site.json(&["plugin", "info", "org.example.weather"]);
    assert_eq!(info["manifest"]["version"], "1.0.0");
    assert_eq!(site.json(&["plugin", "verify"])[0]["ok"], true);

    // One byte of the installed library changes behind wengu's back.
    let library = PathBuf::from(info["dir"].as_str().unwrap()).join("libweather.so");
    fs::set_permissions(&library, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(&library).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&library, bytes).unwrap();
    let verified = site.wengu(&["plugin", "verify", "org.example.weather"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("BROKEN"));

    use_plugin(&site, "org.example.weather");
    let refused = site.wengu(&["plugin", "remove", "org.example.weather"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("contracts"));
    let removed = site.wengu(&["plugin", "remove", "org.example.weather", "--force"]);
    assert!(removed.status.success());
    let gone = site.wengu(&["plugin", "info", "org.example.weather"]);
    assert!(String::from_utf8_lossy(&gone.stderr).contains("installed: none"));
}

#[test]
fn a_new_plugin_builds_installs_and_labels_as_it_is() {
    for lang in ["c", "rust"] {
        let mut site = Site::new("");
        let dir = site.path("triage");
        let made = site.json(&[
            "plugin",
            "new",
            "triage",
            "--lang",
            lang,
            "--dir",
            dir.to_str().unwrap(),
        ]);
        assert_eq!(made["id"], "org.example.triage");
        // The versions that this workspace was built with are at hand without a network.
        fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        let built = Command::new("make")
            .arg("-C")
            .arg(&dir)
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("the tests need make");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let checked = site.json(&["plugin", "check", dir.to_str().unwrap()]);
        assert_eq!(checked["passed"], true, "{checked}");
        install(&site, &dir);
        use_plugin(&site, "org.example.triage");
        site.start();
        site.drop_file("a.txt", b"Please see this patient immediately.");
        site.drop_file("b.txt", "例行检查，无不适。".as_bytes());
        site.until("both are labelled", |s| s.files().get("pooled") == Some(&2));
        assert_eq!(label(&site, "a.txt"), "urgent");
        assert_eq!(label(&site, "b.txt"), "routine");
        site.stop();
    }
}

/// Packs the weather plugin and signs it as `minisign -Sm` does.
fn signed(site: &Site, version: &str, pair: &minisign::KeyPair) -> PathBuf {
    let out = site.path(&format!("packed-{version}"));
    let source = weather(site, version, "sun");
    let packed = site.wengu(&[
        "plugin",
        "pack",
        source.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let text = fs::read(out.join("manifest.toml")).unwrap();
    let signature = minisign::sign(None, &pair.sk, std::io::Cursor::new(text), None, None).unwrap();
    fs::write(out.join("manifest.toml.minisig"), signature.into_string()).unwrap();
    out
}

#[test]
fn signed_plugins_are_upgraded_rolled_back_and_disabled_under_a_daemon() {
    let mut site = Site::new("");
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let one = signed(&site, "1.0.0", &pair);
    let refused = site.wengu(&["plugin", "install", one.to_str().unwrap()]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("[plugins] keys"));

    use_plugin(&site, "org.example.weather");
    let keys = format!("[plugins]\nkeys = [\"{}\"]\n[trainer]\n", pair.pk.to_base64());
    site.rewrite("[trainer]\n", &keys);
    let installed = site.json(&["plugin", "install", one.to_str().unwrap()]);
    assert_eq!(installed["signed_by"].as_str().unwrap().len(), 16);
    site.start();
    assert_eq!(site.json(&["status"])["unsigned_plugins"].to_string(), "[]");

    let two = signed(&site, "1.1.0", &pair);
    let upgraded = site.json(&["plugin", "upgrade", two.to_str().unwrap()]);
    assert_eq!(upgraded["before"], "1.0.0");
    let older = site.wengu(&["plugin", "upgrade", one.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&older.stderr).contains("is not newer"));
    site.drop_file("a.txt", b"Heavy rain is expected in the north.");
    site.until("the upgrade labels", |s| s.files().get("pooled") == Some(&1));
    let reading = |site: &Site, name: &str| {
        let path = site.path("inbox").join(name);
        site.json(&["files", "explain", path.to_str().unwrap()])["reading"].to_string()
    };
    assert!(reading(&site, "a.txt").contains("org.example.weather 1.1.0"));

    site.json(&["plugin", "disable", "org.example.weather"]);
    site.drop_file("b.txt", b"More rain is on its way.");
    site.until("the file waits for the disabled plugin", |s| {
        problems(s).contains("is disabled") && s.files().get("ingested") == Some(&1)
    });
    let back = site.json(&["plugin", "rollback", "org.example.weather"]);
    assert_eq!((&back["version"], &back["before"]), (&"1.0.0".into(), &"1.1.0".into()));
    site.json(&["plugin", "enable", "org.example.weather"]);
    site.until("the plugin that was rolled back labels", |s| {
        s.files().get("pooled") == Some(&2)
    });
    assert!(reading(&site, "b.txt").contains("org.example.weather 1.0.0"));

    // Unsigned it goes in only by force, and the status goes on telling.
    let unsigned = weather(&site, "2.0.0", "sun");
    let refused = site.wengu(&["plugin", "install", unsigned.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not signed"));
    install(&site, &unsigned);
    let status = site.wengu(&["status"]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        said.contains("plugins that nobody signed: org.example.weather 2.0.0"),
        "{said}"
    );
}
