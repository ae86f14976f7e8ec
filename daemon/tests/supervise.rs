//! Every way in which a trainer can end, by a real process that ends that way.

use std::path::Path;
use std::time::{Duration, Instant};
use wengu::learn::supervise::{Limits, TrainerEnd, run_trainer};
use wengu_protocol::job::{JOB_SCHEMA, JobEnd, MEMORY_LIMIT_ENV, Progress};

const LIMITS: Limits = Limits {
    no_progress: Duration::from_secs(20),
    deadline: Duration::from_secs(20),
    stop_grace: Duration::from_millis(300),
    memory_bytes: None,
};

/// A trainer that is a shell script; `$2` is the job directory.
fn trainer(script: &str) -> Vec<String> {
    // `run DIR` is appended; with `sh -c SCRIPT NAME`, they become $1 and $2.
    ["sh", "-c", script, "trainer"].map(String::from).to_vec()
}

fn end_of(script: &str, limits: Limits, stop_after: Option<Duration>) -> (TrainerEnd, Vec<Progress>) {
    let dir = tempfile::tempdir().unwrap();
    end_in(dir.path(), script, limits, stop_after)
}

fn end_in(dir: &Path, script: &str, limits: Limits, stop_after: Option<Duration>) -> (TrainerEnd, Vec<Progress>) {
    let began = Instant::now();
    let stop = || stop_after.is_some_and(|after| began.elapsed() > after);
    let mut seen = Vec::new();
    let end = run_trainer(&trainer(script), dir, 1, limits, &stop, &mut |p| seen.push(p));
    (end, seen)
}

const RESULT: &str = r#"{"schema":SCHEMA,"job_id":"j","end":"END","message":"why","steps":0,"skipped_steps":0,
    "train_seconds":0.0,"last_epoch_loss":null,"outputs":{OUTPUTS}}"#;

fn writes_result(end: &str, outputs: &str) -> String {
    let result = RESULT.replace("SCHEMA", &JOB_SCHEMA.to_string());
    let result = result.replace("END", end).replace("OUTPUTS", outputs).replace('\n', "");
    format!(
        "cd \"$2\" && printf '%s' '{result}' > result.json.tmp && sha256sum result.json.tmp | sed 's/.tmp//' > result.sha256 \
         && mv result.json.tmp result.json"
    )
}

#[test]
fn a_program_that_is_not_there_could_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let end = run_trainer(
        &["/no/such/trainer".into()],
        dir.path(),
        1,
        LIMITS,
        &|| false,
        &mut |_| {},
    );
    assert!(
        matches!(&end, TrainerEnd::CouldNotStart { why, .. } if why.contains("/no/such/trainer")),
        "{end:?}"
    );
    assert!(!end.may_be_retried());
}

#[test]
fn a_log_that_cannot_be_opened_is_no_fault_of_the_command() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("trainer.log")).unwrap();
    let (end, _) = end_in(dir.path(), &writes_result("completed", ""), LIMITS, None);
    assert!(end.message().contains("trainer.log") && !end.message().contains("[trainer]"));
    assert!(end.may_be_retried(), "the disk may have been full: {end:?}");
}

#[test]
fn a_trainer_is_told_how_much_memory_it_may_have() {
    let dir = tempfile::tempdir().unwrap();
    for (memory_bytes, told) in [(Some(12_345_678), "12345678\n"), (None, "none\n")] {
        let limits = Limits { memory_bytes, ..LIMITS };
        let script = format!("echo ${{{MEMORY_LIMIT_ENV}:-none}} > \"$2/told\"");
        end_in(dir.path(), &script, limits, None);
        assert_eq!(std::fs::read_to_string(dir.path().join("told")).unwrap(), told);
    }
}

#[test]
fn exits_and_signals_are_told_apart() {
    assert_eq!(end_of("exit 3", LIMITS, None).0, TrainerEnd::ExitedWithoutResult(3));
    assert_eq!(end_of("kill -SEGV $$", LIMITS, None).0, TrainerEnd::Signalled(11));
    let (killed, _) = end_of("kill -KILL $$", LIMITS, None);
    assert_eq!(killed, TrainerEnd::Signalled(9));
    assert!(killed.message().contains("memory") && killed.may_be_retried());
    // So ends a program whose own allocation is refused.
    let aborted = end_of("kill -ABRT $$", LIMITS, None).0;
    assert!(aborted.wants_memory() && aborted.message().contains("trainer.log") && aborted.may_be_retried());
}

