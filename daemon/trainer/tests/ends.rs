//! Every end that a job can come to, reached by the real program on a real directory.

mod train_support;

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use tch::{Kind, Tensor};
use train_support::{Bench, JobDir, VOCABULARY, labels, toy_rows, write_set};
use wengu_protocol::job::{JobEnd, Lora, MEMORY_LIMIT_ENV, Method, layout};
use wengu_trainer::job;
use wengu_trainer::train_loop::Cancel;

/// The job, run by the program, ends so, says so in result.json, and its message holds every one of `words`.
fn ends(dir: &JobDir, end: JobEnd, words: &[&str]) {
    dir.run(end);
    says(dir, end, words);
    // Told again, it says the same without doing anything.
    let before = fs::read(dir.root.join(layout::RESULT)).unwrap();
    assert_eq!(job::run(&dir.root, &Cancel::default()), end);
    assert_eq!(fs::read(dir.root.join(layout::RESULT)).unwrap(), before);
}

/// The same for one of many cases, without a process of its own.
fn ends_here(dir: &JobDir, end: JobEnd, words: &[&str]) {
    assert_eq!(job::run(&dir.root, &Cancel::default()), end);
    says(dir, end, words);
}

fn says(dir: &JobDir, end: JobEnd, words: &[&str]) {
    let result = dir.result();
    assert_eq!(result.end, end);
    assert!(result.outputs.is_empty());
    for word in words {
        assert!(result.message.contains(word), "`{word}` is not in: {}", result.message);
    }
}

fn edit(dir: &JobDir, change: impl FnOnce(&mut serde_json::Value)) {
    let path = dir.root.join(layout::JOB);
    let mut job = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut job);
    fs::write(path, job.to_string()).unwrap();
}

#[test]
fn bad_jobs() {
    let bench = Bench::new();
    let dir = bench.job("malformed", |_| ());
    fs::write(dir.root.join("job.json"), "{").unwrap();
    ends(&dir, JobEnd::BadJob, &["job.json", "not JSON"]);

    let case = |name: &str, words: &[&str], change: &dyn Fn(&JobDir)| {
        let dir = bench.job(name, |_| ());
        change(&dir);
        ends_here(&dir, JobEnd::BadJob, words);
    };
    case("missing", &["job.json"], &|dir| {
        fs::remove_file(dir.root.join("job.json")).unwrap()
    });
    case("half", &["job.json", "not JSON"], &|dir| {
        let text = fs::read(dir.root.join("job.json")).unwrap();
        fs::write(dir.root.join("job.json"), &text[..text.len() / 2]).unwrap();
    });
    case("newer", &["schema 9", "reads schema 5"], &|dir| {
        edit(dir, |job| job["schema"] = 9.into())
    });
    case("field", &["epoch_count"], &|dir| {
        edit(dir, |job| job["learning"]["epoch_count"] = 9.into())
    });
    case("epochs", &["learning.epochs"], &|dir| {
        edit(dir, |job| job["learning"]["epochs"] = 0.into())
    });
    case("rate", &["learning.learning_rate"], &|dir| {
        edit(dir, |job| job["learning"]["learning_rate"] = (-1.0).into())
    });
    case("twice", &["c1"], &|dir| edit(dir, |job| job["labels"][2] = "c1".into()));
    case("escape", &["../x"], &|dir| {
        edit(dir, |job| job["data"]["eval"] = serde_json::json!({ "../x": "y" }))
    });
    case("target", &["no_such_layer"], &|dir| {
        edit(dir, |job| {
            job["method"]["target_modules"] = serde_json::json!(["no_such_layer"])
        });
    });
}

#[test]
fn a_directory_that_is_not_there_is_a_bad_job() {
    let bench = Bench::new();
    let dir = JobDir {
        root: bench.folder.path().join("nowhere"),
    };
    let output = dir.run(JobEnd::BadJob);
    assert!(String::from_utf8(output.stderr).unwrap().contains("nowhere"));
}

