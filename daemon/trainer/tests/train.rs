//! Jobs that complete: what they write, that they repeat, that they learn and that they forget less.

mod train_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tch::{Kind, Tensor};
use train_support::{Bench, JobDir, Row, labels, token_labels, toy_rows, write_by_token, write_set};
use wengu_protocol::job::{
    DistillLoss, FisherEstimate, FisherForm, Job, JobEnd, Lora, Method, Phase, Progress, Task, layout,
};
use wengu_trainer::data::random::{Purpose, Stream};
use wengu_trainer::fisher::{Factored, FisherState, HEAD_BIAS, HEAD_WEIGHT};

fn progress(dir: &JobDir) -> Vec<Progress> {
    let text = std::fs::read_to_string(dir.root.join(layout::PROGRESS)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_job_learns_and_writes_all_that_the_contract_names() {
    let bench = Bench::new();
    let dir = bench.job("first", |job| job.learning.epochs = 12);
    dir.run(JobEnd::Completed);
    let result = dir.result();
    assert_eq!(
        (result.end, result.steps, result.skipped_steps),
        (JobEnd::Completed, 12 * 12, 0)
    );
    assert!(result.train_seconds > 0.0 && result.message.is_empty());
    let phases: Vec<Phase> = result.phase_seconds.keys().copied().collect();
    let expected = [
        Phase::Load,
        Phase::Train,
        Phase::PredictChallenger,
        Phase::Fisher,
        Phase::Candidates,
        Phase::Write,
    ];
    assert_eq!(phases, expected);
    assert!(result.phase_seconds[&Phase::Train] <= result.train_seconds + 1.0);
    let names: BTreeSet<String> = dir.outputs().into_keys().collect();
    let expected = [
        "out/adapter/adapter_config.json",
        "out/adapter/adapter_model.safetensors",
        "out/candidates.safetensors",
        "out/fisher.safetensors",
        "out/head/head.safetensors",
        "out/head/labels.json",
        "out/predictions/challenger/test.safetensors",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
    assert!(!dir.root.join("checkpoint").exists());

    let accuracy = dir.accuracy(layout::CHALLENGER, "test", &toy_rows(4, 25, 1));
    assert!(accuracy > 0.9, "{accuracy}");
    let lines = progress(&dir);
    let losses: Vec<f64> = lines.iter().filter_map(|p| p.loss.map(|l| l.total)).collect();
    assert!(result.last_epoch_loss.unwrap().total < 0.5 && losses[0] > result.last_epoch_loss.unwrap().total);
    // Every phase is opened by a line, and the train phase closed by one.
    for phase in [
        Phase::Load,
        Phase::Train,
        Phase::PredictChallenger,
        Phase::Fisher,
        Phase::Candidates,
        Phase::Write,
    ] {
        assert!(
            lines.iter().any(|line| line.phase == phase && line.step == 0),
            "{phase:?}"
        );
    }
    let last = lines.iter().rfind(|line| line.phase == Phase::Train).unwrap();
    assert_eq!((last.step, last.total), (144, 144));

    // A directory with a result is left as it is.
    let before = std::fs::metadata(dir.root.join(layout::RESULT))
        .unwrap()
        .modified()
        .unwrap();
    let started = progress(&dir).len();
    dir.run(JobEnd::Completed);
    assert_eq!(
        std::fs::metadata(dir.root.join(layout::RESULT))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
    assert_eq!(progress(&dir).len(), started);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let bench = Bench::new();
    let run = |name: &str, seed: u64| {
        let dir = bench.job(name, |job| job.seed = seed);
        dir.run(JobEnd::Completed);
        dir.outputs()
    };
    let (one, again, other) = (run("one", 1), run("again", 1), run("other", 2));
    assert_eq!(one, again);
    let adapter = "out/adapter/adapter_model.safetensors";
    for name in [
        adapter,
        "out/head/head.safetensors",
        "out/fisher.safetensors",
        "out/candidates.safetensors",
    ] {
        assert_ne!(one[name], other[name], "{name}");
    }
}

#[test]
fn accumulation_changes_the_memory_used_and_not_the_result() {
    let bench = Bench::new();
    let run = |name: &str, accumulation: u32| {
        let dir = bench.job(name, |job| {
            job.learning.accumulation = accumulation;
            job.learning.epochs = 1;
            job.learning.head_dropout = 0.0;
            lora(job, 0.0);
        });
        dir.run(JobEnd::Completed);
        dir.logits(layout::CHALLENGER, "test")
    };
    let difference = (run("whole", 1) - run("parts", 3)).abs().max().double_value(&[]);
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn gradient_checkpointing_gives_the_same_bytes() {
    let bench = Bench::new();
    let run = |name: &str, checkpointing: bool| {
        let dir = bench.job(name, |job| {
            job.gradient_checkpointing = checkpointing;
            job.learning.accumulation = 2;
        });
        dir.run(JobEnd::Completed);
        dir.outputs()
    };
    assert_eq!(run("plain", false), run("sparing", true));
}

fn lora(job: &mut Job, new_dropout: f64) {
    if let Method::Lora(Lora { dropout, .. }) = &mut job.method {
        *dropout = new_dropout;
    }
}

#[test]
fn training_stops_when_the_validation_set_gets_no_better_and_the_best_epoch_counts() {
    let bench = Bench::new();
    let held = toy_rows(4, 25, 1);
    let dir = bench.job("stopped", |job| {
        job.learning.epochs = 60;
        job.learning.patience = 3;
        job.data.validation = Some("data/validation.safetensors".into());
    });
    write_set(&dir.root.join("data/validation.safetensors"), &held, None);
    // A third of the labels are wrong: what is learned of them in the end helps nobody.
    let noisy: Vec<Row> = toy_rows(4, 24, 0)
        .into_iter()
        .enumerate()
        .map(|(i, (ids, label))| (ids, if i % 3 == 0 { (label + 1) % 4 } else { label }))
        .collect();
    write_set(&dir.root.join("data/train.safetensors"), &noisy, None);
    dir.run(JobEnd::Completed);
    let result = dir.result();
    let per_epoch = noisy.len().div_ceil(8) as u64;
    let best = result.best_epoch.unwrap();
    println!("best epoch {best}, stopped after {} steps", result.steps);
    assert!(result.steps < 60 * per_epoch, "it went on to the end");
    assert_eq!(result.steps, u64::from(best + 3) * per_epoch);
    // The weights are those of that epoch: they answer the same set as they did then.
    let answers = dir.logits(layout::CHALLENGER, "test").argmax(1, false);
    let answers = Vec::<i64>::try_from(answers).unwrap();
    let f1 = |class: i64| {
        let of = |right: bool| {
            answers
                .iter()
                .zip(&held)
                .filter(move |(a, (_, l))| (**a == class, *l == class) == (true, right))
        };
        let (right, wrong) = (of(true).count() as f64, of(false).count() as f64);
        2.0 * right / (right + wrong + held.iter().filter(|(_, label)| *label == class).count() as f64)
    };
    let macro_f1 = (0..4).map(f1).sum::<f64>() / 4.0;
    assert!(
        (result.validation_score.unwrap() - macro_f1).abs() < 1e-12,
        "{macro_f1}: {result:?}"
    );
    assert!(progress(&dir).iter().any(|line| line.phase == Phase::Validate));
}

#[test]
fn a_head_alone_is_trained_on_embeddings_computed_once() {
    let bench = Bench::new();
    let dir = bench.job("head", |job| {
        job.method = Method::HeadOnly;
        job.learning.epochs = 40;
    });
    dir.run(JobEnd::Completed);
    let names: BTreeSet<String> = dir.outputs().into_keys().collect();
    assert!(!names.iter().any(|name| name.contains("adapter")), "{names:?}");
    let accuracy = dir.accuracy(layout::CHALLENGER, "test", &toy_rows(4, 25, 1));
    assert!(accuracy > 0.6, "{accuracy}");
    let state = FisherState::read(&dir.root.join(layout::FISHER)).unwrap();
    assert_eq!(
        state.entries().map(|(name, _)| name).collect::<Vec<_>>(),
        [HEAD_BIAS, HEAD_WEIGHT]
    );

    // A LoRA job goes on from it, first answering exactly as it did.
    let next = bench.job("lora", |job| job.parent = Some(dir.parent(4)));
    next.run(JobEnd::Completed);
    let (old, new) = (
        dir.logits(layout::CHALLENGER, "test"),
        next.logits(layout::CHAMPION, "test"),
    );
    let difference = (old - new).abs().max().double_value(&[]);
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn the_champion_answers_with_its_own_labels_and_the_fisher_grows_with_the_head() {
    let bench = Bench::new();
    let two: Vec<Row> = toy_rows(4, 24, 0).into_iter().filter(|(_, label)| *label < 2).collect();
    let first = bench.job("first", |job| {
        job.labels = labels(2);
        job.data.eval.clear();
    });
    write_set(&first.root.join("data/train.safetensors"), &two, None);
    first.run(JobEnd::Completed);
    for estimator in [
        FisherEstimate::Exact,
        FisherEstimate::Sampled,
        FisherEstimate::Empirical,
    ] {
        let second = bench.job(&format!("{estimator:?}"), |job| {
            job.parent = Some(first.parent(2));
            job.learning.ewc_lambda = 100.0;
            job.learning.fisher = estimator;
        });
        second.run(JobEnd::Completed);
        assert_eq!(second.logits(layout::CHAMPION, "test").size(), [100, 2]);
        let (penalty, training) = (second.result().penalty_seconds, second.result().train_seconds);
        assert!(penalty > 0.0 && penalty < training, "{penalty} of {training}");
        assert_eq!(second.logits(layout::CHALLENGER, "test").size(), [100, 4]);
        assert_eq!(
            train_support::logits(&second.root.join(layout::CANDIDATES)).size(),
            [96, 4]
        );
        assert!(second.result().last_epoch_loss.unwrap().ewc > 0.0);
        let old = FisherState::read(&first.root.join(layout::FISHER)).unwrap();
        let old: BTreeMap<_, _> = old.entries().collect();
        let new = FisherState::read(&second.root.join(layout::FISHER)).unwrap();
        assert_eq!(new.entries().count(), 6);
        for (name, entry) in new.entries() {
            let rows = old[name].fisher.size()[0];
            let decayed = &old[name].fisher * 0.9;
            let grown = entry.fisher.narrow(0, 0, rows) - decayed;
            assert!(grown.min().double_value(&[]) > -1e-9, "{estimator:?} {name}");
            assert!(entry.fisher.sum(Kind::Double).double_value(&[]) > 0.0);
        }
    }
}

#[test]
fn what_is_kept_by_its_sums_is_the_same_fisher_and_holds_the_weights() {
    let bench = Bench::new();
    let job = |name: &str, form| {
        let dir = bench.job(name, |job| job.learning.fisher_form = form);
        dir.run(JobEnd::Completed);
        (FisherState::read(&dir.root.join(layout::FISHER)).unwrap(), dir)
    };
    let (whole, _) = job("diagonal", FisherForm::Diagonal);
    let (sums, first) = job("factored", FisherForm::Factored);
    assert_eq!(sums.entries().count(), 2, "the head is kept whole");
    let entries: BTreeMap<_, _> = whole.entries().collect();
    let near = |found: &Tensor, wanted: &Tensor, name: &str| {
        let off = ((found - wanted).abs().max() / wanted.abs().max()).double_value(&[]);
        assert!(off < 1e-4, "{name}: {off}");
    };
    for (name, entry) in sums.factored() {
        let (fisher, anchor) = (&entries[name].fisher, &entries[name].anchor);
        near(&entry.rows, &fisher.sum_dim_intlist(1, false, Kind::Float), name);
        near(&entry.columns, &fisher.sum_dim_intlist(0, false, Kind::Float), name);
        near(&entry.anchor.left.matmul(&entry.anchor.right), anchor, name);
    }
    assert_eq!(sums.factored().count() + 2, entries.len());

    // How far an update goes from there, as the sums measure it.
    let moved = |name: &str, lambda: f64| {
        let dir = bench.job(name, |job| {
            job.parent = Some(first.parent(4));
            job.learning.ewc_lambda = lambda;
            job.learning.fisher_form = FisherForm::Factored;
            job.seed = 77;
        });
        dir.run(JobEnd::Completed);
        let next = FisherState::read(&dir.root.join(layout::FISHER)).unwrap();
        let next: BTreeMap<_, _> = next.factored().collect();
        let of = |(name, entry): (&str, &Factored)| entry.distance(&next[name].anchor).unwrap().double_value(&[]);
        let told = dir.result().last_epoch_loss.unwrap().ewc;
        (sums.factored().map(of).sum::<f64>(), told)
    };
    let ((free, nothing), (held, told)) = (moved("free", 0.0), moved("held", 1e5));
    assert!(nothing == 0.0 && told > 0.0);
    assert!(held < free / 2.0, "{held} of {free}");
}

#[test]
fn of_tokens_the_fisher_is_a_mean_over_tokens_as_the_loss_is() {
    let bench = Bench::new();
    let rows = toy_rows(2, 15, 0);
    let dir = bench.job("tokens", |job| {
        job.task = Task::TokenClassification;
        job.labels = labels(2);
        job.learning.fisher = FisherEstimate::Empirical;
        job.data.candidates = None;
    });
    for name in ["train", "test"] {
        let path = dir.root.join(format!("data/{name}.safetensors"));
        write_by_token(&path, &rows, Task::TokenClassification);
    }
    dir.run(JobEnd::Completed);
    // The gradient of an example's log p by the head's bias, from what the adopted weights answer to it.
    let p = dir.logits(layout::CHALLENGER, "test").softmax(1, Kind::Double);
    let (mut token, mut sum) = (0, Tensor::zeros([2], (Kind::Double, tch::Device::Cpu)));
    for row in &rows {
        let mut gradient = Tensor::zeros([2], (Kind::Double, tch::Device::Cpu));
        let asked = token_labels(std::slice::from_ref(row), Task::TokenClassification);
        for label in asked.into_iter().filter(|&label| label >= 0) {
            gradient += Tensor::from_slice(&[label]).one_hot(2).get(0) - p.get(token);
            token += 1;
        }
        sum += gradient.square();
    }
    assert!(token > rows.len() as i64 && p.size() == [token, 2]);
    let state = FisherState::read(&dir.root.join(layout::FISHER)).unwrap();
    let (_, bias) = state.entries().find(|(name, _)| *name == HEAD_BIAS).unwrap();
    let wanted = sum / token as f64;
    let off = (bias.fisher.to_kind(Kind::Double) - &wanted).abs().max() / wanted.max();
    assert!(off.double_value(&[]) < 1e-4, "{off}");
}

/// Rows that two words of `own` mark as label 0 or 1, with words of `spurious` beside them that mark the other label.
fn domain(own: [i32; 2], spurious: Option<[i32; 2]>, n: usize, index: u64) -> Vec<Row> {
    let mut stream = Stream::new(6, Purpose::Shuffle, index);
    let mut draw = |first: i32| first + stream.below(4) as i32;
    (0..n)
        .map(|i| {
            let label = i % 2;
            let mut tokens = vec![2, draw(own[label]), draw(own[label]), draw(50), draw(50)];
            if let Some(spurious) = spurious {
                tokens.extend([draw(spurious[1 - label]), draw(spurious[1 - label])]);
            }
            (tokens, label as i64)
        })
        .collect()
}

#[test]
fn replay_and_ewc_forget_less_than_neither() {
    let bench = Bench::new();
    let (old, new) = ([10, 14], [18, 22]);
    let test_old = domain(old, None, 200, 2);
    let test_new = domain(new, None, 200, 3);
    let sets = |dir: &JobDir, train: &[Row]| {
        write_set(&dir.root.join("data/train.safetensors"), train, None);
        write_set(&dir.root.join("data/old.safetensors"), &test_old, None);
        write_set(&dir.root.join("data/new.safetensors"), &test_new, None);
    };
    let both = |job: &mut Job| {
        job.labels = labels(2);
        job.data.eval = ["old", "new"]
            .map(|n| (n.to_owned(), PathBuf::from(format!("data/{n}.safetensors"))))
            .into();
        job.learning.epochs = 10;
    };
    let first = bench.job("first", |job| {
        both(job);
        job.learning.fisher_examples = 96;
    });
    let rows = domain(old, None, 96, 0);
    sets(&first, &rows);
    first.run(JobEnd::Completed);
    let learned = first.accuracy(layout::CHALLENGER, "old", &test_old);
    assert!(learned > 0.95, "{learned}");
    let teacher = train_support::logits(&first.root.join(layout::CANDIDATES));

    let second = |name: &str, change: &dyn Fn(&mut Job)| {
        let dir = bench.job(name, |job| {
            both(job);
            job.parent = Some(first.parent(2));
            change(job);
        });
        // What marked label 0 in the old domain is noise that goes with label 1 in the new one.
        sets(&dir, &domain(new, Some(old), 96, 1));
        write_set(
            &dir.root.join("data/replay.safetensors"),
            &rows[..32],
            Some(&teacher.narrow(0, 0, 32)),
        );
        dir.run(JobEnd::Completed);
        let of = |set: &str, rows: &[Row]| dir.accuracy(layout::CHALLENGER, set, rows);
        (of("old", &test_old), of("new", &test_new), dir)
    };
    let replay: &dyn Fn(&mut Job) = &|job| {
        job.data.replay = Some("data/replay.safetensors".into());
        job.learning.replay_ratio = 1.0;
    };
    let (neither, ..) = second("neither", &|_| ());
    let (with_ewc, ewc_new, _) = second("ewc", &|job| job.learning.ewc_lambda = EWC_LAMBDA);
    let (with_replay, replay_new, _) = second("replay", replay);
    let (with_teacher, _, dir) = second("teacher", &|job| {
        replay(job);
        job.learning.distill_alpha = 1.0;
    });
    let (with_dark, _, dark) = second("dark", &|job| {
        replay(job);
        job.learning.distill_alpha = 1.0;
        job.learning.distill_loss = DistillLoss::Logits;
    });
    // Nothing of the old texts is kept: the parent answers the new ones, and its answers hold what it knew.
    let (with_answers, _, answers) = second("answers", &|job| job.learning.distill_new_alpha = 2.0);
    println!("old: neither {neither}, EWC {with_ewc}, replay {with_replay}, and teacher {with_teacher}");
    println!("old: DER++ {with_dark}, distillation on new texts {with_answers}");
    println!("new: EWC {ewc_new}, replay {replay_new}");
    assert!(
        neither < learned - 0.2,
        "there has to be something to forget: {neither}"
    );
    assert!(
        with_ewc > neither + 0.1 && ewc_new > 0.6,
        "EWC: {with_ewc} for {neither}, new {ewc_new}"
    );
    assert!(
        with_replay > neither + 0.2 && replay_new > 0.8,
        "replay: {with_replay} for {neither}, new {replay_new}"
    );
    assert!(with_teacher > neither + 0.2, "teacher: {with_teacher} for {neither}");
    assert!(with_dark > neither + 0.2, "DER++: {with_dark} for {neither}");
    assert!(
        with_answers > neither + 0.1,
        "distillation on new texts: {with_answers} for {neither}"
    );
    let (dark, answers) = (dark.result().last_epoch_loss, answers.result().last_epoch_loss);
    assert!(dark.is_some_and(|loss| loss.distill > 0.0 && loss.replay > 0.0));
    assert!(answers.is_some_and(|loss| loss.distill > 0.0 && loss.replay == 0.0));
    let loss = dir.result().last_epoch_loss.unwrap();
    assert!(loss.distill > 0.0 && loss.replay > 0.0);
    let sum = loss.new + loss.replay + loss.distill + loss.ewc;
    assert!((loss.total - sum).abs() < 1e-12);
}

/// Strong enough to hold the old domain and weak enough to let the new one in.
const EWC_LAMBDA: f64 = 1e5;

#[test]
fn answers_do_not_depend_on_the_order_or_the_company_of_the_rows() {
    let bench = Bench::new();
    let rows = toy_rows(4, 25, 1);
    let reversed: Vec<Row> = rows.iter().rev().cloned().collect();
    let dir = bench.job("order", |job| {
        job.learning.epochs = 1;
        for name in ["reversed", "one", "none"] {
            job.data
                .eval
                .insert(name.into(), PathBuf::from(format!("data/{name}.safetensors")));
        }
    });
    let write = |name: &str, rows: &[Row]| write_set(&dir.root.join(format!("data/{name}.safetensors")), rows, None);
    write("reversed", &reversed);
    write("one", &rows[7..8]);
    write("none", &[]);
    dir.run(JobEnd::Completed);
    let logits = |name: &str| dir.logits(layout::CHALLENGER, name);
    let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    assert!(difference(&logits("test"), &logits("reversed").flip([0])) < 1e-5);
    assert!(difference(&logits("test").get(7), &logits("one").get(0)) < 1e-5);
    assert_eq!(logits("none").size(), [0, 4]);
}
