//! Class means and covariance against scikit-learn, and what they keep over an update that keeps no text.

mod train_support;

use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};
use train_support::{Bench, JobDir, Row, labels, toy_rows, write_set};
use wengu_protocol::job::{Job, JobEnd, Phase, Progress, layout};
use wengu_trainer::discriminant::{ClassStatistics, Drift, Kept};

const CLASSES: i64 = 5;
/// The head was trained on the new classes alone, and says so loudly.
const FACTOR: f64 = 6.0;

fn golden() -> BTreeMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/objective/discriminant.safetensors");
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

fn assert_close(found: &Tensor, expected: &Tensor, limit: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let difference = (found - expected).abs().max().double_value(&[]);
    let scale = expected.abs().max().double_value(&[]);
    assert!(difference <= limit * scale, "{what}: {difference} of {scale}");
}

/// Of all rows, taken in by two pieces.
fn statistics(vectors: &Tensor, shares: &Tensor) -> ClassStatistics {
    let mut statistics = ClassStatistics::empty(3, vectors.size()[1]).unwrap();
    statistics = statistics.grown(CLASSES).unwrap();
    for (first, n) in [(0, 21), (21, vectors.size()[0] - 21)] {
        let part = |all: &Tensor| all.narrow(0, first, n);
        statistics.add(&part(vectors), &part(shares)).unwrap();
    }
    statistics
}

#[test]
fn the_discriminant_is_scikit_learns() {
    let g = golden();
    let of_all = statistics(&g["vectors"], &g["labels"].one_hot(CLASSES));
    let (weight, bias) = of_all.discriminant().unwrap().unwrap();
    assert_close(&weight, &g["weight"], 1e-10, "weight");
    assert_close(&bias, &g["bias"], 1e-10, "bias");
}

#[test]
fn examples_that_several_classes_share_count_by_their_shares() {
    let g = golden();
    let found = statistics(&g["vectors"], &g["shares"]);
    assert_close(&found.counts, &g["counts"], 1e-12, "counts");
    assert_close(&found.means, &g["soft_means"], 1e-12, "means");
    assert_close(&found.scatter, &g["scatter"], 1e-10, "scatter");
}

#[test]
fn moved_statistics_are_those_of_moved_vectors() {
    let g = golden();
    let moved = Drift::fit(&g["vectors"], &g["moved"]).unwrap();
    let found = moved
        .applied(statistics(&g["vectors"], &g["labels"].one_hot(CLASSES)))
        .unwrap();
    assert_close(&found.means, &g["mapped_means"], 1e-10, "means");
    assert_close(&found.scatter, &g["mapped_scatter"], 1e-10, "scatter");
}

#[test]
fn there_is_no_discriminant_of_one_class_or_of_vectors_that_are_all_one() {
    let one = |labels: &[i64]| {
        let mut statistics = ClassStatistics::empty(3, 4).unwrap();
        let vectors = Tensor::ones([labels.len() as i64, 4], (Kind::Double, tch::Device::Cpu));
        statistics
            .add(&vectors, &Tensor::from_slice(labels).one_hot(3))
            .unwrap();
        statistics
    };
    assert!(one(&[1, 1, 1]).discriminant().unwrap().is_none());
    assert!(one(&[0, 1, 2]).discriminant().unwrap().is_none());
    assert!(ClassStatistics::empty(3, 4).unwrap().discriminant().unwrap().is_none());
    // Where nothing moves, nothing is moved.
    let g = golden();
    let still = Drift::fit(&g["vectors"], &g["vectors"]).unwrap();
    let before = statistics(&g["vectors"], &g["labels"].one_hot(CLASSES));
    let means = before.means.copy();
    assert_close(&still.applied(before).unwrap().means, &means, 1e-14, "still");
}

/// A job on the rows of these classes, which are all that it is given.
fn delivery(bench: &Bench, name: &str, classes: [i64; 2], change: impl FnOnce(&mut Job)) -> JobDir {
    let dir = bench.job(name, |job| {
        job.labels = labels(classes[1] as usize + 1);
        job.learning.discriminant_weight = 1.0;
        change(job);
    });
    let rows: Vec<_> = toy_rows(4, 24, 0)
        .into_iter()
        .filter(|(_, label)| classes.contains(label))
        .collect();
    write_set(&dir.root.join("data/train.safetensors"), &rows, None);
    write_set(&dir.root.join("data/candidates.safetensors"), &rows, None);
    let old: Vec<_> = toy_rows(4, 25, 1).into_iter().filter(|(_, label)| *label < 2).collect();
    write_set(&dir.root.join("data/test.safetensors"), &old, None);
    dir
}

fn old_accuracy(dir: &JobDir) -> f64 {
    let old: Vec<_> = toy_rows(4, 25, 1).into_iter().filter(|(_, label)| *label < 2).collect();
    dir.accuracy(layout::CHALLENGER, "test", &old)
}