#[test]
fn bad_models() {
    let bench = Bench::new();
    let parent = bench.job("parent", |job| job.learning.epochs = 1);
    parent.run(JobEnd::Completed);

    let wrong = "0".repeat(64);
    let dir = bench.job("digest", |job| {
        job.base.sha256.insert("config.json".into(), wrong.clone());
    });
    ends(
        &dir,
        JobEnd::BadModel,
        &["config.json", &wrong, &bench.base.sha256["config.json"]],
    );

    let gone = bench.job("gone", |job| job.base.path = "no/such/folder".into());
    ends_here(&gone, JobEnd::BadModel, &["no/such/folder"]);

    let base = train_support::tiny_model(&bench.folder.path().join("torn"));
    let weights = base.path.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 100]).unwrap();
    let torn = bench.job("torn-model", |job| {
        job.base = base.clone();
        job.base.sha256.clear();
    });
    ends_here(&torn, JobEnd::BadModel, &["model.safetensors"]);

    let adapter = parent.root.join("out/adapter/adapter_model.safetensors");
    let fisher = parent.root.join("out/fisher.safetensors");
    for (name, file) in [("adapter", &adapter), ("fisher", &fisher)] {
        let whole = fs::read(file).unwrap();
        fs::write(file, &whole[..whole.len() / 2]).unwrap();
        let dir = bench.job(&format!("torn-{name}"), |job| job.parent = Some(parent.parent(4)));
        ends_here(&dir, JobEnd::BadModel, &[file.file_name().unwrap().to_str().unwrap()]);
        fs::write(file, &whole).unwrap();
    }

    let other = bench.job("other-layers", |job| {
        job.parent = Some(parent.parent(4));
        job.parent.as_mut().unwrap().adapter = None;
        job.learning.ewc_lambda = 1.0;
        if let Method::Lora(Lora { target_modules, .. }) = &mut job.method {
            *target_modules = vec!["key".into()];
        }
    });
    ends_here(&other, JobEnd::BadModel, &["Fisher", "query"]);
}

/// A data file with raw tensors, to hold what no honest writer would write.
fn raw_set(path: &Path, ids: &[i32], offsets: &[i64], labels: &[i64]) {
    let named = [
        ("ids", Tensor::from_slice(ids)),
        ("offsets", Tensor::from_slice(offsets)),
        ("labels", Tensor::from_slice(labels)),
    ];
    Tensor::write_safetensors(&named, path).unwrap();
}

