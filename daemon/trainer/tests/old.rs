//! Old examples that are watched during training: what they tell, and how the share of new examples follows them.

mod train_support;

use std::path::Path;
use tch::{Kind, Tensor};
use train_support::{
    Bench, JobDir, Row, digest, labels, logits, token_labels, toy_rows, write_by_token, write_label_sets, write_set,
};
use wengu_protocol::job::{AdapterStart, FisherEstimate, Job, JobEnd, Lora, Method, OldSample, Task, layout};

const OLD: &str = "data/old.safetensors";

/// Replays, and watches old examples of these runs, which are answered too.
fn watch_old(job: &mut Job, eras: &[(u64, u64)]) {
    job.learning.replay_ratio = 1.0;
    job.data.replay = Some("data/replay.safetensors".into());
    job.data.eval.insert("old".into(), OLD.into());
    job.data.old_sample = Some(OldSample {
        path: OLD.into(),
        eras: eras.to_vec(),
    });
}

/// Two labels that were learned, and a job that learns four.
struct Case {
    bench: Bench,
    parent: JobDir,
    old: Vec<Row>,
}

impl Case {
    fn new() -> Case {
        let bench = Bench::new();
        let parent = bench.job("parent", |job| {
            job.labels = labels(2);
            job.learning.epochs = 30;
            job.data.eval.clear();
        });
        write_set(&parent.root.join("data/train.safetensors"), &toy_rows(2, 20, 4), None);
        parent.run(JobEnd::Completed);
        let old = toy_rows(2, 15, 9);
        Case { bench, parent, old }
    }

    fn job(&self, name: &str, change: impl FnOnce(&mut Job)) -> JobDir {
        let dir = self.bench.job(name, |job| {
            job.parent = Some(self.parent.parent(2));
            job.learning.epochs = 6;
            watch_old(job, &[(1, 20), (2, 10)]);
            change(job);
        });
        write_set(&dir.root.join("data/replay.safetensors"), &toy_rows(2, 20, 4), None);
        write_set(&dir.root.join(OLD), &self.old, None);
        dir
    }
}

/// Right answers to the rows from the first to the last of an era, as a share.
fn accuracy(answers: &Tensor, rows: &[Row], era: std::ops::Range<usize>) -> f64 {
    let said = Vec::<i64>::try_from(answers.argmax(1, false)).unwrap();
    let right = era.clone().filter(|&row| said[row] == rows[row].1).count();
    right as f64 / era.len() as f64
}

#[test]
fn a_look_changes_nothing_and_tells_what_parent_and_result_answer() {
    let case = Case::new();
    for start in [AdapterStart::Continue, AdapterStart::Fresh] {
        looks_tell_what_is_answered(&case, start);
    }
}

fn looks_tell_what_is_answered(case: &Case, start: AdapterStart) {
    let plain = case.job(&format!("plain-{start:?}"), |job| {
        job.learning.adapter_start = start;
        job.data.old_sample = None;
    });
    plain.run(JobEnd::Completed);
    let watched = case.job(&format!("watched-{start:?}"), |job| {
        job.learning.adapter_start = start;
        job.learning.stability_steps = 5;
    });
    watched.run(JobEnd::Completed);
    assert_eq!(plain.outputs(), watched.outputs());
    assert_eq!((plain.result().stability, watched.result().mixing), (None, None));

    let told = watched.result().stability.unwrap();
    let (before, after) = (
        watched.logits(layout::CHAMPION, "old"),
        watched.logits(layout::CHALLENGER, "old"),
    );
    for (era, rows) in told.eras.iter().zip([0..20, 20..30]) {
        assert!((era.before - accuracy(&before, &case.old, rows.clone())).abs() < 1e-12);
        assert!((era.after - accuracy(&after, &case.old, rows)).abs() < 1e-12);
        assert!(era.minimum <= era.after);
    }
    assert!(told.before > 0.8, "{told:?}");
    assert!((told.gap - (told.before - told.minimum)).abs() < 1e-12);
    // 12 steps an epoch: looks after 5, 10, ... 70 of 72 steps.
    let steps: Vec<u64> = told.points.iter().map(|(step, _)| *step).collect();
    assert!(steps.into_iter().eq((0..=70).step_by(5)));
}

