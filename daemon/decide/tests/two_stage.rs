//! The gate with a reserve, slices, case files, a checklist and a champion that is asked twice.

use wengu_decide::gate::{
    Decision, Era, Evidence, GateConfig, GateMode, ItemLabels, ItemOutcome, ItemScores, Metric, Repeated, Stage1,
    Subject, Verdict, confirm, judge_stage1, run_alpha,
};

fn config() -> GateConfig {
    GateConfig {
        alpha: run_alpha(1.0, 365.0).unwrap(),
        margin_points: 5.0,
        min_items: 100,
        min_era_items: 50,
        mode: GateMode::RequireNoninferiority,
        accuracy_floor: 0.0,
        metric: wengu_decide::gate::Metric::Accuracy,
    }
}

/// `b` items that only the champion has right, `c` that only the challenger has, the rest both.
fn items(name: &str, n: usize, b: usize, c: usize) -> Vec<ItemOutcome> {
    let item = |i: usize| ItemOutcome {
        item: format!("{name}/{i}"),
        champion_right: !(b..b + c).contains(&i),
        challenger_right: i >= b,
        ..ItemOutcome::default()
    };
    (0..n).map(item).collect()
}

fn in_slice(mut items: Vec<ItemOutcome>, slice: &str) -> Vec<ItemOutcome> {
    items.iter_mut().for_each(|item| item.slices.push(slice.into()));
    items
}

fn eras(items: Vec<ItemOutcome>) -> Vec<Era<ItemOutcome>> {
    vec![Era {
        era: "one".into(),
        items,
    }]
}

fn stage1(gate: &[Era<ItemOutcome>], reserve_items: u64) -> Stage1 {
    judge_stage1(
        &config(),
        &Evidence {
            reserve_items,
            ..Evidence::gate(gate)
        },
    )
}

#[track_caller]
fn assert_says(verdict: &Verdict, text: &str) {
    let told = verdict.reasons.iter().any(|reason| reason.contains(text));
    assert!(told, "no `{text}` in {:#?}", verdict.reasons);
}

#[test]
fn the_reserve_is_asked_only_if_the_gate_set_trips() {
    let calm = eras(items("g", 500, 20, 22));
    let first = stage1(&calm, 1000);
    assert!(!first.needs_reserve);
    assert_eq!(first.verdict.decision, Decision::Promote);
    assert_eq!(confirm(&first, &calm, &[]), first.verdict, "the first verdict stands");

    let gate = eras(items("g", 500, 40, 20));
    let first = stage1(&gate, 1000);
    assert!(first.needs_reserve && first.verdict.earlier.p_value < 0.1);
    assert_eq!(first.verdict.decision, Decision::Hold, "never a silent pass");
    assert_says(
        &first.verdict,
        "suspect on all items (first level 0.1); the 1000 items of the reserve",
    );

    let worse = confirm(&first, &gate, &eras(items("r", 1000, 80, 40)));
    assert_eq!(worse.decision, Decision::Regressed);
    assert_says(&worse, "the reserve confirms that the challenger is worse");
    assert_says(&worse, "second level 0.0274");

    let equal = confirm(&first, &gate, &eras(items("r", 1000, 50, 50)));
    assert_eq!(equal.decision, Decision::Promote, "{:#?}", equal.reasons);
    assert_says(&equal, "the reserve does not confirm it");
    let pooled = &equal.confirmation.as_ref().unwrap().pooled;
    assert_eq!((pooled.n, pooled.b, pooled.c), (1500, 90, 70));

    // Not confirmed, and both sets together still leave room for a drop of the margin.
    let unclear = confirm(&first, &gate, &eras(items("r", 1000, 260, 235)));
    assert_eq!(unclear.decision, Decision::Hold, "{:#?}", unclear.reasons);
    assert_says(
        &unclear,
        "On all items, gate set and reserve, a drop of 5 points is not ruled out",
    );
}

