//! What is disturbed: a daemon that learns two deliveries, is rolled back and gets a plugin, while something kills it.

use crate::found::{self, Found};
use crate::refuse::Refusal;
use crate::support::{last_words, program, root};
use crate::{model, receiver};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What no wait takes longer than, whatever kills meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Files of a delivery, and records in each.
const FILES: usize = 6;
const RECORDS: usize = 14;

/// When the daemon is killed from outside.
pub type Kills<'k> = &'k mut dyn FnMut() -> Option<Duration>;

/// The job and its daemon.
pub struct Job {
    dir: tempfile::TempDir,
    /// `WENGU_FAILPOINTS`.
    points: String,
    daemon: Option<Child>,
    pub kills: u64,
    pub arrivals: receiver::Arrivals,
    next_kill: Option<Instant>,
    /// What the disk does to files whose paths begin so.
    pub refusal: Option<(Refusal, PathBuf)>,
    /// Whether what serves is held against its lineage before each start.
    pub check_champion: bool,
}

/// Runs the job from beginning to end, with these failpoints and these kills from outside.
pub fn run(points: &str, kills: Kills) -> Found {
    to_the_end(&mut Job::new(points, ""), kills)
}

/// The same with the store's second index.
pub fn run_on_redb(points: &str) -> Found {
    let mut job = Job::new(points, "[store]\nindex = \"redb\"\n");
    let found = to_the_end(&mut job, &mut || None);
    assert!(job.path("state/store/index-redb").exists());
    found
}

/// What came of a job on a disk that refused one operation.
pub struct Refused {
    pub found: Found,
    /// The operation, if it came to that.
    pub what: Option<String>,
    /// How many there were.
    pub operations: u64,
}

/// Runs it on a disk that refuses the `at`th operation; 0: none.
pub fn run_refused(how: &'static str, at: u64) -> Refused {
    let mut job = Job::new("", "");
    let refusal = Refusal::new(how, at, job.path("count"));
    job.refusal = Some((refusal.clone(), job.path("state")));
    let found = to_the_end(&mut job, &mut || None);
    Refused {
        found,
        what: refusal.refused(),
        operations: refusal.operations(),
    }
}

/// Runs it; each time that a failpoint has killed the daemon, `damage` may do something to the job directory of the first run.
pub fn run_damaging(points: &str, mut damage: impl FnMut(&Path)) -> Found {
    let mut job = Job::new(points, "");
    job.start();
    job.deliver(1);
    for _ in points.split(',') {
        let status = job.daemon.as_mut().expect("the daemon was started").wait().unwrap();
        assert_eq!(status.signal(), Some(9), "the daemon left: {status}\n{}", job.log());
        job.kills += 1;
        damage(&job.path("state/jobs/contracts/0001"));
        job.start();
    }
    from_the_first(&mut job, &mut || None)
}

/// Runs it on a disk that is full once, at the `at`th operation on what begins with this path in the state directory.
pub fn run_refusing(inside: &str, at: u64) -> Found {
    let mut job = Job::new("", "");
    let refusal = Refusal::new("enospc", at, job.path("count"));
    job.refusal = Some((refusal.clone(), job.path("state").join(inside)));
    let found = to_the_end(&mut job, &mut || None);
    let what = refusal.refused().expect("nothing was refused");
    assert!(what.contains(inside), "{what}");
    found
}

/// Runs it on a disk that loses every rename onto this path in the state directory, and says that it was done.
pub fn run_losing(inside: &str) -> Found {
    let mut job = Job::new("", "");
    let refusal = Refusal::new("lost", 0, job.path("count"));
    job.refusal = Some((refusal.clone(), job.path("state").join(inside)));
    let found = to_the_end(&mut job, &mut || None);
    assert!(refusal.refused().is_some(), "nothing was lost");
    found
}

/// Runs it on a disk that is full once, at a write of the first reading that writes.
pub fn run_with_a_failed_reading() -> Found {
    let failed = |at| {
        let mut job = Job::new("", "");
        let refusal = Refusal::new("enospc", at, job.path("count"));
        job.refusal = Some((refusal.clone(), job.path("state/store/objects")));
        job.start();
        job.deliver(1);
        job.until(&mut || None, "a write was refused", |_| refusal.refused().is_some());
        // Which writes are a reading's and which are what came before it is not known from outside.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            if job.log().contains("reading_failed") {
                return Some(job);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    };
    let mut job = (1..100).find_map(failed).expect("no refused write made a reading fail");
    from_the_first(&mut job, &mut || None)
}

/// What a job left: this can be looked at again.
pub fn look(job: &Job) -> Found {
    found::look(
        job.dir.path(),
        job.kills,
        &job.arrivals.lock().unwrap(),
        job.was_disturbed(),
    )
}

