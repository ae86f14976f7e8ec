//! What the file system says to a configuration.

use crate::api::check_people;
use crate::folders::normal;
use crate::problem::{Problem, Severity};
use crate::types::{Config, Source};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, access};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

const INDEX_FILE: &str = "model.safetensors.index.json";
const OTHERS: u32 = 0o007;

/// Looks at every folder and file that the configuration names, as the user that runs this. The configuration's own
/// warnings come first. Nothing is made or changed.
pub fn check_environment(config: &Config) -> Vec<Problem> {
    let mut check = Check {
        config,
        problems: config.warnings.clone(),
    };
    check.state();
    check.watched();
    check.models();
    check.secrets();
    check.tls();
    check.encryption();
    check.problems.extend(check_people(config));
    check.program(
        "trainer.command",
        &config.trainer.command,
        "name the trainer's program, or leave `command` out",
    );
    let ocr = config.reader.ocr.as_ref().map(|ocr| ocr.command.clone());
    check.program(
        "reader.ocr_command",
        &ocr,
        "name a program that reads pictures, or leave `ocr_command` out",
    );
    check.problems
}

impl Config {
    /// An error of a key: at its line, or at that of the table around it where the file leaves the key out.
    pub fn error_at(&self, key: &str, message: String, remedy: &str) -> Problem {
        let around = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(around, _)| around));
        let position = around.into_iter().find_map(|key| self.positions.get(key));
        Problem {
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            ..Problem::error(key, &message, remedy)
        }
    }
}

