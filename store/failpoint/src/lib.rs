//! Named places in a daemon, its trainer and its tools at which a test kills the process with SIGKILL, or has the thread panic.
//!
//! `WENGU_FAILPOINTS=adopt.renamed=kill@3,train.step=kill_both@1` kills the process that reaches `adopt.renamed` for the
//! third time, and whoever reaches `train.step` first together with its parent; `ACTION` is `panic` for a thread that
//! panics. `WENGU_FAILPOINTS_LOG=FILE` has every place
//! that is reached written there, a line each, and has them counted over all processes that share the file: a place that
//! has killed does not kill again after the restart. Without it each process counts for itself.
//!
//! Only programs with debug assertions look at these variables; in a release build [`hit`] is nothing, so that nobody
//! ends a daemon by its environment. The `fail` crate was considered: its environment knows no SIGKILL (a panic unwinds
//! and runs destructors), it counts within one process, and its feature makes another build of everything.

mod points;

pub use points::POINTS;

/// Reaches the place `name`, which is one of [`POINTS`].
#[inline]
pub fn hit(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::hit(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use super::POINTS;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::{Pid, getppid};
    use std::collections::BTreeMap;
    use std::env;
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, OnceLock, PoisonError};

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Kill,
        KillBoth,
        Panic,
    }

    #[derive(Debug, Default)]
    struct Armed {
        /// By name: what happens, and at which time.
        actions: BTreeMap<String, (Action, u64)>,
        log: Option<PathBuf>,
        /// How often each was reached, where no log tells.
        counts: Mutex<BTreeMap<&'static str, u64>>,
    }

    pub fn hit(name: &'static str) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let Some(armed) = ARMED.get_or_init(from_environment) else {
            return;
        };
        assert!(POINTS.contains(&name), "the failpoint {name} is not in the table");
        let mut counts = armed.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match &armed.log {
            Some(log) => count_in(log, name),
            None => {
                let count = counts.entry(name).or_default();
                *count += 1;
                *count
            }
        };
        // Still under the lock: no other thread gets further than its next place.
        match armed.actions.get(name).filter(|(_, at)| *at == count) {
            Some((Action::Panic, _)) => {
                drop(counts);
                panic!("at the failpoint {name}");
            }
            Some((action, _)) => die(*action),
            None => {}
        }
    }

    fn from_environment() -> Option<Armed> {
        let text = env::var("WENGU_FAILPOINTS").unwrap_or_default();
        let log = env::var_os("WENGU_FAILPOINTS_LOG").map(PathBuf::from);
        if text.is_empty() && log.is_none() {
            return None;
        }
        let actions = parse(&text).unwrap_or_else(|why| panic!("WENGU_FAILPOINTS: {why}"));
        Some(Armed {
            actions,
            log,
            counts: Mutex::default(),
        })
    }

    fn parse(text: &str) -> Result<BTreeMap<String, (Action, u64)>, String> {
        let mut actions = BTreeMap::new();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let parts = word.split_once('=').and_then(|(name, what)| {
                let (action, at) = what.split_once('@')?;
                Some((name, action, at.parse().ok()?))
            });
            let Some((name, action, at)) = parts else {
                return Err(format!(
                    "\"{word}\" is not NAME=ACTION@COUNT, as in adopt.renamed=kill@1"
                ));
            };
            let action = match action {
                "kill" => Action::Kill,
                "kill_both" => Action::KillBoth,
                "panic" => Action::Panic,
                other => {
                    return Err(format!(
                        "no action is called {other}; there are kill, kill_both and panic"
                    ));
                }
            };
            if !POINTS.contains(&name) {
                return Err(format!("no failpoint is called {name}"));
            }
            actions.insert(name.to_string(), (action, at));
        }
        Ok(actions)
    }

    /// Adds a line and returns how many there are of `name`, as if no other process did so meanwhile.
    fn count_in(log: &Path, name: &str) -> u64 {
        let counted = (|| {
            let mut file = File::options().create(true).append(true).open(log)?;
            file.lock()?;
            file.write_all(format!("{name}\n").as_bytes())?;
            fs::read_to_string(log)
        })();
        let text = counted.unwrap_or_else(|e| panic!("WENGU_FAILPOINTS_LOG {}: {e}", log.display()));
        text.lines().filter(|line| *line == name).count() as u64
    }

    fn die(action: Action) -> ! {
        if action == Action::KillBoth {
            let _ = kill(getppid(), Signal::SIGKILL);
        }
        let _ = kill(Pid::this(), Signal::SIGKILL);
        unreachable!("SIGKILL is not survived")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_not_understood_is_refused_by_name() {
            let parsed = parse("adopt.renamed=kill@3,train.step=kill_both@1").unwrap();
            assert_eq!(parsed["adopt.renamed"], (Action::Kill, 3));
            assert_eq!(parsed["train.step"], (Action::KillBoth, 1));
            for (text, why) in [
                ("adopt.renamed", "NAME=ACTION@COUNT"),
                ("adopt.renamed=kill@x", "NAME=ACTION@COUNT"),
                ("adopt.renamed=leave@1", "no action is called leave"),
                ("adopt.renamd=kill@1", "no failpoint is called adopt.renamd"),
            ] {
                assert!(parse(text).unwrap_err().contains(why), "{text}");
            }
        }

        #[test]
        fn counts_go_on_over_processes_that_share_a_log() {
            let dir = tempfile::tempdir().unwrap();
            let log = dir.path().join("log");
            assert_eq!(count_in(&log, "a"), 1);
            assert_eq!(count_in(&log, "b"), 1);
            assert_eq!(count_in(&log, "a"), 2);
        }
    }
}