pub fn to_the_end(job: &mut Job, kills: Kills) -> Found {
    job.next_kill = kills().map(|wait| Instant::now() + wait);
    job.start();
    job.deliver(1);
    from_the_first(job, kills)
}

/// The rest, after the first delivery.
fn from_the_first(job: &mut Job, kills: Kills) -> Found {
    job.until_run(kills, 1);
    job.deliver(2);
    job.until_run(kills, 2);
    job.roll_back(kills);
    job.install(kills);
    job.until(kills, "all has been told", |status| status["alerts"]["waiting"] == 0);
    job.stop();
    look(job)
}

/// Records of a delivery: the second has one label more. Each label has words of its own.
fn records(number: usize) -> Vec<Value> {
    let words = ["甲 合同", "罚 款", "土 地", "技 术"];
    let labels = &words[..(2 + number).min(words.len())];
    (0..FILES * RECORDS)
        .map(|i| {
            let label = i % labels.len();
            // No text is nearly there twice, and what distinguishes them is not what the label depends on.
            let letter = |n: usize| char::from(b'a' + ((i + 1) * (7 * n + 3) * (number + 4) % 97 % 26) as u8);
            let word = |n: usize| format!("{}{}{}", letter(n), letter(n + 5), letter(n + 11));
            let text = format!("{} {} {} {}", labels[label], word(1), word(2), word(3));
            json!({"doc": format!("{number}-{i}"), "text": text, "label": format!("label-{label}")})
        })
        .collect()
}

impl Job {
    /// A job that has not begun, with more in its configuration.
    pub fn new(points: &str, config: &str) -> Job {
        let dir = tempfile::tempdir().unwrap();
        model::write(&dir.path().join("model"));
        fs::create_dir(dir.path().join("inbox")).unwrap();
        let (port, arrivals) = receiver::listen();
        let secret = BASE64_STANDARD.encode([7; 32]);
        let config = format!(
            "state_dir = \"state\"\n[trainer]\nthreads = 1\n[models.base]\npath = \"model\"\n\
             [domains.contracts]\nwatch = [\"inbox\"]\nmodel = \"base\"\n\
             [domains.contracts.intake]\ncase_field = \"doc\"\nsettle_ms = 100\n\
             [domains.contracts.schedule]\nmin_new_examples = 20\n\
             [domains.contracts.learning]\nmax_length = 16\nepochs = 6\nbatch_size = 8\nfisher_examples = 4\n\
             learning_rate = 1e-2\n\
             [domains.contracts.gate]\ngate_percent = 30\naudit_percent = 5\nmargin_points = 45.0\nmin_items = 10\n\
             [webhooks.oncall]\nurl = \"http://127.0.0.1:{port}/\"\nallow_addresses = [\"127.0.0.1\"]\n\
             secret = \"whsec_{secret}\"\nsecret_plaintext_i_know = true\n{config}"
        );
        fs::write(dir.path().join("wengu.toml"), config).unwrap();
        Job {
            dir,
            points: points.into(),
            daemon: None,
            kills: 0,
            arrivals,
            next_kill: None,
            refusal: None,
            check_champion: true,
        }
    }

    /// Counts arrivals of a type, also while the job is waited for.
    pub fn told(&self) -> impl Fn(&str) -> usize + use<> {
        let arrivals = self.arrivals.clone();
        move |kind| {
            arrivals
                .lock()
                .unwrap()
                .iter()
                .filter(|(_, event)| event["type"] == kind)
                .count()
        }
    }