#[test]
fn bad_data() {
    let bench = Bench::new();
    let dir = bench.job("set", |job| {
        job.data.eval.insert("gone".into(), "data/gone.safetensors".into());
    });
    ends(&dir, JobEnd::BadData, &["gone.safetensors", "No such file"]);

    let case = |name: &str, words: &[&str], change: &dyn Fn(&Path)| {
        let dir = bench.job(name, |_| ());
        let path = dir.root.join("data/train.safetensors");
        change(&path);
        ends_here(&dir, JobEnd::BadData, &[&["train.safetensors"], words].concat());
    };
    case("missing", &["No such file"], &|path| fs::remove_file(path).unwrap());
    case("garbage", &["safetensors"], &|path| {
        fs::write(path, "not a tensor").unwrap()
    });
    case("torn", &["safetensors"], &|path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    case("empty", &["no example"], &|path| write_set(path, &[], None));
    case("vocabulary", &["row 1", "64"], &|path| {
        write_set(path, &[(vec![1, 2], 0), (vec![3, VOCABULARY as i32], 1)], None);
    });
    case("negative", &["row 0", "-5"], &|path| {
        write_set(path, &[(vec![-5], 0)], None)
    });
    case("long", &["33 tokens", "32"], &|path| {
        write_set(path, &[(vec![1; 33], 0)], None)
    });
    case("falls", &["row 1"], &|path| {
        raw_set(path, &[1, 2, 3], &[0, 2, 1, 3], &[0, 0, 0])
    });
    case("beyond", &["number of tokens, 3"], &|path| {
        raw_set(path, &[1, 2, 3], &[0, 2, 9], &[0, 0])
    });
    case("hollow", &["row 1 is empty"], &|path| {
        raw_set(path, &[1, 2], &[0, 1, 1, 2], &[0, 0, 0])
    });
    case("labels", &["`labels` has 1 values for 2 rows"], &|path| {
        raw_set(path, &[1, 2], &[0, 1, 2], &[0])
    });
    case("unlabelled", &["row 0 has no label"], &|path| {
        write_set(path, &[(vec![1], -1)], None)
    });
    case("no-offsets", &["`offsets`"], &|path| {
        Tensor::write_safetensors(&[("ids", Tensor::from_slice(&[1i32]))], path).unwrap();
    });
    case("kind", &["`ids`", "I64"], &|path| {
        Tensor::write_safetensors(&[("ids", Tensor::from_slice(&[1i64]))], path).unwrap();
    });
}

#[test]
fn bad_replay() {
    let bench = Bench::new();
    let rows = toy_rows(4, 2, 0);
    let case = |name: &str, words: &[&str], teacher: Option<Tensor>| {
        let dir = bench.job(name, |job| {
            job.learning.replay_ratio = 0.5;
            job.learning.distill_alpha = 1.0;
            job.data.replay = Some("data/replay.safetensors".into());
        });
        write_set(&dir.root.join("data/replay.safetensors"), &rows, teacher.as_ref());
        ends_here(&dir, JobEnd::BadData, &[&["replay.safetensors"], words].concat());
    };
    let zeros = |shape: [i64; 2]| Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
    case("absent", &["teacher_logits"], None);
    case("wide", &["[8, 5]"], Some(zeros([8, 5])));
    case("short", &["[7, 4]"], Some(zeros([7, 4])));
    case("nan", &["row 0", "NaN"], Some(zeros([8, 4]) * f64::NAN));
}

#[test]
fn unknown_labels() {
    let bench = Bench::new();
    let dir = bench.job("index", |_| ());
    write_set(
        &dir.root.join("data/test.safetensors"),
        &[(vec![1], 0), (vec![2], 4)],
        None,
    );
    ends(
        &dir,
        JobEnd::UnknownLabel,
        &["test.safetensors", "row 1", "label 4", "4 labels"],
    );

    let parent = bench.job("parent", |job| job.learning.epochs = 1);
    parent.run(JobEnd::Completed);
    let dir = bench.job("renamed", |job| {
        job.parent = Some(parent.parent(4));
        job.labels = labels(5);
        job.labels[1] = "another".into();
    });
    ends(&dir, JobEnd::UnknownLabel, &["`c1`", "`another`"]);
}

#[test]
fn a_loss_that_explodes_is_said_to() {
    let bench = Bench::new();
    let dir = bench.job("nan", |job| {
        job.learning.learning_rate = 1e30;
        job.learning.head_learning_rate = 1e30;
    });
    ends(&dir, JobEnd::NanLoss, &["learning_rate", "1e30"]);
}

#[test]
fn memory_that_is_not_there_is_said_to_be_missing() {
    let bench = Bench::new();
    let dir = bench.job("memory", |job| {
        job.learning.batch_size = 60_000;
        job.learning.fisher_examples = 0;
        job.data.candidates = None;
    });
    let rows: Vec<_> = (0..60_000).map(|i| (vec![i % 60; 32], i64::from(i % 4))).collect();
    write_set(&dir.root.join("data/train.safetensors"), &rows, None);
    // Enough to start, too little for the attention of the whole batch.
    let output = Command::new(env!("CARGO_BIN_EXE_wengu-trainer"))
        .arg("run")
        .arg(&dir.root)
        .env("OMP_NUM_THREADS", "1")
        .env(MEMORY_LIMIT_ENV, (1_u64 << 30).to_string())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(i32::from(JobEnd::OutOfMemory.exit_code())),
        "{stderr}"
    );
    let result = dir.result();
    assert_eq!(result.end, JobEnd::OutOfMemory);
    for word in ["batch_size", "1024 MiB", "memory_mib"] {
        assert!(result.message.contains(word), "{}", result.message);
    }
}

