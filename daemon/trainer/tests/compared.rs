//! What other versions than the result are asked: the parent, in part twice, and the anchor.

mod train_support;

use train_support::{Bench, JobDir, labels, toy_rows, write_set};
use wengu_protocol::job::{Anchor, JobEnd, layout};

/// A job that continues `parent` and asks `anchor`.
fn update(bench: &Bench, name: &str, parent: &JobDir, anchor: &JobDir) -> JobDir {
    let dir = bench.job(name, |job| {
        job.parent = Some(parent.parent(2));
        job.data.fresh = Some("data/train.safetensors".into());
        job.anchor = Some(Anchor {
            version: anchor.parent(2),
            eval: [("audit".to_owned(), "data/audit.safetensors".into())].into(),
        });
    });
    write_set(&dir.root.join("data/audit.safetensors"), &toy_rows(4, 9, 3), None);
    dir
}

fn first(bench: &Bench, name: &str, seed: u64) -> JobDir {
    let dir = bench.job(name, |job| {
        job.labels = labels(2);
        job.seed = seed;
    });
    for (file, n) in [("train", 24), ("test", 25), ("candidates", 24)] {
        write_set(
            &dir.root.join(format!("data/{file}.safetensors")),
            &toy_rows(2, n, 1),
            None,
        );
    }
    dir.run(JobEnd::Completed);
    dir
}

#[test]
fn the_parent_and_the_anchor_answer_and_the_parent_says_the_same_twice() {
    let bench = Bench::new();
    let (anchor, parent) = (first(&bench, "anchor", 1), first(&bench, "parent", 2));
    assert_eq!(parent.result().repeat, None, "a first version has nobody to ask twice");
    let dir = update(&bench, "update", &parent, &anchor);
    dir.run(JobEnd::Completed);
    // 96 new examples and 100 test items are seven batches, all of which are asked again.
    let repeat = dir.result().repeat.unwrap();
    assert_eq!((repeat.answers, repeat.differ), (196, 0));
    assert_eq!(dir.logits(layout::CHAMPION, layout::FRESH).size(), [96, 2]);
    assert_eq!(dir.logits(layout::ANCHOR, "audit").size(), [36, 2]);
    assert!(!dir.root.join(layout::CHALLENGER).join("fresh.safetensors").exists());
    // It is the anchor that answered.
    let same = update(&bench, "same", &parent, &parent);
    same.run(JobEnd::Completed);
    assert_ne!(
        dir.logits(layout::ANCHOR, "audit"),
        same.logits(layout::ANCHOR, "audit")
    );
}

#[test]
fn a_stranger_is_no_anchor() {
    let bench = Bench::new();
    let parent = first(&bench, "parent", 2);
    let refused = |name: &str, change: &dyn Fn(&mut wengu_protocol::job::Job), said: &str| {
        let dir = bench.job(name, |job| {
            job.parent = Some(parent.parent(2));
            job.anchor = Some(Anchor {
                version: parent.parent(2),
                eval: Default::default(),
            });
            change(job);
        });
        dir.run(JobEnd::BadJob);
        let message = dir.result().message;
        assert!(message.contains(said), "{message}");
    };
    let more: &dyn Fn(&mut _) = &|job: &mut wengu_protocol::job::Job| {
        if let Some(anchor) = &mut job.anchor {
            anchor.version.labels = labels(3);
        }
    };
    refused("labels", more, "it has to be an ancestor");
    refused("orphan", &|job| job.parent = None, "an ancestor of the parent");
    let fresh: &dyn Fn(&mut _) = &|job: &mut wengu_protocol::job::Job| {
        (job.parent, job.anchor) = (None, None);
        job.data.fresh = Some("data/train.safetensors".into());
    };
    refused("fresh", fresh, "`data.fresh` is answered by a parent");
}
