//! The receipt of a forgetting: what was done, signed with a key that the daemon makes with the first one.

use super::order::Order;
use super::record::ForgetRecord;
use crate::engine::Engine;
use anyhow::{Context, Result, ensure};
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox, SignatureBox};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::{Cursor, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use wengu_failpoint::hit;
use wengu_store::{Hash, audit, durable};

/// Version of [`Receipt`].
const SCHEMA: u32 = 1;

const RECEIPTS: &str = "receipts";
const SIGNING_KEY: &str = "signing.key";

/// What a receipt cannot speak for.
const NOT_REACHED: [&str; 4] = [
    "adapters and models that were exported or copied elsewhere",
    "backups that were made before, until they are restored: then it is forgotten again",
    "files in the watched folders, unless it says that they were deleted",
    "blocks that the disk has freed and not yet written again; logs of the system, which hold names of files",
];

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this layout.
    pub schema: u32,
    /// Version of wengu.
    pub wengu: String,
    /// The id.
    pub id: String,
    /// Why, as the administrator said.
    pub reason: String,
    /// When it was asked for, in milliseconds since 1970.
    pub asked_ms: i64,
    /// When it was done.
    pub done_ms: i64,
    /// What was removed.
    pub removed: Removed,
    /// Marks of the bytes and cases that are refused from now on, as `forget/tombstones.json` has them.
    pub refused: Vec<String>,
    /// Versions that had seen it and were deleted, as `DOMAIN/ID`.
    pub versions_deleted: Vec<String>,
    /// Versions that were made instead, never having seen it.
    pub versions_made: Vec<String>,
    /// What serves now, by domain.
    pub serving: BTreeMap<String, Option<String>>,
    /// The last commit before, with its hash.
    pub journal_before: Option<Head>,
    /// The last commit when the receipt was written.
    pub journal_after: Head,
    /// What it does not speak for.
    pub not_reached: Vec<String>,
}

/// Numbers of what was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Records of files.
    pub files: u64,
    /// Objects: bytes, examples, manifests, judgements.
    pub objects: u64,
    /// Commits of the journal out of which it was taken.
    pub commits: u64,
    /// Runs that had it, of which only what they had besides is kept.
    pub runs: u64,
    /// Whether the files in the watched folders were deleted too.
    pub source: bool,
}

/// A commit and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

/// Writes the receipt of a forgetting that is done, and removes its order, which is the last that says what it was.
pub(super) fn finish(engine: &Engine, record: &ForgetRecord) -> Result<()> {
    let forgetting = &engine.forgetting;
    let orders = forgetting.orders();
    let order = Order::load(&orders, &record.id)?.context("the order is gone")?;
    if let Some(plan) = order.plan {
        engine.store.objects().remove(&plan)?;
    }
    let path = path_of(forgetting.folder(), &record.id);
    if !signature_path(&path).exists() {
        let bytes = serde_json::to_vec_pretty(&receipt(engine, record, &order)?)?;
        super::make_folder(path.parent().context("receipts are in a folder")?)?;
        let key = signing_key(forgetting.folder())?;
        let comment = format!("receipt of forgetting {}", record.id);
        let signature = minisign::sign(None, &key, Cursor::new(&bytes), Some(&comment), Some("wengu receipt"))?;
        // The signature last: where it is, all is.
        durable::write_file(&path, &bytes)?;
        hit("forget.receipt_written");
        durable::write_file(&signature_path(&path), signature.into_string().as_bytes())?;
        hit("forget.receipt_signed");
    }
    // No order is being written meanwhile, whose beginnings would be removed as well.
    let _one = forgetting.asking.lock().unwrap_or_else(PoisonError::into_inner);
    Order::remove(&orders, &record.id)?;
    hit("forget.order_removed");
    Ok(())
}

