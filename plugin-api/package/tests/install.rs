//! Installing, finding and removing, also over what a crash or an attacker left.

use std::fs;
use std::path::{Path, PathBuf};
use wengu_plugin_package::{Installed, PackageError, find, install, list, remove};

const MANIFEST: &str = r#"
id = "org.example.contracts"
name = "Contracts"
version = "1.0.0"
domain = "legal"
abi = "1.0"
languages = ["en"]
provides = ["wengu.labeler/1"]
file = "libcontracts.so"
license = "MIT"
"#;

/// A source folder and an empty plugins folder.
fn folders(library: &[u8]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("manifest.toml"), MANIFEST).unwrap();
    fs::write(source.join("libcontracts.so"), library).unwrap();
    let plugins = dir.path().join("plugins");
    (dir, source.join("manifest.toml"), plugins)
}

fn staged(plugins: &Path) -> usize {
    let names = fs::read_dir(plugins)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with(".staging")).count()
}

#[test]
fn install_find_upgrade_and_remove() {
    let (_dir, manifest, plugins) = folders(b"one");
    assert!(list(&plugins).unwrap().is_empty());
    let one = install(&manifest, None, &plugins).unwrap();
    assert_eq!(one.dir, plugins.join("org.example.contracts/1.0.0-7692c3ad3540"));
    assert_eq!(one.verified_library().unwrap(), b"one");
    assert_eq!(find(&plugins, "org.example.contracts").unwrap(), one);
    assert_eq!(
        install(&manifest, None, &plugins).unwrap(),
        one,
        "installing the same again changes nothing"
    );

    let other = manifest.with_file_name("elsewhere.so");
    fs::write(&other, b"two").unwrap();
    let two = install(&manifest, Some(&other), &plugins).unwrap();
    assert_eq!(find(&plugins, "org.example.contracts").unwrap(), two);
    assert_eq!(one.verified_library().unwrap(), b"one", "the old version stays");
    let listed = list(&plugins).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].current.as_ref().unwrap(), &two);

    remove(&plugins, "org.example.contracts").unwrap();
    let missing = find(&plugins, "org.example.contracts").unwrap_err().to_string();
    assert!(missing.contains("installed: none"), "{missing}");
    assert_eq!(staged(&plugins), 0);
}

#[test]
fn a_wrong_digest_is_refused_before_and_after_installing() {
    let (_dir, manifest, plugins) = folders(b"one");
    fs::write(&manifest, format!("{MANIFEST}sha256 = \"{}\"\n", "0".repeat(64))).unwrap();
    assert!(matches!(
        install(&manifest, None, &plugins),
        Err(PackageError::Digest { .. })
    ));
    assert!(list(&plugins).unwrap().is_empty());

    fs::write(&manifest, MANIFEST).unwrap();
    let installed = install(&manifest, None, &plugins).unwrap();
    fs::remove_file(installed.library()).unwrap();
    fs::write(installed.library(), b"evil").unwrap();
    assert!(matches!(installed.verified_library(), Err(PackageError::Digest { .. })));
    let repaired = install(&manifest, None, &plugins).unwrap();
    assert_eq!(repaired.verified_library().unwrap(), b"one");
    assert_eq!(staged(&plugins), 0);
}

#[test]
fn an_installed_manifest_without_digest_is_refused() {
    let (_dir, manifest, _) = folders(b"one");
    let error = Installed::open(manifest.parent().unwrap()).unwrap_err();
    assert!(matches!(error, PackageError::NoDigest(_)), "{error}");
}

#[test]
fn what_a_crash_left_is_swept_and_never_listed() {
    let (_dir, manifest, plugins) = folders(b"one");
    fs::create_dir_all(plugins.join(".staging-1.0.0-7692c3ad3540")).unwrap();
    fs::write(plugins.join(".staging-1.0.0-7692c3ad3540/libcontracts.so"), b"o").unwrap();
    std::os::unix::fs::symlink("nowhere", plugins.join(".staging-current")).unwrap();
    fs::create_dir_all(plugins.join("org.example.contracts")).unwrap();
    assert!(list(&plugins).unwrap()[0].current.is_err(), "no current version yet");
    let installed = install(&manifest, None, &plugins).unwrap();
    assert_eq!(find(&plugins, "org.example.contracts").unwrap(), installed);
    assert_eq!(staged(&plugins), 0);
}

#[test]
fn ids_that_are_paths_find_nothing() {
    let (_dir, manifest, plugins) = folders(b"one");
    install(&manifest, None, &plugins).unwrap();
    for id in ["..", ".", "", "org.example.contracts/..", "/etc", ".lock"] {
        assert!(
            matches!(find(&plugins, id), Err(PackageError::NotInstalled { .. })),
            "{id}"
        );
        assert!(
            matches!(remove(&plugins, id), Err(PackageError::NotInstalled { .. })),
            "{id}"
        );
    }
}
