//! Models from a Hugging Face hub or a mirror of one: the revision is pinned to its commit, downloads go on where they were
//! cut, large files are held against their SHA-256, and what other tools have in their cache is not fetched again.

pub mod answer;
mod download;
pub mod files;

use anyhow::{Context, Result, bail, ensure};
use hf_hub::{Cache, Repo, RepoType};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wengu_store::durable;

/// What was downloaded, kept in the model's folder.
pub const SOURCE_FILE: &str = "wengu-source.json";

/// A hub, and how it is reached.
pub struct Hub {
    /// Such as `https://huggingface.co`, without a slash at the end.
    pub endpoint: String,
    /// Sent to the endpoint's own host and to no other.
    pub token: Option<String>,
    /// Nothing is asked of the hub; only the cache is read.
    pub offline: bool,
    /// Where other tools keep what they downloaded.
    pub cache: Cache,
    /// After the first failure; doubled with each further one.
    pub pause: Duration,
    http: reqwest::Client,
}

/// A model at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// ORGANISATION/NAME.
    pub repo: String,
    /// As it was asked for: a branch, a tag or a commit.
    pub revision: String,
    /// The commit that it stood for.
    pub commit: String,
}

/// Told of each file: its name, its place among all, bytes that are there and bytes in all (0: unknown).
pub type Watch<'a> = dyn FnMut(&str, (usize, usize), u64, u64) + 'a;

impl Hub {
    /// As the environment says: HF_ENDPOINT, HF_TOKEN (or the token that a login left), HF_HUB_OFFLINE, HF_HOME.
    pub fn from_env() -> Result<Hub> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let cache = Cache::from_env();
        let token = set("HF_TOKEN").or_else(|| cache.token());
        let mut hub = Hub::new(&endpoint, token, cache)?;
        hub.offline = set("HF_HUB_OFFLINE")
            .is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str()));
        Ok(hub)
    }

    /// A hub that is asked.
    pub fn new(endpoint: &str, token: Option<String>, cache: Cache) -> Result<Hub> {
        crate::tls::install();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(Duration::from_secs(60))
            // Followed by hand: the first answer has the digest, and the token stays with its host.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Hub {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            offline: false,
            cache,
            pause: Duration::from_secs(1),
            http,
        })
    }

    /// Downloads the files of a model that wengu or a server beside it reads into `to`, which must not exist. They lie in
    /// `to` with `.partial` at its end until all are there, where an interrupted download is taken up again.
    pub async fn pull(&self, repo: &str, revision: &str, to: &Path, watch: &mut Watch<'_>) -> Result<Source> {
        check_name("model", repo)?;
        check_name("revision", revision)?;
        ensure!(
            to.symlink_metadata().is_err(),
            "{} exists already; remove it to download the model again",
            to.display()
        );
        let (commit, names) = match self.offline {
            true => self.in_cache(repo, revision)?,
            false => self.ask(repo, revision).await?,
        };
        let names = files::needed(&names);
        ensure!(
            names.iter().any(|name| name.ends_with(".safetensors")),
            "{repo} has no model.safetensors; wengu reads no other weights. Look for a revision or a copy that has them"
        );
        let source = Source {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            commit,
        };
        let building = PathBuf::from(format!("{}.partial", to.display()));
        begin(&building, &source)?;
        for (i, name) in names.iter().enumerate() {
            let target = building.join(name);
            if target.exists() {
                continue;
            }
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            }
            let mut watch = |done, total| watch(name, (i + 1, names.len()), done, total);
            if !self.copy_cached(&source, name, &target)? {
                ensure!(
                    !self.offline,
                    "{name} of {repo} is not in the cache; unset HF_HUB_OFFLINE to download it"
                );
                self.download(&source, name, &target, &mut watch).await?;
            }
        }
        crate::learn::adopt::sync_all(&building)?;
        durable::rename_durable(&building, to).with_context(|| to.display().to_string())?;
        Ok(source)
    }

    /// The commit of a revision and the names of its files.
    async fn ask(&self, repo: &str, revision: &str) -> Result<(String, Vec<String>)> {
        let url = format!(
            "{}/api/models/{repo}/revision/{}",
            self.endpoint,
            revision.replace('/', "%2F")
        );
        let mut answer = self.get(&url, 0).await?.response;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.with_context(|| url.clone())? {
            ensure!(
                body.len() + chunk.len() <= answer::LIST_BYTES_MAX,
                "{url}: the list of its files has more than {} bytes; a hub has none of that length",
                answer::LIST_BYTES_MAX
            );
            body.extend_from_slice(&chunk);
        }
        answer::commit_and_names(&body).with_context(|| url)
    }

    fn cached(&self, repo: &str, revision: &str) -> hf_hub::CacheRepo {
        let repo = Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned());
        self.cache.repo(repo)
    }

    /// The commit that the cache has for a revision and the names of its files.
    fn in_cache(&self, repo: &str, revision: &str) -> Result<(String, Vec<String>)> {
        let held = self.cached(repo, revision);
        let folder = match is_hex(revision, 40) {
            true => Some(held.pointer_path(revision)),
            false => held
                .get("config.json")
                .and_then(|path| path.parent().map(Path::to_path_buf)),
        };
        let folder = folder.filter(|folder| folder.is_dir()).with_context(|| {
            let cache = self.cache.path().display();
            format!("{repo} at {revision} is not in the cache {cache}, and HF_HUB_OFFLINE forbids to download it")
        })?;
        let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((commit, files::names(&folder)?))
    }

    /// Takes a file from the cache; false where it is not there whole.
    fn copy_cached(&self, source: &Source, name: &str, target: &Path) -> Result<bool> {
        let held = self
            .cached(&source.repo, &source.revision)
            .pointer_path(&source.commit)
            .join(name);
        let Ok(blob) = held.canonicalize() else {
            return Ok(false);
        };
        // A large file's blob is named by its digest.
        let digest = blob.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_hex(&digest, 64) && crate::digest::sha256_file(&blob)? != digest {
            return Ok(false);
        }
        let partial = download::incomplete(target);
        std::fs::copy(&blob, &partial).with_context(|| blob.display().to_string())?;
        std::fs::rename(&partial, target)?;
        Ok(true)
    }
}

/// Makes the folder; what it holds of another commit is removed.
fn begin(building: &Path, source: &Source) -> Result<()> {
    let path = building.join(SOURCE_FILE);
    let held = std::fs::read(&path).ok();
    let held: Option<Source> = held.and_then(|text| serde_json::from_slice(&text).ok());
    if building.exists()
        && held.is_none_or(|held| (held.repo, held.commit) != (source.repo.clone(), source.commit.clone()))
    {
        std::fs::remove_dir_all(building).with_context(|| building.display().to_string())?;
    }
    std::fs::create_dir_all(building).with_context(|| building.display().to_string())?;
    durable::write_file(&path, &serde_json::to_vec_pretty(source)?).with_context(|| path.display().to_string())
}

/// Names that can stand in a URL and in a path as they are.
fn check_name(what: &str, name: &str) -> Result<()> {
    let fine = |part: &str| {
        let letters = part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        !part.is_empty() && letters && !part.starts_with('.')
    };
    if !name.split('/').all(fine) || (what == "model" && name.split('/').count() > 2) {
        bail!(
            "\"{name}\" is not the name of a {what}; write it as the hub does, as in BAAI/bge-small-zh-v1.5 and main"
        );
    }
    Ok(())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