fn receipt(engine: &Engine, record: &ForgetRecord, order: &Order) -> Result<Receipt> {
    let scope = order.scope.clone().unwrap_or_default();
    let named = |domain: &str, what: &str| format!("{domain}/{what}");
    let (mut made, mut serving) = (Vec::new(), BTreeMap::new());
    for domain in &record.domains {
        for run in &domain.made {
            let version = engine.version_of_run(&domain.domain, *run)?;
            made.extend(version.map(|id| named(&domain.domain, &id)));
        }
        let current = engine.current(&domain.domain)?.map(|current| current.version);
        serving.insert(domain.domain.clone(), current);
    }
    let marks = engine.forgetting.tombstones();
    let mark = marks.all().iter().find(|mark| mark.id == record.id);
    let refused = mark.map(|mark| mark.contents.iter().chain(&mark.cases).cloned().collect());
    let head = audit::verify(&engine.layout.store(), None)?;
    let versions = scope.domains.iter().flat_map(|domain| {
        let versions = domain.versions.iter();
        versions.map(|id| named(&domain.domain, id))
    });
    Ok(Receipt {
        schema: SCHEMA,
        wengu: env!("CARGO_PKG_VERSION").into(),
        id: record.id.clone(),
        reason: record.reason.clone(),
        asked_ms: record.asked_ms,
        done_ms: record.done_ms.unwrap_or(record.asked_ms),
        removed: Removed {
            files: record.files,
            objects: record.objects,
            commits: commits_redacted(engine, &record.id)?,
            runs: scope.domains.iter().map(|domain| domain.runs.len() as u64).sum(),
            source: order.delete_source,
        },
        refused: refused.unwrap_or_default(),
        versions_deleted: versions.collect(),
        versions_made: made,
        serving,
        journal_before: record.before.map(|(seq, hash)| Head { seq, hash }),
        journal_after: Head {
            seq: head.commits,
            hash: head.head,
        },
        not_reached: NOT_REACHED.map(str::to_owned).to_vec(),
    })
}

/// What the journal declares: the same number however often the step was interrupted.
fn commits_redacted(engine: &Engine, id: &str) -> Result<u64> {
    let mut commits = BTreeSet::new();
    for event in engine.store.journal_events(1)? {
        let Some(note) = event?.note else { continue };
        if note["why"]["forget"] == id {
            let frames = note["frames"].as_array().into_iter().flatten();
            commits.extend(frames.filter_map(|frame| frame["seq"].as_u64()));
        }
    }
    Ok(commits.len() as u64)
}

/// Where a receipt is.
pub fn path_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(RECEIPTS).join(format!("{id}.json"))
}

fn signature_path(receipt: &Path) -> PathBuf {
    let mut name = receipt.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// The public key of receipts, in the form that minisign takes; made where there is none.
pub fn public_key(folder: &Path) -> Result<String> {
    let key = signing_key(folder)?;
    Ok(PublicKey::from_secret_key(&key)?.to_base64())
}

fn signing_key(folder: &Path) -> Result<SecretKey> {
    let path = folder.join(SIGNING_KEY);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let key = SecretKeyBox::from_string(&text).and_then(SecretKeyBox::into_unencrypted_secret_key);
            key.with_context(|| format!("{}: no signing key", path.display()))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            super::make_folder(folder)?;
            let pair = KeyPair::generate_unencrypted_keypair()?;
            let text = pair
                .sk
                .to_box(Some("wengu: signs receipts of what was forgotten"))?
                .into_string();
            // The public one first: where there is a secret one, both are there, and belong together.
            let public = pair.pk.to_box()?.into_string();
            durable::write_file(&folder.join("signing.pub"), public.as_bytes())?;
            hit("forget.public_key_written");
            durable::write_file(&path, text.as_bytes())?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            Ok(pair.sk)
        }
        Err(e) => Err(e).with_context(|| path.display().to_string()),
    }
}

/// Reads a receipt of this daemon; none where there is none.
pub fn load(folder: &Path, id: &str) -> Result<Option<Value>> {
    let path = path_of(folder, id);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| path.display().to_string()),
    }
}

/// Characters of the signature over signature and comment: 64 bytes in base64.
const GLOBAL_SIGNATURE_LENGTH: usize = 88;

/// Receipts that are not what this daemon signed, for people. One whose order is still there is not finished.
pub(super) fn problems(folder: &Path) -> Result<Vec<String>> {
    let receipts = folder.join(RECEIPTS);
    let entries = match std::fs::read_dir(&receipts) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| receipts.display().to_string())?,
    };
    let mut ids = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let id = name
            .strip_suffix(".json")
            .or_else(|| name.strip_suffix(".json.minisig"));
        ids.extend(id.map(str::to_owned));
    }
    let mut problems = Vec::new();
    let is_finished = |id: &str| !folder.join(super::ORDERS).join(format!("{id}.json")).exists();
    for id in ids.into_iter().filter(|id| is_finished(id)) {
        // Looking makes no key.
        let key = match folder.join(SIGNING_KEY).exists() {
            true => public_key(folder),
            false => Err(anyhow::anyhow!(
                "the key that signed it is gone ({})",
                folder.join(SIGNING_KEY).display()
            )),
        };
        let verified = key.and_then(|key| verify(&path_of(folder, &id), &key));
        problems.extend(verified.err().map(|error| format!("receipt {id}: {error:#}")));
    }
    Ok(problems)
}