#[test]
fn silence_is_a_hang_and_a_deaf_trainer_is_killed() {
    let limits = Limits {
        no_progress: Duration::from_millis(300),
        ..LIMITS
    };
    let began = Instant::now();
    let (end, _) = end_of("trap '' TERM; while :; do sleep 0.05; done", limits, None);
    assert_eq!(end, TrainerEnd::NoProgress(limits.no_progress));
    assert!(
        began.elapsed() >= limits.no_progress + limits.stop_grace,
        "SIGTERM comes before SIGKILL"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn progress_is_a_sign_of_life_but_no_way_past_the_deadline() {
    let limits = Limits {
        no_progress: Duration::from_secs(2),
        deadline: Duration::from_secs(3),
        ..LIMITS
    };
    let line = format!(r#"{{"schema":{JOB_SCHEMA},"phase":"train","step":1,"total":9}}"#);
    let script = format!(
        "while :; do echo '{line}' >> \"$2/progress.jsonl\"; echo garbage >> \"$2/progress.jsonl\"; sleep 0.1; done"
    );
    let (end, seen) = end_of(&script, limits, None);
    assert_eq!(end, TrainerEnd::PastDeadline(limits.deadline));
    assert!(seen.len() > 3 && seen.iter().all(|p| p.step == 1), "{seen:?}");
}

#[test]
fn a_stop_of_the_daemon_is_no_failure() {
    let (end, _) = end_of(
        "trap 'exit 10' TERM; while :; do sleep 0.05; done",
        LIMITS,
        Some(Duration::from_millis(200)),
    );
    assert_eq!(end, TrainerEnd::StoppedByUs);
}

#[test]
fn what_the_trainer_reports_is_what_is_told() {
    let (end, _) = end_of(&writes_result("nan_loss", ""), LIMITS, None);
    assert_eq!(end, TrainerEnd::Reported(JobEnd::NanLoss, "why".into()));
    assert!(!end.may_be_retried(), "the same job would end the same way");
    let (end, _) = end_of(&writes_result("out_of_memory", ""), LIMITS, None);
    assert!(end.may_be_retried());
}

#[test]
fn a_result_is_believed_only_with_its_digests() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("out")).unwrap();
    std::fs::write(dir.path().join("out/head"), b"abc").unwrap();
    let right = "\"out/head\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
    let (end, _) = end_in(dir.path(), &writes_result("completed", right), LIMITS, None);
    assert!(matches!(end, TrainerEnd::Completed(_)), "{end:?}");
    let wrong = right.replace("ba78", "0000");
    let (end, _) = end_in(dir.path(), &writes_result("completed", &wrong), LIMITS, None);
    assert!(
        matches!(&end, TrainerEnd::BadResult(e) if e.contains("out/head")),
        "{end:?}"
    );
    let says = |script: &str, why: &str| {
        let (end, _) = end_of(script, LIMITS, None);
        assert!(matches!(&end, TrainerEnd::BadResult(e) if e.contains(why)), "{end:?}");
    };
    says("echo '{' > \"$2/result.json\"", "result.sha256: ");
    // A figure that was changed leaves JSON that can be read.
    let script = writes_result("completed", "") + " && sed -i 's/\"steps\":0/\"steps\":7/' result.json";
    says(&script, "result.json has SHA-256 ");
}

#[test]
fn a_result_that_came_before_the_stop_counts() {
    let script = format!(
        "{}; trap '' TERM; while :; do sleep 0.05; done",
        writes_result("completed", "")
    );
    let (end, _) = end_of(&script, LIMITS, Some(Duration::from_millis(300)));
    assert!(matches!(end, TrainerEnd::Completed(_)), "{end:?}");
}

#[test]
fn what_the_trainer_leaves_behind_is_killed_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (end, _) = end_in(dir.path(), "sleep 60 & echo $! > \"$2/pid\"; exit 3", LIMITS, None);
    assert_eq!(end, TrainerEnd::ExitedWithoutResult(3));
    let pid: i32 = std::fs::read_to_string(dir.path().join("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let began = Instant::now();
    loop {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