#[test]
fn the_share_of_new_examples_goes_up_where_there_is_room_and_down_where_there_is_none() {
    let case = Case::new();
    let run = |name: &str, tolerance: f64| {
        let dir = case.job(name, |job| job.learning.old_loss_tolerance = Some(tolerance));
        dir.run(JobEnd::Completed);
        (dir.result().mixing.unwrap(), dir)
    };
    let (wide, loose) = run("wide", 1e3);
    let shares: Vec<f64> = wide.points.iter().map(|point| point.new_share).collect();
    assert_eq!(shares.len(), 12, "two looks in each of 6 epochs");
    for (found, replayed) in shares.iter().zip([1.0, 0.5, 0.25, 0.125, 1.0 / 16.0, 1.0 / 16.0]) {
        assert!((found - 1.0 / (1.0 + replayed)).abs() < 1e-12, "{shares:?}");
    }
    let (none, tight) = run("tight", 0.0);
    for pair in none.points.windows(2) {
        let room = pair[0].old_loss <= none.limit;
        let (was, is) = (pair[0].new_share, pair[1].new_share);
        assert!(
            if room {
                is > was || was > 0.94
            } else {
                is < was || was <= 0.2
            },
            "{none:?}"
        );
    }
    println!("tight: {none:?}");
    assert!(none.points.iter().any(|point| point.new_share < 0.5), "{none:?}");
    assert_ne!(loose.outputs(), tight.outputs());

    // The reference is the parent's own loss over the labels that it knows.
    let said = tight.logits(layout::CHAMPION, "old");
    let expected: Vec<i64> = case.old.iter().map(|(_, label)| *label).collect();
    let log_p = said
        .log_softmax(1, Kind::Double)
        .gather(1, &Tensor::from_slice(&expected).unsqueeze(1), false);
    let loss = -log_p.mean(Kind::Double).double_value(&[]);
    assert!(
        (none.reference_loss - loss).abs() < 1e-6,
        "{} is not {loss}",
        none.reference_loss
    );
    assert!((none.limit - none.reference_loss).abs() < 1e-15);
    assert!((wide.limit - wide.reference_loss * 1001.0).abs() < 1e-9);
}

#[test]
fn labels_that_each_apply_or_do_not_are_watched_as_sets() {
    let bench = Bench::new();
    let sets = |classes: i64, index: u64| -> Vec<(Vec<i32>, Vec<usize>)> {
        let rows = toy_rows(classes, 20, index).into_iter();
        rows.map(|(ids, label)| (ids, vec![label as usize])).collect()
    };
    let parent = bench.job("parent", |job| {
        job.task = Task::MultiLabelClassification;
        job.labels = labels(2);
        job.learning.epochs = 20;
        job.data.eval.clear();
    });
    write_label_sets(&parent.root.join("data/train.safetensors"), &sets(2, 4), 2, None);
    parent.run(JobEnd::Completed);
    let old = sets(2, 9);
    let dir = bench.job("job", |job| {
        job.task = Task::MultiLabelClassification;
        job.parent = Some(parent.parent(2));
        job.learning.stability_steps = 10;
        job.learning.old_loss_tolerance = Some(0.1);
        job.data.eval.clear();
        watch_old(job, &[(1, old.len() as u64)]);
    });
    for (name, rows) in [("train", sets(4, 0)), ("replay", sets(2, 4)), ("old", old.clone())] {
        write_label_sets(&dir.root.join(format!("data/{name}.safetensors")), &rows, 4, None);
    }
    dir.run(JobEnd::Completed);
    let said = logits(&dir.root.join(layout::CHAMPION).join("old.safetensors"));
    let said = Vec::<Vec<f64>>::try_from(said.to_kind(Kind::Double)).unwrap();
    let right = said.iter().zip(&old).filter(|(row, (_, wanted))| {
        let applies: Vec<usize> = (0..2).filter(|&label| row[label] >= 0.0).collect();
        applies == **wanted
    });
    let result = dir.result();
    let told = result.stability.unwrap();
    assert!(
        (told.before - right.count() as f64 / old.len() as f64).abs() < 1e-12,
        "{told:?}"
    );
    let binary = |row: &[f64], wanted: &[usize]| -> f64 {
        let loss = |label: usize| {
            let sign = if wanted.contains(&label) { -1.0 } else { 1.0 };
            (sign * row[label]).exp().ln_1p()
        };
        f64::midpoint(loss(0), loss(1))
    };
    let loss = said
        .iter()
        .zip(&old)
        .map(|(row, (_, wanted))| binary(row, wanted))
        .sum::<f64>()
        / old.len() as f64;
    let reference = result.mixing.unwrap().reference_loss;
    assert!((reference - loss).abs() < 1e-6, "{reference} is not {loss}");
}

