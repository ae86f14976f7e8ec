//! A daemon of its own for each test: a folder, a configuration, a process.

use crate::support::last_words;
pub use crate::support::{program, root};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What no wait of a test takes longer than, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(300);

/// The default model, if it and the trainer are there.
pub fn model() -> Option<PathBuf> {
    let model = root().join(".deps/models/all-MiniLM-L6-v2");
    let trainer = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("wengu-trainer");
    if model.join("model.safetensors").exists() && trainer.exists() {
        return Some(model);
    }
    assert!(
        std::env::var_os("WENGU_REQUIRE_MODEL").is_none(),
        "the model or the trainer is missing: `make setup build`"
    );
    println!("skipped: needs .deps/models/all-MiniLM-L6-v2 and wengu-trainer (`make setup build`)");
    None
}

/// A folder with a configuration, and the daemon that runs on it.
pub struct Site {
    pub dir: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Site {
    /// One domain `contracts` on `inbox/`; `extra` is appended to the configuration.
    pub fn new(extra: &str) -> Site {
        let model = root().join(".deps/models/all-MiniLM-L6-v2");
        let config = format!(
            "state_dir = \"state\"\n[trainer]\nthreads = 1\n[models.base]\npath = \"{}\"\n\
             [domains.contracts]\nwatch = [\"inbox\"]\nmodel = \"base\"\n\
             [domains.contracts.intake]\ncase_field = \"doc\"\nsettle_ms = 200\n\
             [domains.contracts.schedule]\nmin_new_examples = 20\n{extra}",
            model.display()
        );
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("inbox")).unwrap();
        fs::write(dir.path().join("wengu.toml"), config).unwrap();
        Site { dir, daemon: None }
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// The configuration as it stands.
    pub fn config(&self) -> String {
        fs::read_to_string(self.path("wengu.toml")).unwrap()
    }

    /// Puts `to` in place of `from`, which stands in the configuration.
    pub fn rewrite(&self, from: &str, to: &str) {
        let config = self.config();
        assert!(config.contains(from), "{from:?} does not stand in\n{config}");
        fs::write(self.path("wengu.toml"), config.replace(from, to)).unwrap();
    }

    /// Another folder for the base model, relative to the site's.
    pub fn use_model(&self, folder: &str) {
        let config = self.config();
        let path = config.lines().find(|line| line.starts_with("path = ")).unwrap();
        self.rewrite(path, &format!("path = \"{folder}\""));
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// As [`Site::start`], with more in its environment.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        self.start_as(|command| {
            command.envs(environment.iter().copied());
        });
    }

    /// As [`Site::start`], with something changed about its process.
    pub fn start_as(&mut self, change: impl FnOnce(&mut Command)) {
        assert!(self.daemon.is_none());
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"))
            .unwrap();
        let mut command = self.command(&["run"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        change(&mut command);
        self.daemon = Some(command.spawn().unwrap());
        self.until("the daemon answers", |site| site.try_json(&["status"]).is_some());
    }

    /// The daemon's process.
    pub fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon runs").id()
    }

    /// SIGKILL, no farewell.
    pub fn kill(&mut self) {
        let mut child = self.daemon.take().expect("the daemon runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; returns how long it took to leave, and panics unless it left with success.
    pub fn stop(&mut self) -> Duration {
        let mut child = self.daemon.take().expect("the daemon runs");
        let began = Instant::now();
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "the daemon left with {status}\n{}", self.log());
        began.elapsed()
    }

    /// A command of the command line.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(&[]);
        command.arg("--config").arg(self.path("wengu.toml")).args(arguments);
        command
    }

    /// A command that knows of no configuration.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("wengu"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of the command line.
    pub fn wengu(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn try_json(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.command(arguments).arg("--json").output().unwrap();
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Runs a command with `--json` and reads its answer.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.try_json(arguments)
            .unwrap_or_else(|| panic!("wengu {arguments:?} failed\n{}", self.log()))
    }

    /// Trains, waits for the verdict and returns the run with the exit code.
    pub fn train(&self) -> (Value, i32) {
        let output = self.command(&["train", "contracts", "--json"]).output().unwrap();
        let run = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", String::from_utf8_lossy(&output.stdout), self.log()));
        (run, output.status.code().unwrap())
    }

    /// Files by state.
    pub fn files(&self) -> std::collections::BTreeMap<String, usize> {
        let mut states = std::collections::BTreeMap::new();
        for file in self.json(&["files"]).as_array().unwrap() {
            *states.entry(file["state"].as_str().unwrap().to_string()).or_default() += 1;
        }
        states
    }

    /// Waits until `condition` holds.
    pub fn until(&self, what: &str, condition: impl Fn(&Site) -> bool) {
        let began = Instant::now();
        while !condition(self) {
            assert!(
                began.elapsed() < PATIENCE,
                "waited too long until {what}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Puts records into the inbox at once, as one file of JSON Lines.
    pub fn deliver(&self, name: &str, records: &[Value]) {
        let text: String = records.iter().map(|r| format!("{r}\n")).collect();
        self.drop_file(name, text.as_bytes());
    }

    /// Puts a file into the inbox the way a careful producer does: written elsewhere, then renamed.
    pub fn drop_file(&self, name: &str, bytes: &[u8]) {
        let outside = self.path("outgoing");
        fs::write(&outside, bytes).unwrap();
        fs::rename(&outside, self.path("inbox").join(name)).unwrap();
    }

    /// What the daemon has said.
    pub fn log(&self) -> String {
        last_words(&self.path("daemon.log"))
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

/// Records of the demo's deliveries: `each` of each label, those of the same contract kept together.
pub fn clauses(file: &str, labels: usize, each: usize) -> Vec<Value> {
    let text = fs::read_to_string(root().join("examples/demo/contracts").join(file)).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut taken: std::collections::BTreeMap<String, usize> = Default::default();
    let mut names: Vec<String> = records
        .iter()
        .map(|r| r["label"].as_str().unwrap().to_string())
        .collect();
    names.sort();
    names.dedup();
    names.truncate(labels);
    records
        .into_iter()
        .filter(|r| {
            let label = r["label"].as_str().unwrap().to_string();
            let n = taken.entry(label.clone()).or_default();
            *n += 1;
            names.contains(&label) && *n <= each
        })
        .collect()
}

/// Learns what is delivered and nothing else, so that wrong labels have their effect.
pub const FORGETFUL: &str = "epochs = 4\nreplay_ratio = 0.0\ndistill_alpha = 0.0\ndistill_new_alpha = 0.0\newc_lambda = 0.0\n\
     discriminant_weight = 0.0";

/// Few steps, short texts: enough to learn something, quick enough for a test.
pub const QUICK_LEARNING: &str = "[domains.contracts.learning]\nmax_length = 48\nepochs = 2\nfisher_examples = 8\n\
     [domains.contracts.gate]\ngate_percent = 30\naudit_percent = 5\nmargin_points = 30.0\nmin_items = 10\n";
