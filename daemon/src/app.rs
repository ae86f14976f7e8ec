//! Builds every task of the daemon and owns their order of start and stop.

use crate::engine::Engine;
use crate::panics::without_words;
use crate::{api, clock, intake, learn, outbox, schedule};
use anyhow::Result;
use nix::libc;
use nix::sys::signal::{SigHandler, Signal};
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use wengu_config::Config;

/// From the signal to the exit, whatever is under way.
const DRAIN: Duration = Duration::from_secs(30);

/// Between looks whether the store still works.
const HEALTH: Duration = Duration::from_secs(2);

/// What systemd is asked for, again and again, while the store is opened.
const MORE_TIME: Duration = Duration::from_secs(120);

/// Runs the daemon until SIGTERM or SIGINT. A second signal skips the waiting.
pub async fn run(config: Config) -> Result<()> {
    crate::tls::install();
    crate::panics::log_places();
    // The command line dies of a closed pipe; a peer that leaves must not end the daemon.
    // SAFETY: SIG_IGN is no handler of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
    forbid_new_code();
    // Signals first: one that comes during the start must not kill what has begun.
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut opening = tokio::task::spawn_blocking(move || Engine::open(config));
    let engine = loop {
        tokio::select! {
            engine = &mut opening => break engine.map_err(without_words)??,
            // An index that is built anew takes minutes.
            () = tokio::time::sleep(MORE_TIME / 2) => {
                let more = NotifyState::ExtendTimeoutUsec(MORE_TIME.as_micros() as u32);
                let _ = sd_notify::notify(&[more]);
            }
        }
    };
    let listener = api::server::bind(&engine)?;
    let socket = engine.config.socket.clone();
    let mut tasks = JoinSet::new();
    for domain in engine.config.domains.values() {
        // From before the scheduler's first round: what was taken and not read before a stop belongs to the run that comes.
        engine.live().busy_since.insert(domain.name.clone(), clock::now_ms());
        tasks.spawn(intake::run(engine.clone(), domain.clone()));
    }
    tasks.spawn(schedule::run(engine.clone()));
    tasks.spawn(outbox::run(engine.clone()));
    tasks.spawn(watchdog(engine.clone()));
    let server = engine.clone();
    tasks.spawn(async move {
        if let Err(e) = api::server::serve(server, listener).await {
            tracing::error!(error = format!("{e:#}"), "control_socket_failed");
        }
    });
    let runner = learn::runner::spawn(engine.clone())?;
    tracing::info!(socket = %socket.display(), domains = engine.config.domains.len(), "daemon_ready");
    let _ = sd_notify::notify(&[NotifyState::Ready]);

    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => tracing::warn!("SIGHUP is ignored: restart the daemon to read the configuration anew"),
            // Nothing but a stop ends a task. systemd starts a daemon anew that has lost one.
            Some(ended) = tasks.join_next() => {
                let why = ended.map_or_else(|e| without_words(e).to_string(), |()| "nothing asked it to".into());
                anyhow::bail!("a task of the daemon has ended: {why}");
            }
            () = tokio::time::sleep(HEALTH) => {
                anyhow::ensure!(!runner.is_finished(), "the runner has ended");
                if let Some(why) = engine.store.poisoned() {
                    // What the last write left behind is unknown; the next start reads it from the journal.
                    anyhow::bail!("the store cannot go on: {why}");
                }
            }
        }
    }
    tracing::info!("daemon_stopping");
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    engine.stop();
    let drained = async {
        while tasks.join_next().await.is_some() {}
        while !runner.is_finished() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = drained => tracing::info!("daemon_stopped"),
        () = tokio::time::sleep(DRAIN) => tracing::warn!("daemon_stopped_before_all_was_drained"),
        _ = term.recv() => tracing::warn!("daemon_stopped_at_once"),
        _ = int.recv() => tracing::warn!("daemon_stopped_at_once"),
    }
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

/// From here on this process has no memory that is writable and then executable. The unit's MemoryDenyWriteExecute= would
/// be the trainer's too, whose oneDNN compiles kernels; this is not inherited. Linux 6.6 and later; older ones go without.
fn forbid_new_code() {
    // linux/prctl.h, 6.6
    const PR_SET_MDWE: libc::c_int = 65;
    const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    const NO_INHERIT: libc::c_ulong = 2;
    let none: libc::c_ulong = 0;
    // SAFETY: a system call whose arguments are numbers, each as wide as the kernel reads it.
    let refused = unsafe { libc::prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN | NO_INHERIT, none, none, none) } != 0;
    if refused {
        tracing::debug!("this kernel cannot keep the daemon alone from executable memory");
    }
}

/// Tells systemd that the daemon lives, as long as its scheduler really goes round and its store really answers.
async fn watchdog(engine: Arc<Engine>) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return engine.stopped().await;
    };
    loop {
        tokio::select! {
            () = engine.stopped() => return,
            () = tokio::time::sleep(period / 3) => {}
        }
        let silent_ms = clock::now_ms() - engine.live().scheduler_alive_ms;
        let worker = engine.clone();
        let store_answers = tokio::task::spawn_blocking(move || worker.next_open_run().is_ok())
            .await
            .unwrap_or(false);
        if store_answers && silent_ms < period.as_millis() as i64 {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(silent_ms, store_answers, "watchdog_withheld");
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    /// Whether this process may map memory that is writable and executable.
    fn maps_code() -> bool {
        let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        // SAFETY: an anonymous mapping wherever the kernel likes, given back at once.
        unsafe {
            let at = libc::mmap(
                std::ptr::null_mut(),
                4096,
                all,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            at != libc::MAP_FAILED && libc::munmap(at, 4096) == 0
        }
    }

    #[test]
    fn new_code_is_forbidden_to_this_process_and_not_to_its_children() {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
        if (numbers.next(), numbers.next()) < (Some(6), Some(6)) {
            return println!("skipped: Linux {release} is older than 6.6");
        }
        assert!(maps_code());
        super::forbid_new_code();
        assert!(!maps_code());
        // A child that is forked and not yet another program has the parent's rights to lose; it answers by its end.
        // SAFETY: the child calls nothing but mmap, munmap and _exit.
        let status = unsafe {
            match libc::fork() {
                0 => libc::_exit(i32::from(!maps_code())),
                child => {
                    let mut status = 0;
                    assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                    status
                }
            }
        };
        assert_eq!(status, 0, "the child cannot map what a trainer has to");
    }
}
