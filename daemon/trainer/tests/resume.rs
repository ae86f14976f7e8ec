//! Jobs that are stopped, killed and damaged, and end with the same bytes as if nothing had happened.

mod train_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use train_support::stop::{checkpoints, start, stop_at, wait_for_step};
use train_support::{Bench, JobDir, labels, write_set};
use wengu_protocol::job::{DistillLoss, Job, JobEnd, Mixing, OldSample, Stability, layout};
use wengu_trainer::data::random::{Purpose, Stream};

/// A job with every term of the objective, dropout and accumulation, on a parent with two labels less.
struct Case {
    bench: Bench,
    parent: JobDir,
    expected: BTreeMap<String, String>,
    /// What the whole job tells of old examples.
    told: (Option<Mixing>, Option<Stability>),
}

impl Case {
    fn new() -> Case {
        let bench = Bench::new();
        let rows = train_support::toy_rows(2, 20, 4);
        let parent = bench.job("parent", |job| {
            job.labels = labels(2);
            job.learning.epochs = 2;
            job.data.eval.clear();
        });
        write_set(&parent.root.join("data/train.safetensors"), &rows, None);
        parent.run(JobEnd::Completed);
        let mut case = Case {
            bench,
            parent,
            expected: BTreeMap::new(),
            told: (None, None),
        };
        let whole = case.job("whole");
        whole.run(JobEnd::Completed);
        case.expected = whole.outputs();
        case.told = (whole.result().mixing, whole.result().stability);
        let moved: BTreeSet<u64> = case
            .told
            .0
            .iter()
            .flat_map(|told| &told.points)
            .map(|p| p.new_share.to_bits())
            .collect();
        assert!(
            moved.len() > 2,
            "the share of new examples has to move: {:?}",
            case.told
        );
        assert_eq!(case.expected.keys().filter(|name| name.contains("champion")).count(), 1);
        case
    }

    fn job(&self, name: &str) -> JobDir {
        let dir = self.bench.job(name, |job| self.settings(job));
        let rows = train_support::toy_rows(2, 20, 4);
        let teacher = train_support::logits(&self.parent.root.join(layout::CANDIDATES));
        write_set(&dir.root.join("data/replay.safetensors"), &rows, Some(&teacher));
        write_set(
            &dir.root.join("data/old.safetensors"),
            &train_support::toy_rows(2, 15, 9),
            None,
        );
        dir
    }

    fn settings(&self, job: &mut Job) {
        // The name is in job.json alone: it must not show in the outputs.
        job.parent = Some(self.parent.parent(2));
        job.learning.epochs = 12;
        job.learning.accumulation = 3;
        job.learning.replay_ratio = 0.5;
        job.learning.old_loss_tolerance = Some(0.2);
        job.learning.stability_steps = 5;
        job.data.old_sample = Some(OldSample {
            path: "data/old.safetensors".into(),
            eras: vec![(1, 20), (2, 10)],
        });
        job.learning.distill_alpha = 1.0;
        job.learning.distill_loss = DistillLoss::Logits;
        job.learning.distill_new_alpha = 0.5;
        job.learning.prior_correction = 1.0;
        job.learning.discriminant_weight = 0.3;
        job.data.learned = vec![60, 50, 24, 24];
        job.learning.ewc_lambda = 50.0;
        job.learning.patience = 12;
        job.data.validation = Some("data/test.safetensors".into());
        job.learning.checkpoint_steps = 7;
        job.data.replay = Some("data/replay.safetensors".into());
    }

    fn finish(&self, dir: &JobDir) {
        dir.run(JobEnd::Completed);
        assert_eq!(dir.outputs(), self.expected);
        assert_eq!((dir.result().mixing, dir.result().stability), self.told);
        assert!(!dir.root.join("checkpoint").exists());
    }
}

#[test]
fn a_stopped_job_goes_on_to_the_same_bytes() {
    let case = Case::new();
    let dir = case.job("stopped");
    for step in [0, 14, 77] {
        stop_at(&dir, step);
    }
    let champion = dir.root.join(layout::CHAMPION).join("test.safetensors");
    let written = std::fs::metadata(&champion).unwrap().modified().unwrap();
    case.finish(&dir);
    // The parent's answers were kept, not computed again.
    assert_eq!(std::fs::metadata(&champion).unwrap().modified().unwrap(), written);
}

#[test]
fn a_job_killed_at_random_points_ends_with_the_same_bytes() {
    let case = Case::new();
    let mut random = Stream::new(std::process::id().into(), Purpose::Shuffle, 0);
    for round in 0..3 {
        let dir = case.job(&format!("killed{round}"));
        let mut delays = Vec::new();
        for _ in 0..4 {
            let delay = Duration::from_millis(random.below(900));
            delays.push(delay);
            let mut child = start(&dir);
            std::thread::sleep(delay);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        println!("killed after {delays:?}");
        case.finish(&dir);
    }
}

#[test]
fn a_job_killed_right_at_a_checkpoint_ends_with_the_same_bytes() {
    let case = Case::new();
    let dir = case.job("checkpoint");
    for step in [7, 21, 42, 98] {
        let mut child = start(&dir);
        wait_for_step(&dir, step);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    case.finish(&dir);
}

fn flip_last_byte(path: &PathBuf) {
    let mut bytes = std::fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_checkpoints_are_passed_over() {
    let case = Case::new();
    let dir = case.job("damaged");
    stop_at(&dir, 35);
    let found = checkpoints(&dir);
    assert_eq!(found.len(), 2, "the newest and the one before");
    flip_last_byte(&found[1].join("state.safetensors"));
    let stderr = String::from_utf8(dir.run(JobEnd::Completed).stderr).unwrap();
    assert!(stderr.contains("passing over") && stderr.contains("digest"), "{stderr}");
    assert_eq!(dir.outputs(), case.expected);

    let dir = case.job("all-damaged");
    stop_at(&dir, 35);
    let found = checkpoints(&dir);
    flip_last_byte(&found[0].join("state.safetensors"));
    let manifest = std::fs::read(found[1].join("manifest.json")).unwrap();
    std::fs::write(found[1].join("manifest.json"), &manifest[..manifest.len() / 2]).unwrap();
    // And what the parent said is damaged too.
    flip_last_byte(&dir.root.join(layout::CHAMPION).join("test.safetensors"));
    std::fs::write(dir.root.join("out/stray"), "left by an earlier start").unwrap();
    case.finish(&dir);
}

#[test]
fn a_checkpoint_of_another_job_is_not_this_jobs() {
    let case = Case::new();
    let dir = case.job("changed");
    stop_at(&dir, 35);
    let mut job: Job = serde_json::from_slice(&std::fs::read(dir.root.join(layout::JOB)).unwrap()).unwrap();
    job.seed += 1;
    dir.write(&job);
    let stderr = String::from_utf8(dir.run(JobEnd::Completed).stderr).unwrap();
    assert!(stderr.contains("job.json has changed"), "{stderr}");
    assert_ne!(dir.outputs(), case.expected);
    assert_eq!(dir.result().steps, 12 * 12);
}
