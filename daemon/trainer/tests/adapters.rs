//! Jobs of every method that trains more than a head and is no LoRA: what they write, that they learn, that they go on.

mod train_support;

use std::collections::BTreeMap;
use tch::Kind;
use train_support::stop::stop_at;
use train_support::{Bench, JobDir, Row, labels, toy_rows, write_set};
use wengu_protocol::job::{Bottleneck, Job, JobEnd, Method, NonLinearity, Placement, PromptTuning, layout};
use wengu_trainer::fisher::{FisherState, HEAD_BIAS, HEAD_WEIGHT};

/// Name, method, and what EWC holds of it beside the head.
fn methods() -> Vec<(&'static str, Method, Vec<String>)> {
    let prompt = Method::PromptTuning(PromptTuning { virtual_tokens: 4 });
    let bottleneck = |placement, non_linearity| {
        Method::Bottleneck(Bottleneck {
            placement,
            reduction_factor: 4,
            non_linearity,
        })
    };
    let held = |modules: &[&str]| -> Vec<String> {
        let layers = (0..2).flat_map(|layer| {
            modules
                .iter()
                .map(move |m| format!("encoder.layer.{layer}.{m}.adapters.wengu"))
        });
        let parts = [
            "adapter_down.0.weight",
            "adapter_down.0.bias",
            "adapter_up.weight",
            "adapter_up.bias",
        ];
        layers
            .flat_map(|module| parts.map(|part| format!("{module}.{part}")))
            .collect()
    };
    let single = bottleneck(Placement::SeqBn, NonLinearity::Relu);
    let double = bottleneck(Placement::DoubleSeqBn, NonLinearity::Swish);
    vec![
        ("prompt", prompt, vec!["prompt_embeddings".into()]),
        ("seq_bn", single, held(&["output"])),
        ("double_seq_bn", double, held(&["attention.output", "output"])),
    ]
}

/// A job that learns two of the classes.
fn first(bench: &Bench, name: &str, method: &Method) -> JobDir {
    let dir = bench.job(&format!("{name}-first"), |job| {
        job.method = method.clone();
        job.labels = labels(2);
        job.learning.epochs = 8;
        job.data.eval.clear();
    });
    let two: Vec<Row> = toy_rows(4, 24, 0).into_iter().filter(|(_, label)| *label < 2).collect();
    write_set(&dir.root.join("data/train.safetensors"), &two, None);
    dir.run(JobEnd::Completed);
    dir
}

/// All terms of the objective, two labels more, and steps in three pieces.
fn second(bench: &Bench, name: &str, method: &Method, parent: &JobDir, change: impl FnOnce(&mut Job)) -> JobDir {
    let dir = bench.job(name, |job| {
        job.method = method.clone();
        job.parent = Some(parent.parent(2));
        job.learning.epochs = 8;
        job.learning.accumulation = 3;
        job.learning.replay_ratio = 0.5;
        job.learning.distill_alpha = 1.0;
        job.learning.ewc_lambda = 10.0;
        job.data.replay = Some("data/replay.safetensors".into());
        change(job);
    });
    let old: Vec<Row> = toy_rows(4, 24, 0).into_iter().filter(|(_, label)| *label < 2).collect();
    let teacher = train_support::logits(&parent.root.join(layout::CANDIDATES));
    write_set(&dir.root.join("data/replay.safetensors"), &old, Some(&teacher));
    dir
}

#[test]
fn it_learns_more_than_a_head_alone() {
    let bench = Bench::new();
    let loss = |name: &str, method: &Method| {
        let dir = bench.job(name, |job| {
            job.method = method.clone();
            job.learning.epochs = 30;
            job.learning.fisher_examples = 0;
        });
        dir.run(JobEnd::Completed);
        let right = dir.accuracy(layout::CHALLENGER, "test", &toy_rows(4, 25, 1));
        let loss = dir.result().last_epoch_loss.unwrap().total;
        println!("{name}: loss {loss:.3}, {right:.2} of four classes right");
        (loss, right)
    };
    let (head, _) = loss("head", &Method::HeadOnly);
    for (name, method, _) in methods() {
        let (with, right) = loss(name, &method);
        assert!(with < 0.85 * head && right > 0.6, "{name}: {with} for {head}, {right}");
    }
}

