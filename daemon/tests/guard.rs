//! What does not go into a run: leaks, floods, what one source brings beyond its share, and what waits for a person.

use wengu::learn::examples::{EXAMPLES_SCHEMA, Example, Examples, LabelSource};
use wengu::learn::guard::{Guard, Trust};
use wengu::learn::manifest::Item;
use wengu::learn::plan::{History, Plan, guarded};
use wengu::learn::sources::ReviewState;
use wengu_config::Sources;
use wengu_decide::split::Side;
use wengu_protocol::job::Task;
use wengu_store::Hash;

const CLAUSE: &str = "This Agreement shall be governed by and construed in accordance with the laws of the State of \
                      Delaware, without regard to its conflict of laws principles, as of March";

/// A file of a source, each record as (side, text, label).
fn file(n: u64, records: &[(Side, String, &str)]) -> (Hash, Examples) {
    let hash = Hash::of(&n.to_le_bytes());
    let example = |(ordinal, (side, text, label)): (u32, &(Side, String, &str))| Example {
        ordinal,
        line: ordinal + 1,
        place: None,
        case: format!("file:{n}"),
        side: *side,
        text: text.clone().into(),
        label: Some(label.to_string()),
        source: LabelSource::Gold,
        votes: vec![],
        segments: vec![],
        slices: vec![],
    };
    let file = Examples {
        schema: EXAMPLES_SCHEMA,
        content: hash,
        format: "jsonl".into(),
        encoding: "UTF-8".into(),
        plugin: None,
        voting: None,
        terms: vec![],
        examples: (0..).zip(records).map(example).collect(),
        rejected: vec![],
    };
    (hash, file)
}

/// So many texts that have nothing in common.
fn texts(seed: &str, n: usize) -> Vec<String> {
    let word = |i: usize, j: usize| {
        blake3::hash(format!("{seed} {i} {j}").as_bytes()).to_hex()[..8].replace(char::is_numeric, "x")
    };
    (0..n)
        .map(|i| (0..12).map(|j| word(i, j)).collect::<Vec<_>>().join(" "))
        .collect()
}

fn learnable(seed: &str, n: usize, label: &'static str) -> Vec<(Side, String, &'static str)> {
    texts(seed, n)
        .into_iter()
        .map(|text| (Side::Train, text, label))
        .collect()
}

struct World {
    guard: Guard,
    history: History,
}

impl World {
    /// A source "old" that an accepted run has learned 300 examples of.
    fn new(rules: Sources) -> World {
        let mut world = World {
            guard: Guard {
                rules,
                ..Guard::default()
            },
            history: History::default(),
        };
        let old = file(1000, &learnable("old", 300, "a"));
        let plan = world.plan("old", std::slice::from_ref(&old));
        assert_eq!(plan.train.len(), 300, "a first and only source is not held up");
        world.history.add_trained(&plan.train);
        world
    }

    fn plan(&mut self, source: &str, files: &[(Hash, Examples)]) -> Plan {
        self.guard
            .origin
            .extend(files.iter().map(|(hash, _)| (*hash, source.to_owned())));
        guarded(
            files,
            Task::SequenceClassification,
            &["a".into(), "b".into()],
            &self.history,
            &self.guard,
        )
    }
}

fn probation() -> Sources {
    Sources {
        probation_items: 10,
        ..Sources::default()
    }
}

fn waiting(plan: &Plan) -> usize {
    plan.dropped.iter().filter(|dropped| dropped.waiting).count()
}

#[test]
fn what_nearly_is_a_held_out_item_is_never_learned() {
    let mut world = World::new(Sources::default());
    let first = world.plan("old", &[file(1, &[(Side::Gate, format!("{CLAUSE} 1, 2019."), "a")])]);
    assert_eq!(first.gate.len(), 1);
    let leak = [(Side::Train, format!("{CLAUSE} 17, 2021"), "a")];
    let same_delivery = world.plan(
        "old",
        &[
            file(1, &[(Side::Audit, format!("{CLAUSE} 1, 2019."), "a")]),
            file(2, &leak),
        ],
    );
    assert_eq!((same_delivery.train.len(), same_delivery.audit.len()), (0, 1));
    world.history.add_kept_back(&first.gate);
    let later = world.plan("old", &[file(2, &leak)]);
    assert_eq!((later.train.len(), waiting(&later)), (0, 0));
    assert!(later.dropped[0].reason.contains("held-out item"), "{:?}", later.dropped);
}

#[test]
fn a_flood_of_one_text_counts_once_for_each_label_however_often_it_comes() {
    let mut world = World::new(Sources::default());
    let flood =
        |days: std::ops::Range<u32>, label| days.map(move |day| (Side::Train, format!("{CLAUSE} {day}, 2019."), label));
    let plan = world.plan(
        "old",
        &[file(
            1,
            &flood(1..500, "a").chain(flood(500..600, "b")).collect::<Vec<_>>(),
        )],
    );
    let labels: Vec<&str> = plan.train.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(labels.len(), 2, "{labels:?}");
    world.history.add_trained(&plan.train);
    let again = world.plan("old", &[file(2, &flood(1000..1500, "a").collect::<Vec<_>>())]);
    assert_eq!(again.train, []);
}

#[test]
fn a_new_source_is_held_to_its_share_and_the_rest_waits() {
    let mut world = World::new(Sources::default());
    let old = file(1, &learnable("more", 250, "a"));
    let new = file(2, &learnable("new", 2000, "b"));
    world.plan("new", std::slice::from_ref(&new));
    let plan = world.plan("old", std::slice::from_ref(&old));
    assert_eq!(plan.train.len(), 250);
    world.guard.origin.insert(new.0, "new".into());
    let plan = guarded(
        &[old, new],
        Task::SequenceClassification,
        &[],
        &world.history,
        &world.guard,
    );
    let of_new = plan.train.iter().filter(|item| item.label == "b").count();
    // A fifth of 2250.
    assert_eq!((plan.train.len(), of_new, waiting(&plan)), (700, 450, 1550));
}