#[test]
fn classes_of_which_no_text_is_left_are_still_answered() {
    let bench = Bench::new();
    let first = delivery(&bench, "first", [0, 1], |_| ());
    first.run(JobEnd::Completed);
    let learned = old_accuracy(&first);
    let second = |name: &str, factor: f64| {
        let dir = delivery(&bench, name, [2, 3], |job| {
            job.parent = Some(first.parent(2));
            job.learning.ewc_lambda = 1.0;
            job.learning.discriminant_weight = factor;
        });
        dir.run(JobEnd::Completed);
        dir
    };
    let (without, with) = (second("without", 0.0), second("with", FACTOR));
    println!(
        "old classes: {learned}, then {} without and {} with the discriminant",
        old_accuracy(&without),
        old_accuracy(&with)
    );
    assert!(learned > 0.9 && old_accuracy(&without) < 0.5);
    assert!(old_accuracy(&with) > old_accuracy(&without) + 0.3);
    assert!(!without.root.join(layout::STATISTICS).exists());

    // What serves is what was trained, and the discriminant; what was trained does not depend on it.
    let kept = Kept::read(&with.root.join(layout::STATISTICS), 4, 16).unwrap();
    let counts = Vec::<f64>::try_from(&kept.statistics.counts).unwrap();
    assert_eq!(counts, [24.0; 4]);
    let head = |dir: &JobDir| {
        let all = Tensor::read_safetensors(dir.root.join("out/head/head.safetensors")).unwrap();
        let all: BTreeMap<String, Tensor> = all.into_iter().collect();
        (all["classifier.weight"].copy(), all["classifier.bias"].copy())
    };
    assert_eq!(head(&without), (kept.weight.copy(), kept.bias.copy()));
    let (weight, bias) = kept.statistics.discriminant().unwrap().unwrap();
    let served = head(&with);
    assert_close(
        &served.0.to_kind(Kind::Double),
        &(kept.weight + weight * FACTOR),
        1e-5,
        "weight",
    );
    assert_close(
        &served.1.to_kind(Kind::Double),
        &(kept.bias + bias * FACTOR),
        1e-5,
        "bias",
    );
    let same = |name: &str| with.outputs()[name] == without.outputs()[name];
    assert!(same("out/fisher.safetensors") && same("out/candidates.safetensors"));
    assert!(same("out/adapter/adapter_model.safetensors") && !same("out/head/head.safetensors"));
}

#[test]
fn statistics_do_not_depend_on_which_vectors_the_candidates_have_brought() {
    let bench = Bench::new();
    let first = delivery(&bench, "first", [0, 1], |_| ());
    first.run(JobEnd::Completed);
    let teacher = train_support::logits(&first.root.join(layout::CANDIDATES));
    let of = |classes: [i64; 2]| -> Vec<Row> {
        let rows = toy_rows(4, 24, 0).into_iter();
        rows.filter(|(_, label)| classes.contains(label)).collect()
    };
    let (old, new) = (of([0, 1]), of([2, 3]));
    let second = |name: &str, candidates: Option<&[Row]>| {
        let dir = delivery(&bench, name, [2, 3], |job| {
            job.parent = Some(first.parent(2));
            job.learning.replay_ratio = 0.5;
            job.data.replay = Some("data/replay.safetensors".into());
            job.data.candidates = candidates.map(|_| "data/candidates.safetensors".into());
        });
        write_set(&dir.root.join("data/replay.safetensors"), &old, Some(&teacher));
        if let Some(rows) = candidates {
            write_set(&dir.root.join("data/candidates.safetensors"), rows, None);
        }
        dir.run(JobEnd::Completed);
        let text = std::fs::read_to_string(dir.root.join(layout::PROGRESS)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Progress>(line).unwrap());
        let passes = lines
            .filter(|line| line.phase == Phase::Statistics)
            .map(|line| line.total);
        let kept = Kept::read(&dir.root.join(layout::STATISTICS), 4, 16).unwrap();
        (kept.statistics, passes.max().unwrap())
    };
    let both: Vec<Row> = new.iter().chain(&old).cloned().collect();
    let (expected, passes) = second("none", None);
    assert_eq!(passes, 4);
    for (name, candidates, passes) in [("new", new.as_slice(), 2), ("both", &both, 0)] {
        let (statistics, computed) = second(name, Some(candidates));
        assert_eq!(computed, passes, "{name}");
        assert_close(&statistics.means, &expected.means, 1e-5, name);
        assert_close(&statistics.scatter, &expected.scatter, 1e-5, name);
    }
}

#[test]
fn statistics_that_are_not_the_versions_own_end_the_job() {
    let bench = Bench::new();
    let first = delivery(&bench, "first", [0, 1], |_| ());
    first.run(JobEnd::Completed);
    let path = first.root.join(layout::STATISTICS);
    let error = Kept::read(&path, 3, 16).unwrap_err();
    assert_eq!(error.end, JobEnd::BadModel);
    assert!(error.message.contains("`counts` is [2], not [3]"), "{}", error.message);
    std::fs::write(&path, b"{}").unwrap();
    let second = delivery(&bench, "second", [2, 3], |job| job.parent = Some(first.parent(2)));
    second.run(JobEnd::BadModel);
    let text = second.result().message;
    assert!(text.contains("statistics.safetensors"), "{text}");
}