/// Wherever memory ends, it is memory that is said to be missing.
#[test]
fn no_file_is_called_bad_for_want_of_memory() {
    let bench = Bench::new();
    let first = bench.job("first", |job| job.learning.epochs = 1);
    first.run(JobEnd::Completed);
    let second = bench.job("second", |job| {
        job.parent = Some(first.parent(4));
        job.learning.epochs = 1;
        job.learning.ewc_lambda = 10.0;
    });
    let mut ends = std::collections::BTreeMap::new();
    for mebibytes in 48..80 {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -d {}; exec \"$0\" run \"$1\"", mebibytes << 10));
        command.arg(env!("CARGO_BIN_EXE_wengu-trainer")).arg(&second.root);
        let output = command.env("OMP_NUM_THREADS", "1").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // A refused allocation of the program's own ends it at once.
        let aborted = output.status.signal() == Some(6);
        let code = output.status.code();
        let known = [JobEnd::OutOfMemory, JobEnd::Completed].map(|end| Some(i32::from(end.exit_code())));
        assert!(
            aborted || known.contains(&code),
            "{mebibytes} MiB: {:?}, {stderr}",
            output.status
        );
        *ends.entry((code, aborted)).or_insert(0) += 1;
        for made in [layout::RESULT, layout::RESULT_SUM] {
            let _ = fs::remove_file(second.root.join(made));
        }
    }
    println!("{ends:?}");
    assert!(ends.len() > 1, "{ends:?}");
}

#[test]
fn a_refused_write_is_said_to_be_refused() {
    let bench = Bench::new();
    let dir = bench.job("full", |_| ());
    // No file above 8 blocks: progress and job fit, the checkpoint does not.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" run \"$1\""])
        .arg(env!("CARGO_BIN_EXE_wengu-trainer"))
        .arg(&dir.root)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(i32::from(JobEnd::WriteFailed.exit_code())),
        "{stderr}"
    );
    assert!(dir.result().message.contains("checkpoint"), "{}", dir.result().message);

    let blocked = bench.job("blocked", |job| job.learning.epochs = 1);
    fs::create_dir_all(blocked.root.join("progress.jsonl")).unwrap();
    ends(&blocked, JobEnd::WriteFailed, &["progress.jsonl"]);
}

#[test]
fn a_result_that_cannot_be_read_is_never_written_over() {
    let bench = Bench::new();
    let dir = bench.job("broken-result", |_| ());
    fs::write(dir.root.join(layout::RESULT), "{").unwrap();
    let output = dir.run(JobEnd::Internal);
    assert!(String::from_utf8(output.stderr).unwrap().contains("result.json"));
    assert_eq!(fs::read(dir.root.join(layout::RESULT)).unwrap(), b"{");
}

#[test]
fn two_trainers_do_not_work_in_one_directory() {
    let bench = Bench::new();
    let dir = bench.job("shared", |_| ());
    let held = fs::File::open(&dir.root).unwrap();
    held.lock().unwrap();
    let output = dir.run(JobEnd::Internal);
    assert!(String::from_utf8(output.stderr).unwrap().contains("another trainer"));
    assert!(!dir.root.join(layout::RESULT).exists());
    drop(held);
    dir.run(JobEnd::Completed);
}

#[test]
fn check_says_what_is_there_and_changes_nothing() {
    let bench = Bench::new();
    let dir = bench.job("check", |_| ());
    let list = || {
        let mut names: Vec<_> = fs::read_dir(&dir.root)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = list();
    let output = dir.command("check").output().unwrap();
    std::io::stderr().write_all(&output.stderr).unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("96 new examples") && text.contains("4 labels"), "{text}");
    write_set(&dir.root.join("data/train.safetensors"), &[(vec![1], 9)], None);
    let output = dir.command("check").output().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(JobEnd::UnknownLabel.exit_code())));
    assert_eq!(list(), before);
}

#[test]
fn the_help_shows_examples_and_exit_codes() {
    let run = |flag: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_wengu-trainer"))
            .arg(flag)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let help = run("--help");
    for word in ["wengu-trainer run", "check", "15 NaN loss", "OMP_NUM_THREADS"] {
        assert!(help.contains(word), "{help}");
    }
    assert!(run("--version").contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_end_has_its_own_exit_code() {
    let ends = [
        JobEnd::Completed,
        JobEnd::Cancelled,
        JobEnd::BadJob,
        JobEnd::BadModel,
        JobEnd::BadData,
        JobEnd::UnknownLabel,
        JobEnd::NanLoss,
        JobEnd::OutOfMemory,
        JobEnd::WriteFailed,
        JobEnd::Internal,
    ];
    let codes: std::collections::BTreeSet<u8> = ends.into_iter().map(JobEnd::exit_code).collect();
    assert_eq!(codes.len(), ends.len());
}
