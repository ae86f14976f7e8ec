//! The file as a whole, and the tables that are not of a domain.

use crate::api::read_api;
use crate::domain::{ReadDomain, read_domain};
use crate::encryption::read_encryption;
use crate::folders::{STATE_DIR, Taken, check_overlaps, check_socket, resolve};
use crate::reader::read_reader;
use crate::section::{Located, Place, Section, nearest};
use crate::types::{Config, Disk, Incidents, Model, StoreIndex, StoreSettings, Trainer};
use crate::webhook::{check_second_channels, read_webhook};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wengu_plugin_package::Keys;
use wengu_protocol::job::{Device, Precision};

const NAME_CHARS_MAX: usize = 64;

pub(crate) fn read_config(mut section: Section<'_>, path: &Path) -> Config {
    let report = section.report;
    let base = path.parent().unwrap_or(Path::new("/"));
    let mut taken = Vec::new();
    let mut take = |what, path: &Located<PathBuf>| {
        taken.push(Taken {
            what,
            path: path.clone(),
        })
    };

    let state_dir = section
        .required_string(
            "state_dir",
            "name a folder for all that wengu keeps, as in `state_dir = \"/var/lib/wengu\"`",
        )
        .map(|text| resolve(report, base, text));
    if let Some(state_dir) = &state_dir {
        take(STATE_DIR, state_dir);
    }
    let socket = match section.string("socket") {
        Some(text) => Some(resolve(report, base, text)),
        None => state_dir.as_ref().map(|state_dir| Located {
            value: state_dir.value.join("wengu.sock"),
            place: state_dir.place.clone(),
        }),
    };
    if let Some(socket) = &socket {
        check_socket(report, socket);
        if section.is_set("socket") {
            take("the socket", socket);
        }
    }
    let api = read_api(section.table("api"), base, &mut take);
    let trainer = read_trainer(section.table("trainer"), base, &mut take);
    let encryption = read_encryption(section.table("encryption"), base, &mut take);
    let reader = read_reader(section.table("reader"), base);
    let plugin_keys = read_plugins(section.table("plugins"));
    let incidents = read_incidents(section.table("incidents"));
    let store = read_store(section.table("store"));
    let disk = read_disk(section.table("disk"));

    let mut models = BTreeMap::new();
    let mut model_places: BTreeMap<String, Place> = BTreeMap::new();
    for (name, mut model) in section.tables("models") {
        check_name(&model, &name);
        if let Some(text) =
            model.required_string("path", "name the model's folder, as in `path = \"/srv/models/minilm\"`")
        {
            let path = resolve(report, base, text);
            take("the model", &path);
            let precision = model.choice("precision", &[("fp32", Precision::Fp32), ("bf16", Precision::Bf16)]);
            let device = read_device(&mut model);
            let path = path.value;
            models.insert(
                name.value.clone(),
                Model {
                    path,
                    precision,
                    device,
                },
            );
        }
        model_places.insert(name.value, name.place);
        model.finish();
    }
    let mut webhooks = BTreeMap::new();
    let mut second_channels = BTreeMap::new();
    for (name, webhook) in section.tables("webhooks") {
        check_name(&webhook, &name);
        let read = read_webhook(&name.value, webhook, base, &mut take);
        second_channels.insert(name.value.clone(), read.second_channel);
        webhooks.insert(name.value, read.webhook);
    }
    check_second_channels(report, &second_channels);
    let mut domains = BTreeMap::new();
    let mut watched = Vec::new();
    let mut used = Vec::new();
    for (name, domain) in section.tables("domains") {
        check_name(&domain, &name);
        let ReadDomain { domain, watch, model } = read_domain(&name.value, domain, base);
        watched.extend(watch);
        used.extend(model);
        domains.insert(name.value, domain);
    }
    if domains.is_empty() && !section.is_set("domains") {
        let remedy = "add a table `[domains.NAME]` with `watch` and `model`";
        report.error(
            &section.at("domains"),
            "no domain is configured: there is nothing to do",
            remedy,
        );
    }
    for model in &used {
        if !model_places.contains_key(&model.value) {
            let remedy = match nearest(&model.value, model_places.keys().map(String::as_str)) {
                Some(name) => format!("did you mean \"{name}\"?"),
                None => format!("add a table `[models.{}]` with its `path`", model.value),
            };
            report.error(&model.place, format!("no model is named \"{}\"", model.value), remedy);
        }
    }
    for (name, place) in &model_places {
        if !used.iter().any(|model| model.value == *name) {
            report.warning(
                place,
                "no domain uses this model",
                "name it in a domain's `model`, or remove it",
            );
        }
    }
    check_overlaps(report, &watched, &taken);
    section.finish();
    let value = |path: Option<Located<PathBuf>>| path.map(|path| path.value).unwrap_or_default();
    Config {
        path: path.to_path_buf(),
        state_dir: value(state_dir),
        socket: value(socket),
        api,
        trainer,
        reader,
        plugin_keys,
        models,
        domains,
        webhooks,
        incidents,
        disk,
        store,
        encryption,
        warnings: Vec::new(),
        positions: BTreeMap::new(),
    }
}

