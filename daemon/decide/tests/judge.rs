//! What the gate decides, and why it says so.

use wengu_decide::gate::{Decision, EraOutcomes, GateConfig, GateMode, ItemOutcome, Verdict, judge, judge_first};

const CONFIG: GateConfig = GateConfig {
    alpha: 0.01,
    margin_points: 3.0,
    min_items: 100,
    min_era_items: 50,
    mode: GateMode::RequireNoninferiority,
    accuracy_floor: 0.0,
    metric: wengu_decide::gate::Metric::Accuracy,
};

/// `b` items only the champion has right, `c` only the challenger, `right` both, the rest of `n` neither.
fn era(name: &str, n: usize, right: usize, b: usize, c: usize) -> EraOutcomes {
    assert!(right + b + c <= n);
    let items = (0..n)
        .map(|i| ItemOutcome {
            item: format!("{name}/{i}"),
            champion_right: i < right + b,
            challenger_right: i < right || (right + b..right + b + c).contains(&i),
            ..ItemOutcome::default()
        })
        .collect();
    EraOutcomes {
        era: name.into(),
        items,
    }
}

fn says(verdict: &Verdict, text: &str) -> bool {
    verdict.reasons.iter().any(|r| r.contains(text))
}

#[test]
fn an_equal_challenger_on_many_items_is_promoted() {
    let verdict = judge(
        &CONFIG,
        &[era("2026-01", 1000, 850, 10, 12), era("2026-02", 200, 150, 5, 20)],
    );
    assert_eq!(verdict.decision, Decision::Promote, "{:#?}", verdict.reasons);
    assert_eq!(
        (verdict.earlier.n, verdict.earlier.b, verdict.earlier.c),
        (1000, 10, 12)
    );
    assert_eq!(verdict.overall.n, 1200);
    assert!(says(&verdict, "A drop of 3 points is ruled out"));
}

#[test]
fn gains_on_new_classes_do_not_hide_a_loss_on_old_ones() {
    // 200 new items the champion could not know against 30 lost of 300 old ones: overall accuracy rises by 34 points.
    let verdict = judge(&CONFIG, &[era("old", 300, 240, 30, 2), era("new", 200, 0, 0, 200)]);
    assert!(verdict.overall.difference_points > 30.0);
    assert_eq!(verdict.decision, Decision::Regressed);
    assert!(says(
        &verdict,
        "On the earlier eras together the challenger is significantly worse"
    ));
}

#[test]
fn a_loss_in_one_era_is_named_even_if_another_makes_up_for_it() {
    let eras = [
        era("a", 300, 200, 2, 40),
        era("b", 300, 200, 30, 1),
        era("c", 100, 80, 1, 1),
    ];
    let verdict = judge(&CONFIG, &eras);
    assert_eq!(verdict.decision, Decision::Regressed);
    let regressed: Vec<&str> = verdict
        .eras
        .iter()
        .filter(|e| e.regressed)
        .map(|e| e.era.as_str())
        .collect();
    assert_eq!(regressed, ["b"]);
    assert!(says(&verdict, "On b the challenger is significantly worse"));
}

#[test]
fn a_loss_on_the_newest_era_is_a_regression_too() {
    let verdict = judge(&CONFIG, &[era("a", 500, 450, 5, 6), era("b", 200, 120, 40, 2)]);
    assert_eq!(verdict.decision, Decision::Regressed);
    assert!(verdict.eras[1].regressed && !verdict.eras[0].regressed);
}

#[test]
fn what_is_not_shown_is_held_and_what_would_help_is_said() {
    // 4 points of interval: no regression, but a drop of 3 points is not ruled out.
    let verdict = judge(&CONFIG, &[era("only", 200, 160, 10, 9)]);
    assert_eq!(verdict.decision, Decision::Hold);
    assert!(
        says(&verdict, "a drop of 3 points is not ruled out"),
        "{:#?}",
        verdict.reasons
    );
    assert!(says(&verdict, "items would tell"));
    let permissive = GateConfig {
        mode: GateMode::PromoteUnlessRegressed,
        ..CONFIG
    };
    let verdict = judge(&permissive, &[era("only", 200, 160, 10, 9)]);
    assert_eq!(verdict.decision, Decision::Promote);
    assert!(says(&verdict, "this gate promotes what has not regressed"));
}

