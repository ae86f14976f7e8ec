//! The unit, and the package that carries it, looked at with the system's own tools; tests/package/run installs it.

use crate::harness::{program, root};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs a tool; None, and a line that says so, where it is not installed.
fn tool(name: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(name)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .output()
    {
        Ok(output) => Some(output),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: needs {name}");
            None
        }
        Err(e) => panic!("{name}: {e}"),
    }
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}")
}

/// The unit in a folder of its own, with these drop-ins, and a program that is there.
fn unit(dir: &Path, drop_ins: &[&str]) -> String {
    let systemd = root().join("systemd");
    let service = fs::read_to_string(systemd.join("wengu.service")).unwrap();
    assert_eq!(service.matches("=/usr/bin/wengu ").count(), 2);
    let path = dir.join("wengu.service");
    fs::write(&path, service.replace("=/usr/bin/wengu ", "=/bin/true ")).unwrap();
    let folder = dir.join("wengu.service.d");
    fs::create_dir_all(&folder).unwrap();
    for name in drop_ins {
        fs::copy(systemd.join(name), folder.join(name)).unwrap();
    }
    path.display().to_string()
}

#[test]
fn systemd_understands_the_unit_with_and_without_drop_ins() {
    for drop_ins in [&[][..], &["gpu.conf", "limits.conf", "credentials.conf", "roles.conf"]] {
        let dir = tempfile::tempdir().unwrap();
        let Some(verified) = tool("systemd-analyze", &["verify", "--man=no", &unit(dir.path(), drop_ins)]) else {
            return;
        };
        assert_eq!(text(&verified), "");
        assert!(verified.status.success());
    }
}

#[test]
fn the_unit_is_open_by_1_5_of_10_at_most_and_only_where_the_readme_says() {
    for (drop_ins, devices) in [
        (&[][..], &["DeviceAllow"][..]),
        (&["gpu.conf"][..], &["DeviceAllow", "PrivateDevices"][..]),
        (&["limits.conf", "credentials.conf"][..], &["DeviceAllow"][..]),
        (&["roles.conf"][..], &["DeviceAllow", "PrivateUsers"][..]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let unit = unit(dir.path(), drop_ins);
        let analyze = |how: &str| {
            tool(
                "systemd-analyze",
                &["security", "--no-pager", "--offline=true", how, &unit],
            )
        };
        let Some(scored) = analyze("--threshold=15") else {
            return;
        };
        assert!(scored.status.success(), "{drop_ins:?}\n{}", text(&scored));
        let json = analyze("--json=short").unwrap();
        let checks: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        let open: BTreeSet<&str> = checks
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| !check["exposure"].is_null() && check["exposure"] != "0.0")
            .map(|check| check["json_field"].as_str().unwrap())
            .collect();
        let mut said = BTreeSet::from([
            "IPAddressDeny",
            "MemoryDenyWriteExecute",
            "PrivateNetwork",
            "ProcSubset",
            "RestrictAddressFamilies_AF_INET_INET6",
            "RestrictAddressFamilies_AF_UNIX",
            "RootDirectoryOrRootImage",
            "SystemCallFilter_resources",
        ]);
        said.extend(devices);
        assert_eq!(
            open, said,
            "{drop_ins:?}: what is open has to be told in systemd/README.md"
        );
    }
}

#[test]
fn the_unit_keeps_the_machine_and_the_children_in_bounds() {
    let service = fs::read_to_string(root().join("systemd/wengu.service")).unwrap();
    let lines: BTreeSet<&str> = service.lines().collect();
    for line in [
        "CPUWeight=20",
        "IOWeight=20",
        "MemoryMax=80%",
        "MemorySwapMax=0",
        "KillMode=mixed",
        "OOMPolicy=continue",
        "LimitCORE=0",
    ] {
        assert!(lines.contains(line), "{line}");
    }
}

