//! What waits for a person: nothing of it is learned before it is accepted, and what is rejected never is.

use std::path::Path;
use std::sync::Arc;
use wengu::engine::Engine;
use wengu::learn::examples::{EXAMPLES_SCHEMA, Example, Examples, LabelSource, text_id};
use wengu::learn::plan::{History, Plan, guarded};
use wengu::learn::review;
use wengu::learn::sources::{self, ReviewRecord, ReviewState};
use wengu_decide::split::Side;
use wengu_protocol::job::Task;
use wengu_store::{Batch, Hash};

const TEXTS: [&str; 3] = [
    "The tenant pays the rent on the first day of each month.",
    "Neither party is liable for what it could not foresee.",
    "All disputes go to the courts of Shanghai.",
];

fn engine(dir: &Path) -> Arc<Engine> {
    let text = "state_dir = \"state\"\n[models.base]\npath = \"m\"\n[domains.contracts]\nwatch = [\"inbox\"]\nmodel = \"base\"\n";
    std::fs::write(dir.join("wengu.toml"), text).unwrap();
    let config = wengu_config::load(&dir.join("wengu.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    Engine::open(config).unwrap()
}

/// One delivery of three examples, each of which stood out.
fn delivery(engine: &Engine) -> (Hash, Examples) {
    let example = |(ordinal, text): (u32, &&str)| Example {
        ordinal,
        line: ordinal + 1,
        place: None,
        case: format!("case {ordinal}"),
        side: Side::Train,
        text: (*text).into(),
        label: Some("a".into()),
        source: LabelSource::Gold,
        votes: vec![],
        segments: vec![],
        slices: vec![],
    };
    let examples = Examples {
        schema: EXAMPLES_SCHEMA,
        content: Hash::of(b"content"),
        format: "jsonl".into(),
        encoding: "UTF-8".into(),
        plugin: None,
        voting: None,
        terms: vec![],
        examples: (0..).zip(&TEXTS).map(example).collect(),
        rejected: vec![],
    };
    let hash = engine
        .store
        .objects()
        .put_bytes(&serde_json::to_vec(&examples).unwrap())
        .unwrap();
    let mut batch = Batch::new("test");
    for (ordinal, text) in (0..).zip(TEXTS) {
        let record = ReviewRecord {
            text_id: text_id(text),
            label: "a".into(),
            source: "scanner".into(),
            examples: hash,
            ordinal,
            reason: "it stands out".into(),
            run: 1,
            state: ReviewState::Held,
            updated_ms: 1,
        };
        batch = batch.put(&format!("contracts/{}/0", record.text_id), &record).unwrap();
    }
    engine.store.commit(batch).unwrap();
    (hash, examples)
}

fn plan(engine: &Engine, delivery: &(Hash, Examples)) -> Plan {
    let guard = sources::guard(engine, &engine.config.domains["contracts"]).unwrap();
    let files = std::slice::from_ref(delivery);
    guarded(files, Task::SequenceClassification, &[], &History::default(), &guard)
}

/// What a plan learns, has for later and leaves out, by the places in the delivery.
fn told(plan: &Plan) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let dropped = |waiting: bool| {
        let of = plan.dropped.iter().filter(|dropped| dropped.waiting == waiting);
        let mut ordinals: Vec<u32> = of.map(|dropped| dropped.ordinal).collect();
        ordinals.sort_unstable();
        ordinals
    };
    (
        plan.train.iter().map(|item| item.ordinal).collect(),
        dropped(true),
        dropped(false),
    )
}

#[test]
fn what_a_person_accepts_is_learned_what_it_rejects_is_not_and_the_rest_waits() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let delivery = delivery(&engine);
    let shown = || -> Vec<String> {
        let list = review::list(&engine, "contracts").unwrap();
        list.examples.iter().map(|view| view.text.to_string()).collect()
    };
    assert_eq!(shown().len(), 3);
    assert_eq!(told(&plan(&engine, &delivery)), (vec![], vec![0, 1, 2], vec![]));

    // As much of an id as is shown.
    let id = |text: &str| text_id(text).chars().take(12).collect::<String>();
    assert_eq!(
        review::decide_examples(&engine, "contracts", &id(TEXTS[0]), true).unwrap(),
        1
    );
    assert_eq!(
        review::decide_examples(&engine, "contracts", &id(TEXTS[1]), false).unwrap(),
        1
    );
    assert_eq!(shown(), [TEXTS[2]]);
    let decided = (vec![0], vec![2], vec![1]);
    assert_eq!(told(&plan(&engine, &delivery)), decided);

    let unknown = review::decide_examples(&engine, "contracts", "no such id", true).unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("nothing that waits for review begins with"),
        "{unknown}"
    );
    assert!(
        review::decide_examples(&engine, "leases", &id(TEXTS[2]), true).is_err(),
        "another domain's"
    );
    assert_eq!(told(&plan(&engine, &delivery)), decided);

    // A person may come to see it otherwise.
    review::decide_examples(&engine, "contracts", &id(TEXTS[1]), true).unwrap();
    assert_eq!(told(&plan(&engine, &delivery)).0.len(), 2);
}
