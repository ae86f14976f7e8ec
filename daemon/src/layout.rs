//! Where things lie in the state directory.
//!
//! ```text
//! store/                     journal, objects, index (the store's own)
//! jobs/DOMAIN/RUN/           job directories of open and failed runs, unless `[trainer] jobs_dir` is elsewhere
//! jobs/DOMAIN/tune-…/        what is being fitted: its plan, what its trials said, their job directories
//! versions/DOMAIN/ID/        immutable version directories
//! versions/DOMAIN/current    symlink to the one in service
//! forget/                    marks of what was forgotten, orders under way, receipts, their key
//! feedback/DOMAIN/           what came over the API, until it is read
//! plugins/                   installed plugins
//! reserve                    given up when the disk is full
//! wengu.sock                 control socket
//! ```

use std::path::{Path, PathBuf};

/// The state directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    jobs: PathBuf,
}

impl Layout {
    /// The layout under `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        Layout {
            root: state_dir.to_path_buf(),
            jobs: state_dir.join("jobs"),
        }
    }

    /// The same with its jobs elsewhere.
    pub fn with_jobs(self, jobs: Option<&Path>) -> Self {
        match jobs {
            Some(jobs) => Layout {
                jobs: jobs.to_path_buf(),
                ..self
            },
            None => self,
        }
    }

    /// The state directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The store's directory.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// All job directories.
    pub fn jobs(&self) -> PathBuf {
        self.jobs.clone()
    }

    /// The job directory of a run, or of one of its baselines.
    pub fn job(&self, domain: &str, run: u64, baseline: Option<&str>) -> PathBuf {
        let name = match baseline {
            None => format!("{run:04}"),
            Some(b) => format!("{run:04}-{b}"),
        };
        self.jobs_of(domain).join(name)
    }

    /// All job directories of a domain.
    pub fn jobs_of(&self, domain: &str) -> PathBuf {
        self.jobs.join(domain)
    }

    /// All versions of all domains.
    pub fn all_versions(&self) -> PathBuf {
        self.root.join("versions")
    }

    /// Where hyper-parameters of a domain are being fitted, since somebody asked at this time. Forgetting clears it with the job
    /// directories.
    pub fn tuning(&self, domain: &str, asked_ms: i64) -> PathBuf {
        self.jobs_of(domain).join(format!("tune-{asked_ms}"))
    }

    /// All versions of a domain.
    pub fn versions(&self, domain: &str) -> PathBuf {
        self.all_versions().join(domain)
    }

    /// One version's directory.
    pub fn version(&self, domain: &str, id: &str) -> PathBuf {
        self.versions(domain).join(id)
    }

    /// The symlink that a serving stack follows.
    pub fn current(&self, domain: &str) -> PathBuf {
        self.versions(domain).join("current")
    }

    /// The file that is given up when the disk is full.
    pub fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// Where case files that come over the API are put, to be taken like others.
    pub fn feedback(&self, domain: &str) -> PathBuf {
        self.all_feedback().join(domain)
    }

    /// The same of all domains.
    pub fn all_feedback(&self) -> PathBuf {
        self.root.join("feedback")
    }

    /// What forgetting keeps.
    pub fn forget(&self) -> PathBuf {
        self.root.join("forget")
    }

    /// Installed plugins.
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }
}