#[test]
fn without_a_reserve_one_strict_stage_decides() {
    let gate = eras(items("g", 500, 40, 20));
    let first = stage1(&gate, 0);
    assert!(!first.needs_reserve && first.verdict.decision != Decision::Regressed);
    assert_eq!(first.verdict.levels.unwrap().gate, 1.0 / 365.0);
    let verdict = stage1(&eras(items("g", 500, 60, 20)), 0).verdict;
    assert_eq!(verdict.decision, Decision::Regressed);
    assert_says(&verdict, "On all items the challenger is significantly worse");
}

#[test]
fn a_slice_that_loses_is_named_and_has_to_be_confirmed() {
    let set = |name: &str, n: usize, lost: usize| {
        let mut all = in_slice(items(&format!("{name}a"), n, 4, 14), "label=allergy");
        all.extend(in_slice(items(&format!("{name}b"), n, lost, 2), "label=dosage"));
        all.extend(in_slice(items(&format!("{name}c"), n, 5, 8), "source=ward 3"));
        eras(all)
    };
    let gate = set("g", 200, 16);
    let first = stage1(&gate, 1200);
    assert!(first.needs_reserve);
    assert_says(&first.verdict, "suspect on label=dosage");
    let worse = confirm(&first, &gate, &set("r", 400, 32));
    assert_eq!(worse.decision, Decision::Regressed);
    let regressed: Vec<&str> = worse
        .slices
        .iter()
        .filter(|s| s.regressed)
        .map(|s| s.slice.as_str())
        .collect();
    assert_eq!(regressed, ["label=dosage"]);
    assert_eq!(
        worse.confirmation.as_ref().unwrap().tests[0].subject,
        Subject::Slice("label=dosage".into())
    );
    let fine = confirm(&first, &gate, &set("r", 400, 3));
    assert_eq!(fine.decision, Decision::Promote, "{:#?}", fine.reasons);
}

#[test]
fn a_slice_that_the_reserve_hardly_has_needs_the_whole_level_on_the_gate_set() {
    let set = |lost: usize| {
        let mut all = items("a", 440, 10, 30);
        all.extend(in_slice(items("b", 60, lost, 0), "label=rare"));
        eras(all)
    };
    let mut few = items("r", 990, 10, 12);
    few.extend(in_slice(items("s", 10, 0, 0), "label=rare"));
    for (lost, decision) in [(6, Decision::Hold), (20, Decision::Regressed)] {
        let gate = set(lost);
        let first = stage1(&gate, 1000);
        assert!(first.needs_reserve);
        let verdict = confirm(&first, &gate, &eras(few.clone()));
        assert_eq!(verdict.decision, decision, "{lost}: {:#?}", verdict.reasons);
        assert_says(&verdict, "the reserve has 10 such items, too few");
    }
}

#[test]
fn small_slices_are_reported_and_a_slice_of_everything_is_not_tested_twice() {
    let mut all = in_slice(items("a", 460, 10, 10), "language=en");
    all.extend(in_slice(in_slice(items("b", 40, 30, 0), "language=en"), "label=rare"));
    let verdict = stage1(&eras(all), 0).verdict;
    let judged: Vec<(&str, bool)> = verdict.slices.iter().map(|s| (s.slice.as_str(), s.judged)).collect();
    assert_eq!(judged, [("label=rare", false), ("language=en", false)]);
    assert_says(
        &verdict,
        "Slices with fewer than 50 items were not judged alone: label=rare (40)",
    );
}