fn read_incidents(mut section: Section<'_>) -> Incidents {
    const DAY_S: u64 = 24 * 60 * 60;
    let mut seconds = |name| Duration::from_secs(section.integer(name, 0..=30 * DAY_S, DAY_S));
    let incidents = Incidents {
        min_open: seconds("min_open_s"),
        renotify: seconds("renotify_s"),
    };
    section.finish();
    incidents
}

fn read_disk(mut section: Section<'_>) -> Disk {
    const MAX_MIB: u64 = 1 << 30;
    let mut bytes = |name, default| section.integer(name, 0..=MAX_MIB, default) << 20;
    let disk = Disk {
        stop_training_free_bytes: bytes("stop_training_free_mib", 1024),
        stop_ingest_free_bytes: bytes("stop_ingest_free_mib", 256),
        reserve_bytes: bytes("reserve_mib", 64),
    };
    if disk.stop_training_free_bytes < disk.stop_ingest_free_bytes {
        let message = "training would go on where nothing can be ingested any more";
        let remedy = "set it to `stop_ingest_free_mib` or above";
        section
            .report
            .error(&section.at("stop_training_free_mib"), message, remedy);
    }
    section.finish();
    disk
}

fn read_store(mut section: Section<'_>) -> StoreSettings {
    let index = section.choice("index", &[("sled", StoreIndex::Sled), ("redb", StoreIndex::Redb)]);
    section.finish();
    StoreSettings { index }
}

fn read_device(model: &mut Section<'_>) -> Device {
    let Some(word) = model.string("device") else {
        return Device::default();
    };
    Device::try_from(word.value).unwrap_or_else(|error| {
        model.report.error(
            &word.place,
            error,
            "`\"auto\"` takes the first CUDA device, or the processor",
        );
        Device::default()
    })
}

fn read_trainer(
    mut section: Section<'_>,
    base: &Path,
    take: &mut impl FnMut(&'static str, &Located<PathBuf>),
) -> Trainer {
    let jobs_dir = section.string("jobs_dir").map(|text| {
        let path = resolve(section.report, base, text);
        take("the jobs' folder", &path);
        path.value
    });
    let remedy = "name a program, as in `command = [\"/usr/lib/wengu/wengu-trainer\"]`, or leave the key out";
    let command = read_command(&mut section, "command", remedy, base);
    let trainer = Trainer {
        command,
        threads: section.integer("threads", 0..=1024, 0) as u32,
        jobs_dir,
        memory_bytes: match section.integer("memory_mib", 0..=1 << 30, 0) {
            0 => None,
            mebibytes => Some(mebibytes << 20),
        },
        no_progress: Duration::from_secs(section.integer("no_progress_s", 5..=86_400, 300)),
        deadline: Duration::from_secs(60 * section.integer("deadline_minutes", 1..=525_600, 720)),
        stop_grace: Duration::from_secs(section.integer("stop_grace_s", 1..=3600, 20)),
    };
    if trainer.no_progress > trainer.deadline {
        let message = "a job is stopped at its deadline before its silence is noticed";
        section
            .report
            .error(&section.at("no_progress_s"), message, "set it below `deadline_minutes`");
    }
    section.finish();
    trainer
}

/// Program and arguments.
pub(crate) fn read_command(
    section: &mut Section<'_>,
    key: &'static str,
    remedy: &str,
    base: &Path,
) -> Option<Vec<String>> {
    let words = section.strings(key)?;
    if words.is_empty() {
        section.report.error(&section.at(key), "names no program", remedy);
    }
    let mut words: Vec<String> = words.into_iter().map(|word| word.value).collect();
    // As a shell would: a name is looked up on PATH, a path is a path.
    if let Some(program) = words.first_mut().filter(|program| program.contains('/')) {
        *program = base.join(&program).display().to_string();
    }
    Some(words)
}

fn read_plugins(mut section: Section<'_>) -> Keys {
    let keys = section.strings("keys").unwrap_or_default();
    let texts: Vec<&str> = keys.iter().map(|key| key.value.as_str()).collect();
    let trusted = Keys::parse(&texts).unwrap_or_else(|mistakes| {
        for (at, why) in mistakes {
            let message = format!("is no minisign public key: {why}");
            let remedy = "take the second line of the author's minisign.pub";
            section.report.error(&keys[at].place, message, remedy);
        }
        Keys::default()
    });
    section.finish();
    trusted
}

/// Names become folder names and parts of keys.
fn check_name(section: &Section<'_>, name: &Located<String>) {
    let allowed = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let starts_well = name.value.chars().next().is_some_and(char::is_alphanumeric);
    let (count, remedy) = (
        name.value.chars().count(),
        "use letters of any script, digits, `-` and `_`, a letter first",
    );
    if !name.value.chars().all(allowed) || !starts_well {
        section
            .report
            .error(&name.place, format!("\"{}\" cannot be a name", name.value), remedy);
    } else if count > NAME_CHARS_MAX || name.value.len() > 3 * NAME_CHARS_MAX {
        let message = format!("the name has {count} characters");
        section
            .report
            .error(&name.place, message, format!("use {NAME_CHARS_MAX} at most"));
    }
}