#[test]
fn few_items_hold_in_both_modes_but_a_collapse_is_seen() {
    for mode in [GateMode::RequireNoninferiority, GateMode::PromoteUnlessRegressed] {
        let config = GateConfig { mode, ..CONFIG };
        let verdict = judge(&config, &[era("only", 60, 50, 0, 2)]);
        assert_eq!(verdict.decision, Decision::Hold);
        assert!(says(
            &verdict,
            "60 items are too few to decide by; the gate asks for 100"
        ));
        let verdict = judge(&config, &[era("only", 60, 20, 30, 2)]);
        assert_eq!(verdict.decision, Decision::Regressed);
    }
}

#[test]
fn small_eras_are_reported_and_not_judged() {
    let eras = [
        era("a", 400, 380, 0, 0),
        era("tiny", 20, 8, 10, 0),
        era("b", 200, 190, 0, 0),
    ];
    let verdict = judge(&CONFIG, &eras);
    let tiny = &verdict.eras[1];
    assert_eq!(
        (tiny.comparison.n, tiny.judged, tiny.regressed, tiny.adjusted_p),
        (20, false, false, None)
    );
    assert!(says(
        &verdict,
        "Eras with fewer than 50 items were not judged alone: tiny (20)"
    ));
}

#[test]
fn a_single_earlier_era_is_tested_once() {
    let verdict = judge(&CONFIG, &[era("a", 400, 380, 0, 0), era("b", 200, 190, 0, 0)]);
    assert_eq!(verdict.eras.iter().map(|e| e.judged).collect::<Vec<_>>(), [false, true]);
    assert_eq!(verdict.earlier.alpha, 0.005);
    let verdict = judge(&CONFIG, &[era("a", 400, 380, 0, 0)]);
    assert_eq!(verdict.earlier.alpha, 0.01);
}

#[test]
fn nothing_to_judge_by_never_promotes() {
    for mode in [GateMode::RequireNoninferiority, GateMode::PromoteUnlessRegressed] {
        // Even a configuration that asks for nothing.
        let config = GateConfig {
            mode,
            min_items: 0,
            min_era_items: 0,
            margin_points: 100.0,
            ..CONFIG
        };
        assert_eq!(judge::<ItemOutcome>(&config, &[]).decision, Decision::NoData);
        assert_eq!(judge(&config, &[era("a", 0, 0, 0, 0)]).decision, Decision::NoData);
        let new_only = judge(&config, &[era("a", 0, 0, 0, 0), era("b", 500, 400, 0, 100)]);
        assert_eq!(new_only.decision, Decision::NoData);
        assert!(says(&new_only, "nothing shows whether older knowledge was kept"));
        assert_eq!(judge_first(&config, 0.0, &[]).decision, Decision::NoData);
    }
}

#[test]
fn a_broken_evaluation_or_configuration_fails_closed() {
    let good = || era("a", 500, 450, 0, 20);
    let mut twice = good();
    twice.items[3].item = twice.items[4].item.clone();
    let mut nameless = good();
    nameless.items[0].item.clear();
    let cases = [
        (CONFIG, vec![twice], "counts item a/4 twice"),
        (CONFIG, vec![nameless], "an item without a name"),
        (CONFIG, vec![good(), good()], "names era a twice"),
        (
            GateConfig {
                alpha: f64::NAN,
                ..CONFIG
            },
            vec![good()],
            "alpha is NaN",
        ),
        (GateConfig { alpha: 0.0, ..CONFIG }, vec![good()], "alpha is 0"),
        (
            GateConfig {
                margin_points: f64::INFINITY,
                ..CONFIG
            },
            vec![good()],
            "margin is inf",
        ),
        (
            GateConfig {
                margin_points: -1.0,
                ..CONFIG
            },
            vec![good()],
            "margin is -1",
        ),
    ];
    for (config, eras, reason) in cases {
        for verdict in [judge(&config, &eras), judge_first(&config, 0.0, &eras)] {
            assert_eq!(verdict.decision, Decision::EvalFailed, "{reason}");
            assert!(says(&verdict, reason), "{:?}", verdict.reasons);
        }
    }
    assert_eq!(judge_first(&CONFIG, f64::NAN, &[good()]).decision, Decision::EvalFailed);
}

