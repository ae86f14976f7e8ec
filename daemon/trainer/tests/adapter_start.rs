//! Jobs that train a new adapter beside their parent's: one adapter of the same rank comes out, whatever happens on the way.

mod train_support;

use safetensors::SafeTensors;
use train_support::stop::stop_at;
use train_support::{Bench, JobDir, labels, toy_rows, write_set};
use wengu_protocol::job::{AdapterStart, Job, JobEnd, Lora, Method, layout};

const STARTS: [(AdapterStart, f64); 2] = [(AdapterStart::Fresh, 0.0), (AdapterStart::Orthogonal, 0.5)];

/// A job that learns two of the classes.
fn first(bench: &Bench, name: &str, start: AdapterStart, lambda: f64) -> JobDir {
    let dir = bench.job(name, |job| {
        job.labels = labels(2);
        job.learning.epochs = 6;
        job.learning.adapter_start = start;
        job.learning.orthogonal_lambda = lambda;
        job.data.eval.clear();
    });
    write_set(&dir.root.join("data/train.safetensors"), &toy_rows(2, 24, 0), None);
    dir.run(JobEnd::Completed);
    dir
}

/// A job on it, with every term of the objective that looks back, and two labels more.
fn second(bench: &Bench, name: &str, parent: &JobDir, change: impl FnOnce(&mut Job)) -> JobDir {
    let dir = bench.job(name, |job| {
        job.parent = Some(parent.parent(2));
        job.learning.epochs = 8;
        job.learning.replay_ratio = 0.5;
        job.learning.distill_alpha = 1.0;
        job.learning.distill_new_alpha = 0.5;
        job.learning.ewc_lambda = 10.0;
        job.data.replay = Some("data/replay.safetensors".into());
        change(job);
    });
    let teacher = train_support::logits(&parent.root.join(layout::CANDIDATES));
    write_set(
        &dir.root.join("data/replay.safetensors"),
        &toy_rows(2, 24, 0),
        Some(&teacher),
    );
    dir
}

