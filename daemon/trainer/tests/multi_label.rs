//! Jobs on texts with any number of labels, by the real program: an update that knows more labels than its parent.

mod train_support;

use std::collections::BTreeMap;
use tch::{Kind, Tensor};
use train_support::{Bench, JobDir, Row, labels, logits, write_label_sets, write_set};
use wengu_protocol::job::{FisherEstimate, Job, JobEnd, Task, layout};
use wengu_trainer::data::random::{Purpose, Stream};
use wengu_trainer::fisher::{FisherState, HEAD_WEIGHT};

/// Rows with some of these labels, each of which shows in one token: `10 + 4 * label + 0..4`. The rest is noise.
fn rows(choices: &[&[usize]], each: usize, index: u64) -> Vec<(Vec<i32>, Vec<usize>)> {
    let mut stream = Stream::new(6, Purpose::Shuffle, index);
    let mut rows = Vec::new();
    for set in choices {
        for _ in 0..each {
            let mut tokens: Vec<i32> = (0..5 + stream.below(6)).map(|_| 40 + stream.below(4) as i32).collect();
            tokens[0] = 2;
            for (place, label) in set.iter().enumerate() {
                tokens[1 + place] = 10 + 4 * *label as i32 + stream.below(4) as i32;
            }
            stream.shuffle(&mut tokens[1..]);
            rows.push((tokens, set.to_vec()));
        }
    }
    stream.shuffle(&mut rows);
    rows
}

const OLD: [&[usize]; 5] = [&[], &[0], &[1], &[2], &[0, 2]];
const NEW: [&[usize]; 3] = [&[3], &[0, 3], &[1, 3]];

type Rows = [(Vec<i32>, Vec<usize>)];

fn job(bench: &Bench, name: &str, train: &Rows, test: &Rows, known: usize, change: impl FnOnce(&mut Job)) -> JobDir {
    let dir = bench.job(name, |job| {
        job.task = Task::MultiLabelClassification;
        job.labels = labels(known);
        job.learning.epochs = 40;
        job.learning.fisher = FisherEstimate::Sampled;
        change(job);
    });
    write_label_sets(&dir.root.join("data/train.safetensors"), train, known, None);
    write_label_sets(&dir.root.join("data/test.safetensors"), test, known, None);
    dir
}

/// Share of the rows that are answered with exactly their labels.
fn exact(dir: &JobDir, folder: &str, name: &str, rows: &Rows) -> f64 {
    let said = dir.logits(folder, name).sigmoid().ge(0.5);
    let right = rows.iter().enumerate().filter(|(row, (_, set))| {
        let applies: Vec<i64> = Vec::try_from(said.get(*row as i64).nonzero().flatten(0, -1)).unwrap();
        applies.iter().map(|&label| label as usize).eq(set.iter().copied())
    });
    right.count() as f64 / rows.len() as f64
}