#[test]
fn one_broken_item_of_the_checklist_is_a_regression() {
    let gate = eras(items("g", 500, 10, 30));
    let checklist = items("must", 20, 1, 0);
    let evidence = Evidence {
        checklist: &checklist,
        reserve_items: 1000,
        ..Evidence::gate(&gate)
    };
    let first = judge_stage1(&config(), &evidence);
    assert!(!first.needs_reserve);
    assert_eq!(first.verdict.decision, Decision::Regressed);
    assert_says(
        &first.verdict,
        "Of 20 items that must not break, the challenger breaks 1: must/0.",
    );
    assert_eq!(first.verdict.earlier.n, 500, "they are in no statistic");
    // Even where there is nothing else to judge by.
    let alone = Evidence {
        checklist: &checklist,
        ..Evidence::gate(&[])
    };
    assert_eq!(judge_stage1(&config(), &alone).verdict.decision, Decision::Regressed);
    let kept = items("must", 20, 0, 2);
    let evidence = Evidence {
        checklist: &kept,
        ..evidence
    };
    let verdict = judge_stage1(&config(), &evidence).verdict;
    assert_eq!(verdict.decision, Decision::Promote);
    assert_says(&verdict, "None of 20 items that must not break was broken");
}

#[test]
fn a_champion_that_does_not_repeat_itself_is_noise_and_no_regression() {
    let gate = eras(items("g", 500, 80, 0));
    let names: Vec<String> = (0..500).map(|i| format!("g/{i}")).collect();
    let mut second = vec![1; 500];
    let same = Repeated::compare(&names, &vec![1; 500], &second).unwrap();
    second[7] = 0;
    let noisy = Repeated::compare(&names, &vec![1; 500], &second).unwrap();
    assert_eq!(Repeated::compare(&names, &[1], &[1]), None);
    let verdict = |repeated: &Repeated| {
        let evidence = Evidence {
            repeated: Some(repeated),
            ..Evidence::gate(&gate)
        };
        judge_stage1(&config(), &evidence).verdict
    };
    let found = verdict(&noisy);
    assert_eq!(found.decision, Decision::NoisyEval);
    assert_says(&found, "answered 1 of them differently the second time (g/7)");
    let found = verdict(&same);
    assert_eq!(found.decision, Decision::Regressed);
    assert_says(&found, "answered 500 items twice, and the same both times");
}

#[test]
fn no_challenger_below_the_floor_is_promoted() {
    for mode in [GateMode::RequireNoninferiority, GateMode::PromoteUnlessRegressed] {
        let config = GateConfig {
            accuracy_floor: 0.99,
            mode,
            ..config()
        };
        let verdict = judge_stage1(&config, &Evidence::gate(&eras(items("g", 500, 10, 12)))).verdict;
        assert_eq!(verdict.decision, Decision::Hold);
        assert_says(&verdict, "The challenger's 98.0 % are below the floor of 99.0 %");
    }
    let config = GateConfig {
        accuracy_floor: 1.5,
        ..config()
    };
    let verdict = judge_stage1(&config, &Evidence::gate(&eras(items("g", 500, 10, 12)))).verdict;
    assert_eq!(verdict.decision, Decision::EvalFailed);
}

#[test]
fn what_does_not_fit_fails_the_evaluation() {
    let gate = eras(items("g", 500, 40, 20));
    let first = stage1(&gate, 1000);
    let other = eras(items("g", 400, 40, 20));
    let shared = eras(items("g", 1000, 0, 0));
    let mut unknown = eras(items("r", 1000, 0, 0));
    unknown[0].era = "two".into();
    let mut twice = eras(items("r", 500, 0, 0));
    twice.extend(eras(items("s", 500, 0, 0)));
    for (gate, reserve, reason) in [
        (&other, &shared, "not those that the first stage was given"),
        (&gate, &shared, "counts item g/0 twice (again in the reserve's era one)"),
        (&gate, &unknown, "The reserve has era two, which the gate does not have"),
        (&gate, &twice, "The reserve names era one twice"),
    ] {
        let verdict = confirm(&first, gate, reserve);
        assert_eq!(verdict.decision, Decision::EvalFailed, "{reason}");
        assert_says(&verdict, reason);
    }
    // A reserve that did not answer confirms nothing and lets nothing pass.
    let verdict = confirm(&first, &gate, &[]);
    assert_eq!(verdict.decision, Decision::Hold);
    let bad = eras(in_slice(items("g", 500, 0, 0), "ward 3"));
    let verdict = stage1(&bad, 0).verdict;
    assert_eq!(verdict.decision, Decision::EvalFailed);
    assert_says(&verdict, "in the slice `ward 3`, which is not of the form kind=value");
}