#[test]
fn a_job_goes_on_from_its_parent_and_learns_more_classes() {
    let bench = Bench::new();
    for (name, method, held) in methods() {
        let parent = first(&bench, name, &method);
        let dir = second(&bench, name, &method, &parent, |_| ());
        dir.run(JobEnd::Completed);
        assert!(dir.outputs().contains_key("out/adapter/adapter_config.json"), "{name}");
        // The champion is the parent as it was: with two labels.
        assert_eq!(dir.logits(layout::CHAMPION, "test").size(), [100, 2], "{name}");
        assert_eq!(dir.logits(layout::CHALLENGER, "test").size(), [100, 4], "{name}");
        let loss = dir.result().last_epoch_loss.unwrap();
        assert!(
            loss.ewc > 0.0 && loss.distill > 0.0 && loss.replay > 0.0,
            "{name}: {loss:?}"
        );

        let read = |dir: &JobDir| FisherState::read(&dir.root.join(layout::FISHER)).unwrap();
        let (old, new) = (read(&parent), read(&dir));
        let old: BTreeMap<_, _> = old.entries().collect();
        let mut names = held.clone();
        names.extend([HEAD_BIAS.to_owned(), HEAD_WEIGHT.to_owned()]);
        names.sort();
        assert_eq!(new.entries().map(|(name, _)| name).collect::<Vec<_>>(), names, "{name}");
        for (part, entry) in new.entries() {
            let rows = old[part].fisher.size()[0];
            // Online EWC: what was known is in it, decayed.
            let added = entry.fisher.narrow(0, 0, rows) - &old[part].fisher * 0.9;
            assert!(added.min().double_value(&[]) > -1e-9, "{name} {part}");
            assert!(entry.fisher.sum(Kind::Double).double_value(&[]) > 0.0, "{name} {part}");
        }
    }
}

#[test]
fn a_stopped_job_and_one_that_computes_layers_again_end_with_the_same_bytes() {
    let bench = Bench::new();
    for (name, method, _) in methods() {
        let parent = first(&bench, name, &method);
        let whole = second(&bench, &format!("{name}-whole"), &method, &parent, |_| ());
        whole.run(JobEnd::Completed);
        let stopped = second(&bench, &format!("{name}-stopped"), &method, &parent, |_| ());
        for step in [0, 10, 40] {
            stop_at(&stopped, step);
        }
        stopped.run(JobEnd::Completed);
        assert_eq!(stopped.outputs(), whole.outputs(), "{name}");
        let sparing = second(&bench, &format!("{name}-sparing"), &method, &parent, |job| {
            job.gradient_checkpointing = true;
        });
        sparing.run(JobEnd::Completed);
        assert_eq!(sparing.outputs(), whole.outputs(), "{name}");
    }
}

#[test]
fn ewc_holds_what_is_trained_nearer_to_where_it_was() {
    let bench = Bench::new();
    for (name, method, held) in methods() {
        let parent = first(&bench, name, &method);
        let anchors = FisherState::read(&parent.root.join(layout::FISHER)).unwrap();
        let anchors: BTreeMap<_, _> = anchors.entries().collect();
        let moved = |run: &str, lambda: f64| {
            let dir = second(&bench, &format!("{name}-{run}"), &method, &parent, |job| {
                job.learning.ewc_lambda = lambda;
            });
            dir.run(JobEnd::Completed);
            let now = FisherState::read(&dir.root.join(layout::FISHER)).unwrap();
            let weighted = now.entries().filter(|(part, _)| held.iter().any(|held| held == part));
            let of = |(part, entry): (&str, &wengu_trainer::fisher::Entry)| {
                let away = (&entry.anchor - &anchors[part].anchor).square() * &anchors[part].fisher;
                away.sum(Kind::Double).double_value(&[])
            };
            weighted.map(of).sum::<f64>()
        };
        let (free, tied) = (moved("free", 0.0), moved("tied", 1e5));
        println!("{name}: sum of F (W - W*)^2 {free:.3e} without EWC, {tied:.3e} with it");
        assert!(tied < 0.2 * free, "{name}: {tied} of {free}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_read() {
    let bench = Bench::new();
    for virtual_tokens in [0, 5000] {
        let dir = bench.job(&format!("prompt-{virtual_tokens}"), |job| {
            job.method = Method::PromptTuning(PromptTuning { virtual_tokens });
        });
        let said = String::from_utf8(dir.run(JobEnd::BadJob).stderr).unwrap();
        assert!(said.contains("method.virtual_tokens"), "{said}");
    }
    let dir = bench.job("reduced", |job| {
        job.method = Method::Bottleneck(Bottleneck {
            placement: Placement::SeqBn,
            reduction_factor: 0,
            non_linearity: NonLinearity::Relu,
        });
    });
    let said = String::from_utf8(dir.run(JobEnd::BadJob).stderr).unwrap();
    assert!(said.contains("method.reduction_factor"), "{said}");
    // The model takes 32 tokens, and a row has 12.
    let dir = bench.job("long", |job| {
        job.method = Method::PromptTuning(PromptTuning { virtual_tokens: 24 })
    });
    let said = String::from_utf8(dir.run(JobEnd::BadData).stderr).unwrap();
    assert!(said.contains("the model takes 8"), "{said}");
}