    /// SIGKILL, and a new start.
    pub fn kill(&mut self) {
        self.next_kill = Some(Instant::now());
        self.tick(&mut || None);
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// A command of the command line, with the job's failpoints.
    pub fn wengu(&self) -> Command {
        let mut command = Command::new(program("wengu"));
        command
            .arg("--config")
            .arg(self.path("wengu.toml"))
            .env("WENGU_FAILPOINTS", &self.points)
            .env("WENGU_FAILPOINTS_LOG", self.path("reached"))
            .stdin(Stdio::null());
        if let Some((refusal, of)) = &self.refusal {
            refusal.preload(&mut command, of);
        }
        command
    }

    /// Whether the disk has refused something, or threads panic, so that a process may end as it likes.
    pub fn was_disturbed(&self) -> bool {
        let refused = |(refusal, _): &(Refusal, PathBuf)| refusal.refused().is_some();
        self.points.contains("=panic@") || self.refusal.as_ref().is_some_and(refused)
    }

    pub fn start(&mut self) {
        if self.check_champion {
            found::champion(&self.path("state")).unwrap_or_else(|why| panic!("at a start: {why}"));
        }
        let log = self.path("daemon.log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = self.wengu();
        command.arg("run").stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
    }

    /// Kills what is to be killed, and starts anew what was killed.
    pub fn tick(&mut self, kills: Kills) {
        let was_disturbed = self.was_disturbed();
        let daemon = self.daemon.as_mut().expect("the daemon was started");
        if self.next_kill.is_some_and(|at| at <= Instant::now()) {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
            self.next_kill = kills().map(|wait| Instant::now() + wait);
        } else {
            match daemon.try_wait().unwrap() {
                None => return,
                Some(_) if was_disturbed => {}
                Some(status) => assert_eq!(status.signal(), Some(9), "the daemon left: {status}\n{}", self.log()),
            }
        }
        self.kills += 1;
        self.start();
    }

    pub fn until(&mut self, kills: Kills, what: &str, condition: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            self.tick(kills);
            if self
                .ask("GET", "/v1/status", "")
                .is_some_and(|status| condition(&status))
            {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "with {:?} waited too long until {what}: {:?}\n{}",
                self.points,
                self.ask("GET", "/v1/status", ""),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn until_run(&mut self, kills: Kills, number: u64) {
        self.until(kills, &format!("run {number} has ended"), |status| {
            status["domains"][0]["last_run"]["run"] == number
        });
    }

    /// What the daemon answers; None while it is not there.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(self.path("state/wengu.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: wengu\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200")
            .then(|| serde_json::from_str(body).ok())
            .flatten()
    }

    /// A folder that appears at once.
    pub fn deliver(&self, number: usize) {
        let outside = self.path("outgoing");
        fs::create_dir(&outside).unwrap();
        for (i, chunk) in records(number).chunks(RECORDS).enumerate() {
            let text: String = chunk.iter().map(|record| format!("{record}\n")).collect();
            fs::write(outside.join(format!("{i}.jsonl")), text).unwrap();
        }
        fs::rename(&outside, self.path("inbox").join(number.to_string())).unwrap();
    }

    /// Asks until the first version serves: a daemon that was killed may or may not have done it.
    fn roll_back(&mut self, kills: Kills) {
        let mut versions = BTreeMap::new();
        while versions.len() < 2 {
            self.tick(kills);
            if let Some(found) = self.ask("GET", "/v1/versions?domain=contracts", "") {
                let found = found.as_array().unwrap().iter();
                versions = found
                    .map(|v| (v["run"].as_u64().unwrap(), v["id"].as_str().unwrap().to_string()))
                    .collect();
            }
        }
        let first = versions[&1].clone();
        let began = Instant::now();
        loop {
            self.tick(kills);
            let status = self.ask("GET", "/v1/status", "");
            if status.is_some_and(|status| status["domains"][0]["serving"]["version"] == first.as_str()) {
                return;
            }
            let order = json!({"domain": "contracts", "to": first}).to_string();
            self.ask("POST", "/v1/rollback", &order);
            assert!(began.elapsed() < PATIENCE, "not rolled back\n{}", self.log());
        }
    }

    /// Installs a plugin by the command line, which is killed as well; the operator tries again.
    fn install(&mut self, kills: Kills) {
        let package = plugin();
        loop {
            self.tick(kills);
            let mut command = self.wengu();
            command.args(["plugin", "install", "--allow-unsigned"]).arg(&package);
            let output = command.output().unwrap();
            match output.status.signal() {
                Some(9) => self.kills += 1,
                _ => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success() || self.was_disturbed(), "{said}");
                    if output.status.success() {
                        return;
                    }
                }
            }
        }
    }

    pub fn stop(&mut self) {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        let pid = nix::unistd::Pid::from_raw(daemon.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = daemon.wait().unwrap();
        assert!(status.success() || self.was_disturbed(), "{status}\n{}", self.log());
    }

    pub fn log(&self) -> String {
        last_words(&self.path("daemon.log"))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// The example plugin, compiled once per process.
fn plugin() -> PathBuf {
    static PACKAGE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let compile = || {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("weather-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let source = root().join("examples/plugin-c");
        fs::copy(source.join("manifest.toml"), folder.join("manifest.toml")).unwrap();
        let status = Command::new("cc")
            .args(["-std=c11", "-fPIC", "-shared", "-I"])
            .arg(root().join("plugin-api/include"))
            .arg("-o")
            .args([folder.join("libweather.so"), source.join("weather.c")])
            .status()
            .expect("the tests need a C compiler named cc");
        assert!(status.success());
        folder
    };
    PACKAGE.get_or_init(compile).clone()
}