/// Checks a receipt against the signature that lies beside it.
pub fn verify(receipt: &Path, public_key: &str) -> Result<Receipt> {
    let bytes = std::fs::read(receipt).with_context(|| receipt.display().to_string())?;
    let beside = signature_path(receipt);
    let text = std::fs::read_to_string(&beside).with_context(|| beside.display().to_string())?;
    let signature = SignatureBox::from_string(&text).with_context(|| format!("{}: no signature", beside.display()))?;
    // minisign panics at a shorter one.
    let length = text.lines().nth(3).map_or(0, |line| line.trim().len());
    ensure!(
        length >= GLOBAL_SIGNATURE_LENGTH,
        "{}: its second signature is cut short",
        beside.display()
    );
    let key = PublicKey::from_base64(public_key.trim()).context("the public key is none of minisign's")?;
    minisign::verify(&key, &signature, Cursor::new(&bytes), true, false, false).with_context(|| {
        format!(
            "{}: this receipt is not what the key {public_key} signed",
            receipt.display()
        )
    })?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}: no receipt", receipt.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_was_changed_or_signed_by_another_does_not_verify() {
        let dir = tempfile::tempdir().unwrap();
        let public = public_key(dir.path()).unwrap();
        assert_eq!(public_key(dir.path()).unwrap(), public, "the key is kept");
        let mode = std::fs::metadata(dir.path().join("signing.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let receipt = Receipt {
            schema: SCHEMA,
            wengu: "0".into(),
            id: "a1".into(),
            reason: "asked to".into(),
            asked_ms: 1,
            done_ms: 2,
            removed: Removed {
                files: 1,
                objects: 2,
                commits: 3,
                runs: 0,
                source: false,
            },
            refused: vec![],
            versions_deleted: vec![],
            versions_made: vec![],
            serving: BTreeMap::new(),
            journal_before: None,
            journal_after: Head {
                seq: 9,
                hash: Hash::of(b""),
            },
            not_reached: vec![],
        };
        let path = path_of(dir.path(), "a1");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let told = || problems(dir.path()).unwrap().join("; ");
        let bytes = serde_json::to_vec_pretty(&receipt).unwrap();
        let key = signing_key(dir.path()).unwrap();
        let signature = minisign::sign(None, &key, Cursor::new(&bytes), None, None).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let (beside, signature) = (signature_path(&path), signature.into_string());
        assert!(
            told().contains("receipt a1") && told().contains("minisig"),
            "{}",
            told()
        );
        let order = dir.path().join("orders/a1.json");
        std::fs::create_dir(order.parent().unwrap()).unwrap();
        std::fs::write(&order, b"").unwrap();
        assert_eq!(told(), "", "it is being written");
        std::fs::remove_file(&order).unwrap();
        // Whole groups of base64 off its end: what is left can be read.
        let signature = signature.trim_end();
        std::fs::write(&beside, &signature[..signature.len() - 12]).unwrap();
        assert!(verify(&path, &public).unwrap_err().to_string().contains("cut short"));
        std::fs::write(&beside, signature).unwrap();
        assert_eq!(verify(&path, &public).unwrap(), receipt);
        assert_eq!(told(), "");
        let other = tempfile::tempdir().unwrap();
        assert!(verify(&path, &public_key(other.path()).unwrap()).is_err());
        let changed = String::from_utf8(bytes)
            .unwrap()
            .replace("\"files\": 1", "\"files\": 2");
        std::fs::write(&path, changed).unwrap();
        assert!(
            verify(&path, &public)
                .unwrap_err()
                .to_string()
                .contains("not what the key")
        );
        assert!(told().contains("receipt a1"), "{}", told());
        let key = dir.path().join(SIGNING_KEY);
        std::fs::remove_file(&key).unwrap();
        assert!(told().contains("is gone") && !key.exists(), "{}", told());
    }
}