struct Check<'c> {
    config: &'c Config,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn error(&mut self, key: &str, message: String, remedy: &str) {
        self.problems.push(self.config.error_at(key, message, remedy));
    }

    fn state(&mut self) {
        let config = self.config;
        self.writable_or_creatable("state_dir", &config.state_dir);
        if let Some(folder) = config.socket.parent()
            && folder != config.state_dir
        {
            self.writable_or_creatable("socket", folder);
        }
        if let Ok(about) = config.socket.symlink_metadata()
            && !about.file_type().is_socket()
        {
            let message = format!("{} is there and is no socket", config.socket.display());
            self.error("socket", message, "remove it, or name another path");
        }
    }

    fn writable_or_creatable(&mut self, key: &str, folder: &Path) {
        let Some(existing) = folder.ancestors().find(|folder| folder.symlink_metadata().is_ok()) else {
            return;
        };
        let remedy = "make the folder and give it to the user that runs wengu";
        if !existing.is_dir() {
            self.error(key, format!("{} is no folder", existing.display()), remedy);
        } else if let Err(error) = access(existing, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
            let what = if existing == folder {
                "cannot be written"
            } else {
                "is not there and cannot be made"
            };
            self.error(key, format!("{} {what}: {}", folder.display(), error.desc()), remedy);
        }
    }

    fn watched(&mut self) {
        let state = real(&self.config.state_dir);
        let mut seen: Vec<(PathBuf, &Path)> = Vec::new();
        for domain in self.config.domains.values() {
            let key = format!("domains.{}.watch", domain.name);
            for folder in &domain.watch {
                if !self.readable_folder(
                    &key,
                    folder,
                    "make the folder, or mount it, and let wengu's user read it",
                ) {
                    continue;
                }
                // The text was compared before; here it is where symbolic links lead.
                let real = real(folder);
                let through_links = |other: &Path, named: &Path| {
                    let meet = real.starts_with(other) || other.starts_with(&real);
                    meet && !(folder.starts_with(named) || named.starts_with(folder))
                };
                if through_links(&state, &self.config.state_dir) {
                    let message = format!(
                        "{} and the state folder are one inside the other, by a symbolic link",
                        folder.display()
                    );
                    self.error(&key, message, "watch a folder outside `state_dir`");
                }
                let other = seen.iter().find(|(other, named)| through_links(other, named));
                if let Some((_, named)) = other {
                    let message = format!(
                        "{} leads into {}, by a symbolic link",
                        folder.display(),
                        named.display()
                    );
                    self.error(
                        &key,
                        message,
                        "give each domain folders of its own, none inside another",
                    );
                }
                seen.push((real, folder));
            }
        }
    }

    fn models(&mut self) {
        for (name, model) in &self.config.models {
            let key = format!("models.{name}.path");
            if !self.readable_folder(
                &key,
                &model.path,
                "download it with `wengu model pull`, or correct the path",
            ) {
                continue;
            }
            // Large models lie in shards, which the index names.
            let sharded = model.path.join(INDEX_FILE).exists();
            let weights = if sharded { INDEX_FILE } else { "model.safetensors" };
            for file in ["config.json", weights, "tokenizer.json"].map(|file| model.path.join(file)) {
                if let Some(why) = unreadable(&file) {
                    let message = format!("{} {why}", file.display());
                    self.error(
                        &key,
                        message,
                        "name a Hugging Face folder with config.json, model.safetensors and tokenizer.json",
                    );
                }
            }
        }
    }

    fn secrets(&mut self) {
        for webhook in self.config.webhooks.values() {
            self.secret(&webhook.name, "secret", webhook.secret.as_ref());
            self.secret(&webhook.name, "url", Some(&webhook.url));
        }
    }

    fn secret(&mut self, webhook: &str, what: &str, source: Option<&Source>) {
        let Some(source) = source else { return };
        let kind = match source {
            Source::Credential(_) => "credential",
            _ => "file",
        };
        let remedy = match what {
            "url" => "write the address into it and let only wengu's user read it",
            _ => "make one with `wengu webhook secret` and let only wengu's user read it",
        };
        self.private(&format!("webhooks.{webhook}.{what}_{kind}"), source, remedy);
    }

    fn encryption(&mut self) {
        let config = self.config;
        if let Some(folder) = &config.trainer.jobs_dir {
            self.writable_or_creatable("trainer.jobs_dir", folder);
        }
        if config.encryption.is_none() {
            return;
        }
        let jobs = config.trainer.jobs_dir.as_ref().unwrap_or(&config.state_dir);
        let existing = jobs.ancestors().find(|folder| folder.exists());
        if let Some(existing) = existing
            && statfs(existing).is_ok_and(|found| found.filesystem_type() != TMPFS_MAGIC)
        {
            let message = format!(
                "{} is on a disk: while an update runs, the token ids of its texts lie there unsealed",
                jobs.display()
            );
            let remedy = "name a folder in memory, as in `jobs_dir = \"/run/wengu/jobs\"`, or encrypt the disk";
            self.problems.push(Problem {
                severity: Severity::Warning,
                ..config.error_at("trainer.jobs_dir", message, remedy)
            });
        }
    }

    fn tls(&mut self) {
        let Some(tcp) = &self.config.api.tcp else { return };
        if let Some(why) = unreadable(&tcp.certificate) {
            let message = format!("{} {why}", tcp.certificate.display());
            self.error("api.tcp.certificate", message, "put the certificate there, as PEM");
        }
        let key = match tcp.key {
            Source::Credential(_) => "api.tcp.key_credential",
            _ => "api.tcp.key",
        };
        let remedy = "put the certificate's private key there, as PEM, and let only wengu's user read it";
        self.private(key, &tcp.key, remedy);
    }

    /// A file that only wengu's user may read. `remedy`: how to get one.
    fn private(&mut self, key: &str, source: &Source, remedy: &str) {
        // Of a credential without its folder nothing is known: a person runs this by hand, outside the unit.
        let Some(file) = source.file() else { return };
        if let Some(why) = unreadable(&file) {
            let remedy = match source {
                Source::Credential(_) => "name it in the unit's `LoadCredential=`",
                _ => remedy,
            };
            self.error(key, format!("{} {why}", file.display()), remedy);
            return;
        }
        let mode = file.metadata().map_or(0, |about| about.permissions().mode());
        if mode & OTHERS != 0 {
            let message = format!("{} is open to every user (mode {:03o})", file.display(), mode & 0o777);
            self.error(
                key,
                message,
                "chmod o= it, and make a new secret if others may have read this one",
            );
        }
    }

    fn program(&mut self, key: &str, command: &Option<Vec<String>>, remedy: &str) {
        let Some(program) = command.as_ref().and_then(|command| command.first()) else {
            return;
        };
        let runs = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
        let found = if program.contains('/') {
            runs(Path::new(program))
        } else {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).any(|folder| runs(&folder.join(program)))
        };
        if !found {
            self.error(key, format!("`{program}` cannot be run"), remedy);
        }
    }

    fn readable_folder(&mut self, key: &str, folder: &Path, remedy: &str) -> bool {
        let why = if folder.symlink_metadata().is_err() {
            "is not there".to_string()
        } else if !folder.is_dir() {
            "is no folder".to_string()
        } else {
            match access(folder, AccessFlags::R_OK | AccessFlags::X_OK) {
                Ok(()) => return true,
                Err(error) => format!("cannot be read: {}", error.desc()),
            }
        };
        self.error(key, format!("{} {why}", folder.display()), remedy);
        false
    }
}

/// Why a file cannot be read; None if it can.
fn unreadable(file: &Path) -> Option<String> {
    match file.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("is not there".to_string()),
        Err(error) => Some(format!("cannot be read: {error}")),
        Ok(about) if !about.is_file() => Some("is no file".to_string()),
        Ok(_) => access(file, AccessFlags::R_OK)
            .err()
            .map(|error| format!("cannot be read: {}", error.desc())),
    }
}

/// Where a path leads; the path itself where it leads nowhere.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| normal(path))
}
