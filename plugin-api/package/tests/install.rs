//! Installing, finding and removing, also over what a crash or an attacker left.

use minisign::KeyPair;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use wengu_plugin_package::{Installed, Keys, LOCK_FILE, Package, PackageError, PluginFolder, SIGNATURE_FILE};

const ID: &str = "org.example.contracts";
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

struct Place {
    dir: tempfile::TempDir,
    pair: KeyPair,
}

impl Place {
    fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
            pair: KeyPair::generate_unencrypted_keypair().unwrap(),
        }
    }

    /// A package in a folder of its own.
    fn package(&self, version: &str, library: &[u8]) -> PathBuf {
        let source = self.dir.path().join(format!("source-{version}"));
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("manifest.toml"), MANIFEST.replace("1.0.0", version)).unwrap();
        fs::write(source.join("libcontracts.so"), library).unwrap();
        source
    }

    /// The same, packed and signed.
    fn signed(&self, version: &str, library: &[u8]) -> PathBuf {
        let packed = self.dir.path().join(format!("packed-{version}"));
        read(&self.package(version, library)).write_to(&packed).unwrap();
        let text = fs::read(packed.join("manifest.toml")).unwrap();
        let signature = minisign::sign(None, &self.pair.sk, Cursor::new(text), None, None).unwrap();
        fs::write(packed.join(SIGNATURE_FILE), signature.into_string()).unwrap();
        packed
    }

    fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// Trusting nobody.
    fn folder(&self) -> PluginFolder {
        PluginFolder::new(self.plugins(), Keys::default())
    }

    /// Trusting this place's key.
    fn trusting(&self) -> PluginFolder {
        PluginFolder::new(self.plugins(), Keys::parse(&[self.pair.pk.to_base64()]).unwrap())
    }
}

fn read(path: &Path) -> Package {
    Package::read(path, None).unwrap()
}

fn staged(plugins: &Path) -> usize {
    let names = fs::read_dir(plugins)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with(".staging")).count()
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn install_find_upgrade_roll_back_and_remove() {
    let place = Place::new();
    let folder = place.folder();
    assert!(folder.list().unwrap().is_empty());
    let source = place.package("1.0.0", b"one");
    let one = folder.install(&read(&source), true).unwrap();
    assert_eq!(one.before, None);
    let one = one.installed;
    assert_eq!(one.dir, place.plugins().join(ID).join(&one.package_sha256));
    assert_eq!(one.verified_library().unwrap(), b"one");
    assert_eq!(folder.find(ID).unwrap(), one);
    let again = folder.install(&read(&source), true).unwrap();
    assert_eq!(
        (again.installed, again.before),
        (one.clone(), None),
        "the same again changes nothing"
    );

    let elsewhere = place.dir.path().join("elsewhere.so");
    fs::write(&elsewhere, b"two").unwrap();
    let newer = place.package("1.10.0", b"ignored");
    let two = folder
        .upgrade(&Package::read(&newer, Some(&elsewhere)).unwrap(), true)
        .unwrap();
    assert_eq!(two.before.as_deref(), Some("1.0.0"));
    assert_eq!(folder.find(ID).unwrap(), two.installed);
    assert_eq!(two.installed.verified_library().unwrap(), b"two");
    assert_eq!(one.verified_library().unwrap(), b"one", "the old version stays");
    let older = folder.upgrade(&read(&place.package("1.9.0", b"x")), true).unwrap_err();
    assert!(matches!(older, PackageError::NotNewer { .. }), "1.9 < 1.10: {older}");

    assert_eq!(folder.rollback(ID, None).unwrap().installed, one);
    assert_eq!(folder.usable(ID).unwrap(), one);
    let none = folder.rollback(ID, None).unwrap_err();
    assert!(none.to_string().contains("installed: 1.0.0, 1.10.0"), "{none}");
    assert_eq!(folder.rollback(ID, Some("1.10.0")).unwrap(), {
        let mut change = two.clone();
        change.before = Some("1.0.0".into());
        change
    });
    let listed = folder.list().unwrap();
    assert_eq!(listed[0].versions, ["1.0.0", "1.10.0"]);
    assert_eq!(listed[0].current.as_ref().unwrap(), &two.installed);

    folder.remove(ID).unwrap();
    let missing = folder.find(ID).unwrap_err().to_string();
    assert!(missing.contains("installed: none"), "{missing}");
    assert!(!place.plugins().join(ID).exists());
    assert_eq!(staged(&place.plugins()), 0);
}