/// Packs what cargo has built, quickly, into a folder of its own.
fn packed(out: &Path, umask: &str, compression: &str) -> Option<PathBuf> {
    for name in ["dpkg-deb", "dpkg-shlibdeps", "strip"] {
        tool(name, &["--version"])?;
    }
    let programs = program("wengu").parent().unwrap().to_path_buf();
    if !programs.join("wengu-trainer").exists() {
        println!("skipped: needs wengu-trainer (`make build`)");
        return None;
    }
    let script = format!(
        "umask {umask}; exec {} --programs {} --out {} --only wengu --compression {compression}",
        root().join("scripts/make-deb").display(),
        programs.display(),
        out.display()
    );
    let made = Command::new("sh")
        .args(["-c", &script])
        .env("SOURCE_DATE_EPOCH", "1767225600")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let mut packages = fs::read_dir(out).unwrap().map(|e| e.unwrap().path());
    packages.next()
}

#[test]
fn the_package_is_the_same_bytes_each_time_and_holds_what_it_should() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(package) = packed(first.path(), "022", "none") else {
        return;
    };
    let again = packed(second.path(), "077", "none").unwrap();
    assert_eq!(package.file_name(), again.file_name());
    assert!(
        fs::read(&package).unwrap() == fs::read(&again).unwrap(),
        "another umask and time, other bytes"
    );
    let path = package.to_str().unwrap();

    let listed = text(&tool("dpkg-deb", &["--contents", path]).unwrap());
    let found: Vec<String> = listed
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // SOURCE_DATE_EPOCH above, in UTC.
            assert_eq!(&fields[3..5], ["2026-01-01", "00:00"], "{line}");
            format!("{} {} {}", fields[0], fields[1], fields[5..].join(" "))
        })
        .filter(|line| !line.starts_with('d'))
        .collect();
    let mut expected: Vec<String> = fs::read_to_string(root().join("tests/package/files.txt"))
        .unwrap()
        .lines()
        .map(String::from)
        .collect();
    let mut found = found;
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "tests/package/files.txt says what the package holds");
    for line in listed.lines().filter(|line| line.starts_with('d')) {
        assert!(line.starts_with("drwxr-xr-x root/root"), "{line}");
    }

    let tree = first.path().join("tree");
    let tree_text = tree.to_str().unwrap();
    assert!(tool("dpkg-deb", &["-R", path, tree_text]).unwrap().status.success());
    assert_eq!(
        fs::read_to_string(tree.join("DEBIAN/conffiles")).unwrap(),
        "/etc/wengu/wengu.toml\n"
    );
    for script in ["postinst", "prerm", "postrm"] {
        let script = tree.join("DEBIAN").join(script);
        assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(
            fs::read_to_string(&script).unwrap().starts_with("#!/bin/sh\nset -e\n"),
            "{script:?}"
        );
        assert!(tool("sh", &["-n", script.to_str().unwrap()]).unwrap().status.success());
    }
    let control = fs::read_to_string(tree.join("DEBIAN/control")).unwrap();
    assert!(
        !control.contains('@') || control.matches('@').count() == 1,
        "a value is missing\n{control}"
    );
    assert!(control.contains("\nDepends: libc6 (>= "), "{control}");
    // The build's folder is in no run path, and nobody's home in a script.
    let dynamic = tool(
        "readelf",
        &["-d", tree.join("usr/lib/wengu/bin/wengu-trainer").to_str().unwrap()],
    )
    .unwrap();
    assert!(
        text(&dynamic).contains("[$ORIGIN/../lib/libtorch]"),
        "{}",
        text(&dynamic)
    );
}

#[test]
fn lintian_finds_no_error() {
    let out = tempfile::tempdir().unwrap();
    if tool("lintian", &["--version"]).is_none() {
        return;
    }
    let Some(package) = packed(out.path(), "022", "gzip") else {
        return;
    };
    let found = tool(
        "lintian",
        &[
            "--fail-on=error,warning",
            "--suppress-tags=no-manual-page,initial-upload-closes-no-bugs",
            "--allow-root",
            package.to_str().unwrap(),
        ],
    );
    let found = found.unwrap();
    assert!(found.status.success(), "{}", text(&found));
}
