//! The `forget/` folder: what says what was forgotten, what is to be, and what proves it.

use sha2::{Digest, Sha256};
use std::path::Path;
use wengu::forget::{Order, Tombstones, receipt};
use wengu_store::Hash;

/// Between a receipt, its signature and the public key.
const BETWEEN: &[u8] = b"\n--\n";

/// The first byte says which file the rest is. Of those with a checksum it may be what the checksum is of, or all.
pub fn forgetting(data: &[u8]) {
    let Some((&which, file)) = data.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = usize::from(which) * 37;
    match which % 6 {
        0 => tombstones(folder.path(), &with_checksum(file), at),
        1 => tombstones(folder.path(), file, at),
        2 => order(folder.path(), &with_checksum(file), at),
        3 => order(folder.path(), file, at),
        4 => signed(folder.path(), file, at),
        _ => signing_key(folder.path(), file),
    }
}

fn with_checksum(body: &[u8]) -> Vec<u8> {
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    [b"{\n  \"sha256\": \"", digest.as_bytes(), b"\",\n", body].concat()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a temporary file");
}

/// Files from before the checksum are held against nothing.
fn flipped(file: &[u8], at: usize) -> Option<Vec<u8>> {
    let mut changed = file.to_vec();
    *changed.get_mut(at % file.len().max(1))? ^= 1 << (at % 8);
    file.starts_with(b"{\n  \"sha256\"").then_some(changed)
}

/// What is read is the same once it is written, and recognises what is added; a changed bit is not read.
fn tombstones(folder: &Path, file: &[u8], at: usize) {
    let path = folder.join("tombstones.json");
    write(&path, file);
    let Ok(found) = Tombstones::load(folder) else { return };
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let load = || Tombstones::load(elsewhere.path()).expect("no file, or what was written");
    let mut again = load();
    let all = found.all().to_vec();
    again.take_over(found).expect("nothing is there yet");
    let ids: std::collections::BTreeSet<_> = all.iter().map(|mark| &mark.id).collect();
    let (read, content) = (load(), Hash::of(b"the patient"));
    assert!(read.all() == again.all() && read.all().len() == ids.len());
    let id = "not in any seed";
    again
        .add(id, 5, [&content], [&"case:17".to_owned()])
        .expect("a temporary file");
    assert!(all.iter().any(|mark| mark.id == id) || load().of_content(&content) == Some(id));
    if let Some(changed) = flipped(file, at) {
        write(&path, &changed);
        assert!(Tombstones::load(folder).is_err(), "a changed bit is read");
    }
}

fn order(folder: &Path, file: &[u8], at: usize) {
    let path = folder.join("a.json");
    write(&path, file);
    let Ok(Some(found)) = Order::load(folder, "a") else {
        return;
    };
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let order = Order {
        id: "b".into(),
        ..found
    };
    order.save(elsewhere.path()).expect("a temporary file");
    assert_eq!(Order::all(elsewhere.path()).ok(), Some(vec![order]));
    if let Some(changed) = flipped(file, at) {
        write(&path, &changed);
        assert!(Order::load(folder, "a").is_err(), "a changed bit is read");
    }
}

/// A receipt that verifies does not once it was changed.
fn signed(folder: &Path, file: &[u8], at: usize) {
    let split = |bytes: &[u8]| {
        let found = bytes.windows(BETWEEN.len()).position(|four| four == BETWEEN);
        found.map(|at| (bytes[..at].to_vec(), bytes[at + BETWEEN.len()..].to_vec()))
    };
    let Some((said, rest)) = split(file) else { return };
    let Some((signature, key)) = split(&rest) else { return };
    let Ok(key) = String::from_utf8(key) else { return };
    let path = folder.join("a.json");
    write(&path, &said);
    write(&folder.join("a.json.minisig"), &signature);
    if receipt::verify(&path, &key).is_ok() {
        let mut changed = said;
        let at = at % changed.len();
        changed[at] ^= 1 << (at % 8);
        write(&path, &changed);
        assert!(receipt::verify(&path, &key).is_err(), "a changed receipt verifies");
    }
}

/// `signing.key` is taken as it is or refused, and never made anew.
fn signing_key(folder: &Path, file: &[u8]) {
    let path = folder.join("signing.key");
    write(&path, file);
    if let Ok(key) = receipt::public_key(folder) {
        assert_eq!(receipt::public_key(folder).ok(), Some(key));
    }
    assert_eq!(std::fs::read(&path).ok().as_deref(), Some(file));
}