#[test]
fn case_files_count_and_are_told() {
    let mut gate = items("g", 500, 20, 22);
    gate.iter_mut()
        .enumerate()
        .for_each(|(i, item)| item.case_file = Some(format!("file {}", i / 10)));
    let verdict = stage1(&eras(gate), 0).verdict;
    assert_eq!((verdict.earlier.n, verdict.earlier.files), (500, Some(50)));
    assert_eq!(verdict.decision, Decision::Hold);
    assert_says(&verdict, "(500 items of 50 case files, taken as wholes)");
    assert_says(
        &verdict,
        "50 case files are too few to decide by; the gate asks for 100",
    );
}

#[test]
fn scores_and_macro_f1_are_judged_in_two_stages_too() {
    let score = |name: &str, n: usize, drop: f64| {
        let item = |i: usize| ItemScores {
            item: format!("{name}{i}"),
            champion: 0.5,
            challenger: 0.5 + (i % 21) as f64 / 100.0 - 0.1 - drop,
            ..ItemScores::default()
        };
        let items = (0..n).map(item).collect();
        vec![Era {
            era: "one".into(),
            items,
        }]
    };
    let gate = score("g", 420, 0.02);
    let evidence = Evidence {
        reserve_items: 840,
        ..Evidence::gate(&gate)
    };
    let first = judge_stage1(&config(), &evidence);
    assert!(first.needs_reserve);
    assert_eq!(
        confirm(&first, &gate, &score("r", 840, 0.02)).decision,
        Decision::Regressed
    );
    assert_eq!(
        confirm(&first, &gate, &score("r", 840, 0.0)).decision,
        Decision::Promote
    );

    let label = |name: &str, n: u32, lost: u32| {
        let item = |i: u32| ItemLabels {
            item: format!("{name}{i}"),
            expected: i % 5,
            champion: i % 5,
            challenger: if i < lost { 0 } else { i % 5 },
            ..ItemLabels::default()
        };
        let items = (0..n).map(item).collect();
        vec![Era {
            era: "one".into(),
            items,
        }]
    };
    let gate = label("g", 400, 30);
    let evidence = Evidence {
        reserve_items: 800,
        ..Evidence::gate(&gate)
    };
    let first = judge_stage1(&config(), &evidence);
    assert!(first.needs_reserve);
    assert_eq!(first.verdict.earlier.metric, Metric::MacroF1);
    let verdict = confirm(&first, &gate, &label("r", 800, 60));
    assert_eq!(verdict.decision, Decision::Regressed);
    assert_says(&verdict, "the challenger has a macro-F1 of");
}

#[test]
fn two_stage_verdicts_keep_their_written_form() {
    let gate = eras(in_slice(items("g", 500, 40, 20), "source=ward 3"));
    let mut gate = gate;
    gate[0]
        .items
        .iter_mut()
        .take(200)
        .for_each(|item| item.slices = vec!["source=ward 4".into()]);
    let first = stage1(&gate, 1000);
    let verdict = confirm(&first, &gate, &eras(items("r", 1000, 80, 40)));
    let text = serde_json::to_string_pretty(&verdict).unwrap() + "\n";
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/gate/verdict-v2-confirmed.json"
    );
    if std::env::var_os("WENGU_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(
        text,
        std::fs::read_to_string(path).unwrap(),
        "a change of form needs a new schema version"
    );
    let read: Verdict = serde_json::from_str(&text).unwrap();
    assert_eq!(read.reasons, verdict.reasons);
    let text = serde_json::to_string(&first).unwrap();
    assert!(serde_json::from_str::<Stage1>(&text).unwrap().needs_reserve);
}