/// The shapes of the adapter's tensors, by name.
fn shapes(dir: &JobDir) -> Vec<(String, Vec<usize>)> {
    let bytes = std::fs::read(dir.root.join("out/adapter/adapter_model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut shapes: Vec<_> = file
        .iter()
        .map(|(name, view)| (name.to_owned(), view.shape().to_vec()))
        .collect();
    shapes.sort();
    shapes
}

#[test]
fn a_first_version_is_the_same_wherever_later_ones_begin() {
    let bench = Bench::new();
    let plain = first(&bench, "continue", AdapterStart::Continue, 0.0);
    for (start, lambda) in STARTS {
        let other = first(&bench, &format!("{start:?}"), start, lambda);
        assert_eq!(other.outputs(), plain.outputs());
        assert_eq!(other.result().recompression, None);
    }
}

#[test]
fn one_adapter_of_the_rank_comes_out_and_says_what_was_judged() {
    let bench = Bench::new();
    let parent = first(&bench, "first", AdapterStart::Continue, 0.0);
    let continued = second(&bench, "continued", &parent, |_| ());
    continued.run(JobEnd::Completed);
    assert_eq!(continued.result().recompression, None);
    for (start, lambda) in STARTS {
        let change = |job: &mut Job| {
            job.learning.adapter_start = start;
            job.learning.orthogonal_lambda = lambda;
        };
        let dir = second(&bench, &format!("{start:?}"), &parent, change);
        dir.run(JobEnd::Completed);
        assert_eq!(shapes(&dir), shapes(&parent));
        let result = dir.result();
        let loss = result.last_epoch_loss.unwrap();
        assert!(loss.ewc > 0.0 && (loss.orthogonal > 0.0) == (lambda > 0.0), "{loss:?}");
        let sum = loss.new + loss.replay + loss.distill + loss.ewc + loss.orthogonal;
        assert!((loss.total - sum).abs() < 1e-12);
        let lost = result.recompression.unwrap();
        println!("{start:?}: {lost:?}");
        assert_eq!(lost.layers.len(), 4);
        assert!(lost.layers.values().all(|error| (0.0..0.9).contains(error)));
        let accuracy = dir.accuracy(layout::CHALLENGER, "test", &toy_rows(4, 25, 1));
        assert!(accuracy > 0.7, "{start:?}: {accuracy}");
        assert_ne!(dir.outputs(), continued.outputs());

        // What the folder holds answers as what was judged: as the champion of the next job, whatever that one makes of it.
        for next in [AdapterStart::Continue, start] {
            let third = bench.job(&format!("{start:?}-{next:?}"), |job| {
                job.parent = Some(dir.parent(4));
                job.learning.epochs = 1;
                job.learning.ewc_lambda = 10.0;
                job.learning.adapter_start = next;
            });
            third.run(JobEnd::Completed);
            let said = dir.logits(layout::CHALLENGER, "test");
            assert!(third.logits(layout::CHAMPION, "test").equal(&said));
            assert_eq!(shapes(&third), shapes(&parent));
        }
    }
}

#[test]
fn the_new_adapter_reads_less_of_what_the_parents_reads_the_more_it_costs() {
    let bench = Bench::new();
    let parent = first(&bench, "first", AdapterStart::Continue, 0.0);
    let overlap = |lambda: f64| {
        let dir = second(&bench, &format!("lambda-{lambda}"), &parent, |job| {
            job.learning.adapter_start = AdapterStart::Orthogonal;
            job.learning.orthogonal_lambda = lambda;
        });
        dir.run(JobEnd::Completed);
        dir.result().last_epoch_loss.unwrap().orthogonal / lambda
    };
    let (hardly, much) = (overlap(1e-6), overlap(5.0));
    println!("sum of squares {hardly:.4} and {much:.4}");
    assert!(much < 0.2 * hardly, "{much} for {hardly}");
}

#[test]
fn a_stopped_job_goes_on_to_the_same_bytes_by_the_best_epoch() {
    let bench = Bench::new();
    let parent = first(&bench, "first", AdapterStart::Continue, 0.0);
    let change = |job: &mut Job| {
        job.learning.adapter_start = AdapterStart::Orthogonal;
        job.learning.orthogonal_lambda = 0.5;
        job.learning.discriminant_weight = 0.3;
        job.learning.patience = 8;
        job.learning.checkpoint_steps = 7;
        job.data.validation = Some("data/test.safetensors".into());
    };
    let whole = second(&bench, "whole", &parent, change);
    whole.run(JobEnd::Completed);
    // Layers that are computed again have the parent's update too.
    let dir = second(&bench, "stopped", &parent, |job| {
        change(job);
        job.gradient_checkpointing = true;
    });
    for step in [0, 14, 49] {
        stop_at(&dir, step);
    }
    dir.run(JobEnd::Completed);
    assert_eq!(dir.outputs(), whole.outputs());
    assert_eq!(dir.result().recompression, whole.result().recompression);
}

#[test]
fn the_score_of_the_best_epoch_is_that_of_what_is_written() {
    let bench = Bench::new();
    let parent = first(&bench, "first", AdapterStart::Continue, 0.0);
    let dir = second(&bench, "scored", &parent, |job| {
        job.learning.adapter_start = AdapterStart::Fresh;
        job.learning.patience = 8;
        job.data.validation = Some("data/test.safetensors".into());
    });
    dir.run(JobEnd::Completed);
    let said = dir.logits(layout::CHALLENGER, "test").argmax(1, false);
    let said = Vec::<i64>::try_from(said).unwrap();
    let rows = toy_rows(4, 25, 1);
    let f1 = (0..4).map(|label| {
        let count = |of: &dyn Fn(i64, i64) -> bool| {
            let pairs = said.iter().zip(&rows);
            pairs.filter(|(said, (_, right))| of(**said, *right)).count() as f64
        };
        let both = count(&|said, right| said == label && right == label);
        2.0 * both / (count(&|said, _| said == label) + count(&|_, right| right == label))
    });
    let macro_f1 = f1.sum::<f64>() / 4.0;
    let score = dir.result().validation_score.unwrap();
    assert!((score - macro_f1).abs() < 1e-12, "{score} for {macro_f1}");
}

#[test]
fn what_does_not_go_together_is_a_bad_job() {
    let bench = Bench::new();
    let refused = |name: &str, change: &dyn Fn(&mut Job)| {
        let dir = bench.job(name, |job| change(job));
        String::from_utf8(dir.run(JobEnd::BadJob).stderr).unwrap()
    };
    let head = refused("head", &|job| {
        job.method = Method::HeadOnly;
        job.learning.adapter_start = AdapterStart::Fresh;
    });
    assert!(head.contains("needs the method \"lora\""), "{head}");
    let dora = refused("dora", &|job| {
        job.learning.adapter_start = AdapterStart::Fresh;
        if let Method::Lora(Lora { use_dora, .. }) = &mut job.method {
            *use_dora = true;
        }
    });
    assert!(dora.contains("without `use_dora`"), "{dora}");
    let lambda = refused("lambda", &|job| job.learning.orthogonal_lambda = 0.5);
    assert!(lambda.contains("\"orthogonal\"; set it to 0"), "{lambda}");
}