#[test]
fn a_new_source_is_asked_about_first_and_what_follows_holds() {
    let mut world = World::new(probation());
    let records = learnable("new", 30, "b");
    let files = [file(2, &records)];
    let plan = world.plan("new", &files);
    assert_eq!((plan.train.len(), plan.asked.len(), waiting(&plan)), (0, 30, 30));
    assert_eq!(plan.asked[0].source, "new");
    for (trust, learned, waits) in [
        (Trust::Trusted, 30, 0),
        (Trust::Suspicious, 0, 30),
        (Trust::Rejected, 0, 0),
    ] {
        world.guard.standing.insert("new".into(), trust);
        let plan = world.plan("new", &files);
        assert_eq!((plan.train.len(), waiting(&plan)), (learned, waits), "{trust:?}");
        assert_eq!(plan.asked, []);
    }
    world.guard.standing.insert("new".into(), Trust::Suspicious);
    let key = |item: &Item| (item.text_id.clone(), item.label.clone());
    world
        .guard
        .reviews
        .insert(key(&plan.asked[0].item), ReviewState::Accepted);
    assert_eq!(world.plan("new", &files).train, [plan.asked[0].item.clone()]);
    world.guard.standing.insert("new".into(), Trust::Trusted);
    world.guard.reviews.insert(key(&plan.asked[1].item), ReviewState::Held);
    world
        .guard
        .reviews
        .insert(key(&plan.asked[2].item), ReviewState::Rejected);
    let plan = world.plan("new", &files);
    assert_eq!((plan.train.len(), waiting(&plan)), (28, 1));
}

#[test]
fn a_known_source_and_a_first_version_need_no_probation() {
    let mut world = World::new(probation());
    assert_eq!(
        world.plan("old", &[file(2, &learnable("more", 30, "b"))]).train.len(),
        30
    );
    let empty = World {
        history: History::default(),
        guard: Guard {
            rules: probation(),
            ..Guard::default()
        },
    };
    let files = [file(2, &learnable("new", 30, "b"))];
    let plan = guarded(&files, Task::SequenceClassification, &[], &empty.history, &empty.guard);
    assert_eq!(plan.train.len(), 30);
}

#[test]
fn a_flood_does_not_decide_what_the_gate_measures() {
    let mut world = World::new(Sources::default());
    let flood: Vec<_> = (0..600)
        .map(|day| {
            let side = [Side::Gate, Side::Reserve, Side::Audit][day % 3];
            (side, format!("{CLAUSE} {day}, 2019."), "a")
        })
        .collect();
    let plan = world.plan("old", &[file(1, &flood)]);
    let held_out = plan.gate.len() + plan.reserve.len() + plan.audit.len();
    assert_eq!(held_out, 1);
    let (new, old): (Vec<_>, Vec<_>) = (texts("new", 900), texts("more", 100));
    let gate =
        |texts: Vec<String>, label| -> Vec<_> { texts.into_iter().map(|text| (Side::Gate, text, label)).collect() };
    let (new, old) = (file(2, &gate(new, "b")), file(3, &gate(old, "a")));
    world.plan("new", std::slice::from_ref(&new));
    world.plan("old", std::slice::from_ref(&old));
    // Labels that the domain has, though nothing of this delivery teaches them.
    let labels = ["a".to_owned(), "b".to_owned()];
    let plan = guarded(
        &[new, old],
        Task::SequenceClassification,
        &labels,
        &world.history,
        &world.guard,
    );
    let of_new = plan.gate.iter().filter(|item| item.label == "b").count();
    assert_eq!((plan.gate.len(), of_new), (300, 200));
}

#[test]
fn what_is_nearly_on_the_checklist_is_not_learned_with_it() {
    let mut world = World::new(Sources::default());
    let near = |date: u32| format!("{CLAUSE} {date}, 2019.");
    let records = [(Side::Checklist, near(1), "a"), (Side::Train, near(17), "a")];
    let plan = world.plan("old", &[file(1, &records)]);
    assert_eq!((plan.checklist.len(), plan.train.len()), (1, 0));
    assert!(
        plan.dropped[0].reason.contains("nearly the same as a held-out item"),
        "{:?}",
        plan.dropped
    );
}

#[test]
fn a_copy_that_is_refused_takes_no_place_from_the_original() {
    let near = |date: u32| format!("{CLAUSE} {date}, 2019.");
    // Whichever of the two comes first by its text's id.
    for (ours, theirs) in [(1, 17), (17, 1)] {
        let mut world = World::new(Sources::default());
        world.guard.standing.insert("refused".into(), Trust::Rejected);
        let copy = file(2, &[(Side::Train, near(theirs), "a")]);
        world.guard.origin.insert(copy.0, "refused".into());
        let original = file(1, &[(Side::Train, near(ours), "a")]);
        let mut files = vec![original.clone(), copy.clone()];
        world.guard.origin.insert(original.0, "old".into());
        files.sort_by_key(|(hash, _)| hash.to_string());
        let plan = guarded(
            &files,
            Task::SequenceClassification,
            &["a".into(), "b".into()],
            &world.history,
            &world.guard,
        );
        let learned: Vec<Hash> = plan.train.iter().map(|item| item.examples).collect();
        assert_eq!(learned, [original.0], "{:?}", plan.dropped);
    }
}