#[test]
fn models_that_answer_by_the_token_are_watched_token_by_token() {
    let bench = Bench::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/trainer/causal_qwen2/base");
    let digests = ["config.json", "model.safetensors"].map(|name| (name.to_owned(), digest(&golden.join(name))));
    for task in [Task::TokenClassification, Task::CausalLm] {
        let causal = task == Task::CausalLm;
        let settings = |job: &mut Job| {
            job.task = task;
            job.labels = labels(if causal { 0 } else { 2 });
            job.learning.fisher = FisherEstimate::Sampled;
            job.data.candidates = None;
            if causal {
                job.base.path.clone_from(&golden);
                job.base.sha256 = digests.clone().into();
                job.method = Method::Lora(Lora {
                    target_modules: vec!["q_proj".into(), "v_proj".into()],
                    ..Lora::default()
                });
            }
        };
        let parent = bench.job(&format!("parent {task:?}"), |job| {
            settings(job);
            job.data.eval.clear();
        });
        write_by_token(&parent.root.join("data/train.safetensors"), &toy_rows(2, 20, 4), task);
        parent.run(JobEnd::Completed);
        let old = toy_rows(2, 12, 9);
        let dir = bench.job(&format!("job {task:?}"), |job| {
            settings(job);
            let mut of = parent.parent(job.labels.len());
            of.head = of.head.filter(|_| !causal);
            job.parent = Some(of);
            job.learning.stability_steps = 4;
            job.learning.old_loss_tolerance = Some(0.1);
            // A causal model's parent answers step by step; nothing of it is kept.
            job.learning.distill_alpha = if causal { 0.5 } else { 0.0 };
            job.data.eval.clear();
            watch_old(job, &[(1, 24)]);
        });
        for (name, rows) in [
            ("train", toy_rows(2, 10, 0)),
            ("replay", toy_rows(2, 20, 4)),
            ("old", old.clone()),
        ] {
            write_by_token(&dir.root.join(format!("data/{name}.safetensors")), &rows, task);
        }
        dir.run(JobEnd::Completed);
        let path = dir.root.join(layout::CHAMPION).join("old.safetensors");
        let said = Tensor::read_safetensors(path)
            .unwrap()
            .remove(0)
            .1
            .to_kind(Kind::Double);
        let (log_p, right) = if causal {
            (said.select(1, 0), said.select(1, 1))
        } else {
            let expected: Vec<i64> = token_labels(&old, task)
                .into_iter()
                .filter(|&label| label >= 0)
                .collect();
            let expected = Tensor::from_slice(&expected);
            let log_p = said
                .log_softmax(1, Kind::Double)
                .gather(1, &expected.unsqueeze(1), false);
            (
                log_p.squeeze_dim(1),
                said.argmax(1, false).eq_tensor(&expected).to_kind(Kind::Double),
            )
        };
        let mean = |tensor: &Tensor| tensor.mean(Kind::Double).double_value(&[]);
        let result = dir.result();
        assert_eq!(result.last_epoch_loss.unwrap().distill > 0.0, causal);
        let (told, mixing) = (result.stability.unwrap(), result.mixing.unwrap());
        assert_eq!(told.eras[0].answers, log_p.size()[0] as u64);
        assert!((told.before - mean(&right)).abs() < 1e-12, "{task:?}: {told:?}");
        assert!(
            (mixing.reference_loss + mean(&log_p)).abs() < 1e-6,
            "{task:?}: {mixing:?}"
        );
        println!("{task:?}: {told:?} {mixing:?}");
    }
}

#[test]
fn a_sample_that_does_not_fit_the_job_is_refused_by_name() {
    let case = Case::new();
    let refused = |name: &str, end: JobEnd, change: &dyn Fn(&mut Job)| {
        let dir = case.job(name, |job| {
            job.learning.stability_steps = 5;
            change(job);
        });
        let stderr = dir.run(end).stderr;
        String::from_utf8(stderr).unwrap()
    };
    let eras = |eras: Vec<(u64, u64)>| move |job: &mut Job| job.data.old_sample.as_mut().unwrap().eras = eras.clone();
    let text = refused("rows", JobEnd::BadData, &eras(vec![(1, 20)]));
    assert!(text.contains("30 rows") && text.contains("says 20"), "{text}");
    let text = refused("labels", JobEnd::BadData, &|job| {
        job.data.old_sample = Some(OldSample {
            path: "data/train.safetensors".into(),
            eras: vec![(1, 96)],
        });
    });
    assert!(text.contains("the parent knows 2 labels"), "{text}");
    let text = refused("orphan", JobEnd::BadJob, &|job| job.parent = None);
    assert!(text.contains("`data.old_sample`"), "{text}");
}
