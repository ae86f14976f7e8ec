//! A folder with a configuration, and the daemon that runs on it.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use wengu::api::client::Client;
use wengu::api::types::Status;

/// A journal that has not grown for so long is done with.
const QUIET: Duration = Duration::from_secs(3);
/// No wait takes longer.
const PATIENCE: Duration = Duration::from_secs(3600);

pub struct Site {
    dir: tempfile::TempDir,
    wengu: PathBuf,
    runtime: tokio::runtime::Runtime,
    daemon: Option<Child>,
    pub settle_ms: u64,
}

impl Site {
    pub fn new(wengu: &Path, parent: &Path, settle_ms: u64) -> Result<Site> {
        let dir = tempfile::Builder::new().prefix("bench-ingest-").tempdir_in(parent)?;
        // Paths of the daemon are absolute.
        let absolute = fs::canonicalize(dir.path())?;
        let config = format!(
            "state_dir = \"{0}/state\"\n[models.base]\npath = \"{0}\"\n[domains.bench]\nwatch = [\"{0}/inbox\"]\nmodel = \"base\"\n\
             [domains.bench.intake]\nsettle_ms = {settle_ms}\nmax_file_mib = 4096\n\
             [domains.bench.schedule]\nmin_new_examples = 1000000000\n",
            absolute.display()
        );
        fs::create_dir(dir.path().join("inbox"))?;
        fs::write(dir.path().join("wengu.toml"), config)?;
        Ok(Site {
            dir,
            wengu: fs::canonicalize(wengu).with_context(|| wengu.display().to_string())?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            daemon: None,
            settle_ms,
        })
    }

    /// Before its first start: a new key.
    pub fn encrypt(&self) -> Result<()> {
        let key = self.path("bench.key");
        let made = Command::new(&self.wengu).args(["key", "new"]).arg(&key).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let config = self.path("wengu.toml");
        let text = fs::read_to_string(&config)? + &format!("[encryption]\nkey_file = \"{}\"\n", key.display());
        Ok(fs::write(config, text)?)
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap_or_default().join(inside)
    }

    /// Starts the daemon; gives the time until it answers.
    pub fn start(&mut self) -> Result<Duration> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"))?;
        let began = Instant::now();
        let child = Command::new(&self.wengu)
            .arg("--config")
            .arg(self.path("wengu.toml"))
            .arg("run")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.daemon = Some(child);
        // Bound after the store is open, and answered from then on.
        while std::os::unix::net::UnixStream::connect(self.path("state/wengu.sock")).is_err() {
            ensure!(
                began.elapsed() < PATIENCE,
                "the daemon does not come up: {}",
                self.path("daemon.log").display()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(began.elapsed())
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Child::id)
    }

    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.daemon.take() {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(child.id() as i32),
                nix::sys::signal::Signal::SIGTERM,
            )?;
            child.wait()?;
        }
        Ok(())
    }

    pub fn status(&self) -> Result<Status> {
        let client = Client::new(&self.path("state/wengu.sock"))?;
        self.runtime.block_on(client.get("/v1/status", &[]))
    }

    /// How many files have a record, and how many of them are pooled.
    pub fn taken(&self, client: &Client) -> Result<(u64, u64)> {
        let status: Status = self.runtime.block_on(client.get("/v1/status", &[]))?;
        let files = &status.domains[0].files;
        Ok((files.values().sum(), files.get("pooled").copied().unwrap_or(0)))
    }

    /// A connection that stays open.
    pub fn client(&self) -> Result<Client> {
        Client::new(&self.path("state/wengu.sock"))
    }

    /// Waits until so many files are pooled and the journal stands still; gives when its last record came. The journal is looked at
    /// from outside, so that asking costs the daemon nothing.
    pub fn until_quiet(&self, files: u64) -> Result<SystemTime> {
        let began = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let last = self.last_record()?;
            if last.elapsed().unwrap_or_default() < QUIET {
                continue;
            }
            let status = self.status()?;
            let pooled = status.domains[0].files.get("pooled").copied().unwrap_or(0);
            if pooled >= files {
                return Ok(last);
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "only {pooled} of {files} files were read; see {}",
                self.path("daemon.log").display()
            );
        }
    }

    fn last_record(&self) -> Result<SystemTime> {
        let mut last = SystemTime::UNIX_EPOCH;
        for entry in fs::read_dir(self.path("state/store/journal"))? {
            last = last.max(entry?.metadata()?.modified()?);
        }
        Ok(last)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