#[test]
fn labels_that_are_new_are_learned_beside_those_that_are_known() {
    let bench = Bench::new();
    let (old, old_test) = (rows(&OLD, 24, 0), rows(&OLD, 12, 1));
    let first = job(&bench, "first", &old, &old_test, 3, |_| {});
    first.run(JobEnd::Completed);
    let before = exact(&first, layout::CHALLENGER, "test", &old_test);
    println!("first: {before:.3} of the sets exactly right");
    assert!(before > 0.85, "{before}");

    let (new, new_test) = (rows(&NEW, 24, 2), rows(&NEW, 12, 3));
    let update = |name: &str, change: fn(&mut Job)| {
        let dir = job(&bench, name, &new, &new_test, 4, |job| {
            job.parent = Some(first.parent(3));
            let sets = ["test", "old"].map(|name| (name.to_owned(), format!("data/{name}.safetensors").into()));
            job.data.eval = BTreeMap::from(sets);
            change(job);
        });
        let teacher = logits(&first.root.join(layout::CANDIDATES)).narrow(0, 0, 60);
        write_label_sets(&dir.root.join("data/replay.safetensors"), &old[..60], 4, Some(&teacher));
        write_label_sets(&dir.root.join("data/old.safetensors"), &old_test, 4, None);
        dir.run(JobEnd::Completed);
        let share = |name: &str, rows: &Rows| exact(&dir, layout::CHALLENGER, name, rows);
        let (learned, kept) = (share("test", &new_test), share("old", &old_test));
        println!("{name}: {learned:.3} of the new and {kept:.3} of the old sets exactly right");
        (dir, learned, kept)
    };
    let (_, _, forgot) = update("alone", |_| {});
    let (second, learned, kept) = update("second", |job| {
        job.learning.replay_ratio = 1.0;
        job.learning.distill_alpha = 0.5;
        job.learning.distill_new_alpha = 0.5;
        job.learning.ewc_lambda = 1.0;
        job.learning.fisher = FisherEstimate::Exact;
        job.data.replay = Some("data/replay.safetensors".into());
        job.data.validation = Some("data/test.safetensors".into());
        job.learning.patience = 40;
        job.threshold = Some(0.5);
    });
    assert!(learned > 0.3 && kept > forgot + 0.2, "{learned} {kept} {forgot}");
    let result = second.result();
    assert!(result.validation_score.unwrap() > 0.5 && result.best_epoch.is_some());
    assert!(result.last_epoch_loss.unwrap().distill > 0.0);
    // The champion has three labels, so it is never right where the fourth applies; asked again, it says the same.
    assert_eq!(second.logits(layout::CHAMPION, "test").size()[1], 3);
    let repeat = result.repeat.unwrap();
    assert_eq!((repeat.answers % 3, repeat.differ), (0, 0));
    assert!(repeat.answers > 0);
    // The Fisher has a row a label.
    let fisher = FisherState::read(&second.root.join(layout::FISHER)).unwrap();
    let (_, head) = fisher.entries().find(|(name, _)| *name == HEAD_WEIGHT).unwrap();
    assert_eq!(head.fisher.size()[0], 4);
    assert!(
        head.fisher
            .sum_dim_intlist(1, false, Kind::Double)
            .min()
            .double_value(&[])
            > 0.0
    );
}

#[test]
fn what_does_not_say_which_labels_apply_is_refused() {
    let bench = Bench::new();
    let train = rows(&OLD, 2, 0);
    let one_label: Vec<Row> = train.iter().map(|(tokens, _)| (tokens.clone(), 0)).collect();
    let dir = job(&bench, "single", &train, &train, 3, |_| {});
    write_set(&dir.root.join("data/train.safetensors"), &one_label, None);
    dir.run(JobEnd::BadData);
    assert!(
        dir.result().message.contains("label_probabilities"),
        "{}",
        dir.result().message
    );
    for (name, threshold) in [("zero", 0.0), ("one", 1.0)] {
        let dir = job(&bench, name, &train, &train, 3, |job| job.threshold = Some(threshold));
        dir.run(JobEnd::BadJob);
        assert!(dir.result().message.contains("threshold"));
    }
    let dir = job(&bench, "prior", &train, &train, 3, |job| {
        job.learning.prior_correction = 1.0;
    });
    dir.run(JobEnd::BadJob);
    assert!(dir.result().message.contains("one label"));
    let dir = bench.job("other", |job| job.threshold = Some(0.5));
    dir.run(JobEnd::BadJob);
}

#[test]
fn targets_may_be_doubtful_and_are_no_distribution_over_labels() {
    let bench = Bench::new();
    let train = rows(&OLD, 4, 0);
    let dir = job(&bench, "soft", &train, &train, 3, |job| job.learning.epochs = 1);
    let path = dir.root.join("data/train.safetensors");
    let tensors = Tensor::read_safetensors(&path).unwrap();
    let soft = |scale: f64| {
        let changed: Vec<(String, Tensor)> = tensors
            .iter()
            .map(|(name, tensor)| match name.as_str() {
                "label_probabilities" => (name.clone(), tensor * scale + 0.1),
                _ => (name.clone(), tensor.shallow_clone()),
            })
            .collect();
        Tensor::write_safetensors(&changed, &path).unwrap();
    };
    soft(1.0);
    dir.run(JobEnd::BadData);
    std::fs::remove_file(dir.root.join(layout::RESULT)).unwrap();
    soft(0.8);
    dir.run(JobEnd::Completed);
}