#[test]
fn answers_to_other_items_are_refused() {
    let items = ["x".to_string(), "y".to_string()];
    let outcomes = EraOutcomes::pair("a", &items, &[0, 1], &[0, 0], &[1, 1]).unwrap();
    assert_eq!(
        outcomes.items[0],
        ItemOutcome {
            item: "x".into(),
            champion_right: true,
            challenger_right: false,
            ..ItemOutcome::default()
        }
    );
    assert_eq!(
        outcomes.items[1],
        ItemOutcome {
            item: "y".into(),
            champion_right: false,
            challenger_right: true,
            ..ItemOutcome::default()
        }
    );
    let error = EraOutcomes::pair("a", &items, &[0, 1], &[0], &[1, 1]).unwrap_err();
    assert!(
        error.to_string().contains("1 answers (champion) for 2 items"),
        "{error}"
    );
}

#[test]
fn a_first_version_must_beat_the_most_frequent_class() {
    let first = |n, right, b, c, floor| judge_first(&CONFIG, floor, &[era("a", n, right, b, c)]);
    let good = first(200, 60, 5, 80, 0.5);
    assert_eq!(good.decision, Decision::Promote, "{:?}", good.reasons);
    assert!(good.first && good.earlier == good.overall);
    assert_eq!(
        first(200, 60, 20, 20, 0.0).decision,
        Decision::Hold,
        "as good as guessing"
    );
    assert_eq!(
        first(200, 60, 20, 10, 0.0).decision,
        Decision::Hold,
        "worse than guessing"
    );
    let low = first(200, 60, 5, 30, 0.5);
    assert_eq!(low.decision, Decision::Hold);
    assert!(says(&low, "below the floor of 50.0 %"));
    let few = first(40, 10, 0, 20, 0.5);
    assert_eq!(few.decision, Decision::Hold);
    assert!(says(&few, "40 items are too few"));
    assert!(says(&first(120, 60, 5, 6, 0.5), "this may be chance"));
}

#[test]
fn verdicts_keep_their_written_form() {
    let eras = [
        era("2026-01", 400, 330, 6, 9),
        era("2026-02", 30, 20, 2, 1),
        era("2026-03", 120, 60, 3, 30),
    ];
    let verdict = judge(&CONFIG, &eras);
    let text = serde_json::to_string_pretty(&verdict).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/gate/verdict-v2.json");
    if std::env::var_os("WENGU_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(
        text,
        std::fs::read_to_string(path).unwrap(),
        "a change of form needs a new schema version"
    );
    let read: Verdict = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (read.decision, read.reasons, read.eras.len()),
        (verdict.decision, verdict.reasons, 3)
    );
}

#[test]
fn verdicts_of_version_1_are_still_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/gate/verdict-v1.json");
    let text = std::fs::read_to_string(path).unwrap();
    let read: Verdict = serde_json::from_str(&text).unwrap();
    assert_eq!((read.schema, read.decision), (1, Decision::Promote));
    assert_eq!((read.levels, read.slices.len(), read.earlier.files), (None, 0, None));
    // What is new is left out where it is not there: the same record comes out.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
}

#[test]
fn every_comparison_can_be_written_and_read() {
    for eras in [
        vec![],
        vec![era("a", 0, 0, 0, 0)],
        vec![era("a", 1, 0, 1, 0)],
        vec![era("a", 1, 1, 0, 0)],
    ] {
        let text = serde_json::to_string(&judge(&CONFIG, &eras)).unwrap();
        // JSON has no NaN: one would be written as null and could not be read back.
        serde_json::from_str::<Verdict>(&text).unwrap();
    }
}