#[test]
fn a_disabled_plugin_is_found_and_not_used() {
    let place = Place::new();
    let folder = place.folder();
    folder.install(&read(&place.package("1.0.0", b"one")), true).unwrap();
    assert!(folder.set_enabled(ID, false).unwrap());
    assert!(!folder.set_enabled(ID, false).unwrap());
    assert!(matches!(folder.usable(ID), Err(PackageError::Disabled(_))));
    assert!(folder.find(ID).is_ok());
    let upgraded = folder.upgrade(&read(&place.package("2.0.0", b"two")), true).unwrap();
    assert_eq!(upgraded.before.as_deref(), Some("1.0.0"));
    assert!(
        matches!(folder.usable(ID), Err(PackageError::Disabled(_))),
        "an upgrade enables nothing"
    );
    assert!(folder.set_enabled(ID, true).unwrap());
    assert_eq!(folder.usable(ID).unwrap(), upgraded.installed);
}

#[test]
fn only_what_a_trusted_key_signed_goes_in() {
    let place = Place::new();
    let unsigned = read(&place.package("1.0.0", b"one"));
    let refused = place.trusting().install(&unsigned, false).unwrap_err().to_string();
    assert!(refused.contains("--allow-unsigned"), "{refused}");

    let packed = place.signed("1.0.0", b"one");
    let refused = place.folder().install(&read(&packed), false).unwrap_err();
    assert!(matches!(refused, PackageError::UnknownKey { .. }), "{refused}");
    let unknown = place.folder().install(&read(&packed), true).unwrap().installed;
    assert_eq!(unknown.signed_by, None, "a stranger's signature counts as none");

    let installed = place.trusting().install(&read(&packed), false).unwrap().installed;
    let key = installed.signed_by.clone().unwrap();
    assert_eq!(place.trusting().find(ID).unwrap(), installed);
    assert_eq!(
        place.trusting().list().unwrap()[0].signed_by.as_deref(),
        Some(key.as_str())
    );
    let untrusted = place.folder().usable(ID).unwrap_err().to_string();
    assert!(
        untrusted.contains(&key),
        "a key taken out of the configuration: {untrusted}"
    );

    // A byte of the signed manifest changed; not even --allow-unsigned takes that.
    let manifest = packed.join("manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    overwrite(&manifest, text.replace("Contracts", "contracts").as_bytes());
    for allow in [false, true] {
        let refused = place.trusting().install(&read(&packed), allow).unwrap_err();
        assert!(matches!(refused, PackageError::BadSignature { .. }), "{refused}");
    }
    assert_eq!(place.trusting().find(ID).unwrap(), installed);
}

#[test]
fn a_signature_vouches_for_the_library_too() {
    let place = Place::new();
    let packed = place.signed("1.0.0", b"one");
    overwrite(&packed.join("libcontracts.so"), b"evil");
    assert!(matches!(Package::read(&packed, None), Err(PackageError::Digest { .. })));

    let source = place.package("2.0.0", b"two");
    fs::copy(packed.join(SIGNATURE_FILE), source.join(SIGNATURE_FILE)).unwrap();
    let error = Package::read(&source, None).unwrap_err();
    assert!(
        matches!(error, PackageError::NoDigest(_)),
        "a signature of no bytes: {error}"
    );
}

#[test]
fn what_is_swapped_after_installing_is_noticed() {
    let place = Place::new();
    let folder = place.trusting();
    let installed = folder
        .install(&read(&place.signed("1.0.0", b"one")), false)
        .unwrap()
        .installed;

    // The library alone.
    overwrite(&installed.library(), b"evil");
    assert!(matches!(installed.verified_library(), Err(PackageError::Digest { .. })));

    // The library and a manifest that fits it.
    let evil = read(&place.package("1.0.0", b"evil"));
    let forged = place.dir.path().join("forged");
    evil.write_to(&forged).unwrap();
    overwrite(
        &installed.dir.join("manifest.toml"),
        &fs::read(forged.join("manifest.toml")).unwrap(),
    );
    assert!(matches!(folder.find(ID), Err(PackageError::Digest { .. })));
    assert!(Installed::open(&installed.dir, &installed.package_sha256).is_err());

    // These, and the lock, too: the signature still fits nothing but what was signed.
    let other = PluginFolder::new(place.dir.path().join("other"), Keys::default());
    let digest = other.install(&evil, true).unwrap().installed.package_sha256;
    let lock = place.plugins().join(LOCK_FILE);
    let text = fs::read_to_string(&lock).unwrap();
    let body = text.splitn(3, '\n').last().unwrap();
    let body = body.replace(&installed.package_sha256, &digest);
    let header = text.lines().next().unwrap();
    // A checksum tells of damage; who can write the lock can write it as well.
    let sum: String = Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect();
    fs::write(&lock, format!("{header}\n# sha256 {sum}\n{body}")).unwrap();
    fs::rename(&installed.dir, installed.dir.with_file_name(&digest)).unwrap();
    let error = folder.find(ID).unwrap_err();
    assert!(matches!(error, PackageError::BadSignature { .. }), "{error}");

    // Installing again repairs all of it.
    let packed = place.dir.path().join("packed-1.0.0");
    let repaired = folder.install(&read(&packed), false).unwrap().installed;
    assert_eq!(repaired.verified_library().unwrap(), b"one");
    assert_eq!(staged(&place.plugins()), 0);
}

#[test]
fn what_a_crash_left_is_swept_and_never_listed() {
    let place = Place::new();
    let plugins = place.plugins();
    fs::create_dir_all(plugins.join(".staging-x")).unwrap();
    fs::write(plugins.join(".staging-plugins.lock"), "half").unwrap();
    // A folder that moved into place before the lock could name it.
    fs::create_dir_all(plugins.join(ID).join("0".repeat(64))).unwrap();
    assert!(place.folder().list().unwrap().is_empty());
    let installed = place
        .folder()
        .install(&read(&place.package("1.0.0", b"one")), true)
        .unwrap();
    assert_eq!(place.folder().find(ID).unwrap(), installed.installed);
    assert_eq!(staged(&plugins), 0);
    assert_eq!(fs::read_dir(plugins.join(ID)).unwrap().count(), 1);
}

#[test]
fn an_archive_installs_like_its_folder() {
    let place = Place::new();
    let packed = place.signed("1.0.0", b"one");
    let archive = |name: &str, make: &dyn Fn(&mut tar::Builder<flate2::write::GzEncoder<fs::File>>)| {
        let path = place.dir.path().join(name);
        let encoder = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(encoder);
        make(&mut builder);
        builder.into_inner().unwrap().finish().unwrap();
        path
    };
    let whole = archive("contracts.tar.gz", &|b| {
        b.append_dir_all("contracts-1.0.0", &packed).unwrap()
    });
    let installed = place.trusting().install(&read(&whole), false).unwrap().installed;
    assert!(installed.signed_by.is_some());
    assert_eq!(installed.verified_library().unwrap(), b"one");
    let library = read(&packed.join("libcontracts.so"));
    assert_eq!(place.trusting().install(&library, false).unwrap().installed, installed);

    let manifest = fs::read(packed.join("manifest.toml")).unwrap();
    let entry = |b: &mut tar::Builder<_>, path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        b.append_data(&mut header, path, bytes).unwrap();
    };
    let without = archive("without.tar.gz", &|b| entry(b, "manifest.toml", &manifest));
    let twice = archive("twice.tar.gz", &|b| {
        entry(b, "a/manifest.toml", &manifest);
        entry(b, "b/manifest.toml", &manifest);
    });
    let deep = archive("deep.tar.gz", &|b| entry(b, "a/b/c/manifest.toml", &manifest));
    for (path, says) in [
        (without, "no libcontracts.so"),
        (twice, "more than one manifest.toml"),
        (deep, "top folder"),
    ] {
        let error = Package::read(&path, None).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let text = place.dir.path().join("notes.txt");
    fs::write(&text, "x").unwrap();
    for path in [
        text,
        place.dir.path().join("nothing.tar.gz"),
        place.dir.path().to_owned(),
    ] {
        assert!(Package::read(&path, None).is_err(), "{}", path.display());
    }
}

#[test]
fn ids_that_are_paths_find_nothing() {
    let place = Place::new();
    let folder = place.folder();
    folder.install(&read(&place.package("1.0.0", b"one")), true).unwrap();
    for id in ["..", ".", "", "org.example.contracts/..", "/etc", ".lock"] {
        assert!(
            matches!(folder.find(id), Err(PackageError::NotInstalled { .. })),
            "{id}"
        );
        assert!(
            matches!(folder.remove(id), Err(PackageError::NotInstalled { .. })),
            "{id}"
        );
    }
}

#[test]
fn a_lock_with_a_flipped_byte_or_cut_short_is_named_and_nothing_is_loaded_by_it() {
    let place = Place::new();
    let folder = place.trusting();
    let one = read(&place.signed("1.0.0", b"one"));
    folder.install(&one, false).unwrap();
    folder.install(&read(&place.package("2.0.0", b"two")), true).unwrap();
    folder.set_enabled(ID, false).unwrap();
    let path = place.plugins().join(LOCK_FILE);
    let sound = fs::read(&path).unwrap();
    let flipped = (0..sound.len()).flat_map(|at| [0x01, 0x20, 0x80, 0xff].map(|bits| (at, bits)));
    let flipped = flipped.map(|(at, bits)| {
        let mut bytes = sound.clone();
        bytes[at] ^= bits;
        (format!("byte {at} ^ {bits:#x}"), bytes)
    });
    let cut = (0..sound.len()).map(|len| (format!("cut to {len} bytes"), sound[..len].to_vec()));
    // What a disk does that loses a page.
    let zeroed = [0, sound.len() / 2].map(|from| {
        let mut bytes = sound.clone();
        bytes[from..].fill(0);
        (format!("zeros from {from}"), bytes)
    });
    let mut damages = 0;
    for (damage, bytes) in flipped.chain(cut).chain(zeroed) {
        overwrite(&path, &bytes);
        let refusals = [
            folder.usable(ID).map(|_| ()),
            folder.find(ID).map(|_| ()),
            folder.list().map(|_| ()),
            folder.unsigned().map(|_| ()),
            folder.rollback(ID, None).map(|_| ()),
            folder.set_enabled(ID, true).map(|_| ()),
        ];
        for refusal in refusals {
            let error = refusal.expect_err(&damage);
            assert!(
                matches!(&error, PackageError::Lock { path: named, .. } if *named == path),
                "{damage}: {error}"
            );
            let told = error.to_string();
            assert!(
                told.contains("restore it from a backup, or remove it and install"),
                "{damage}: {told}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "{damage}: it was written over");
        damages += 1;
    }
    println!("{damages} damages of {} bytes, all named", sound.len());
    overwrite(&path, &sound);
    assert!(matches!(folder.usable(ID), Err(PackageError::Disabled(_))));
    // What the error says helps.
    fs::remove_file(&path).unwrap();
    folder.install(&one, false).unwrap();
    assert_eq!(folder.usable(ID).unwrap().verified_library().unwrap(), b"one");
}
