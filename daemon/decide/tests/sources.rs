//! What sources may bring, and when they are believed.

use proptest::collection::btree_map;
use proptest::prelude::*;
use std::collections::BTreeMap;
use wengu_decide::sources::{Agreement, FEW, Standing, allowances, judge, stands_out};

fn borrowed(owned: &BTreeMap<String, u64>) -> BTreeMap<&str, u64> {
    owned.iter().map(|(name, n)| (name.as_str(), *n)).collect()
}

proptest! {
    #[test]
    fn no_source_is_capped_to_nothing_or_brings_more_than_it_may(
        offered in btree_map("[a-e]", 0u64..5000, 1..5),
        learned in btree_map("[a-e]", 0u64..5000, 0..5),
        percent in 0u64..=100,
    ) {
        let (offered, learned) = (borrowed(&offered), borrowed(&learned));
        let total: u64 = offered.values().sum();
        let allowed = allowances(&offered, &learned, percent);
        prop_assert_eq!(allowed.len(), offered.len());
        let brings: Vec<&str> = offered.iter().chain(&learned).filter(|(_, n)| **n > 0).map(|(name, _)| *name).collect();
        for (source, &allowed) in &allowed {
            let (wants, before) = (offered[source], learned.get(source).copied().unwrap_or(0));
            prop_assert!(allowed <= wants);
            prop_assert!(allowed >= wants.min(FEW), "a few always go");
            prop_assert!(allowed >= wants.min(before), "what was believed before is believed again");
            let alone = brings.iter().all(|name| name == source);
            if alone || percent == 100 {
                prop_assert_eq!(allowed, wants);
            } else {
                prop_assert!(allowed <= FEW.max(before).max(total * percent / 100));
            }
        }
    }

    #[test]
    fn more_agreement_never_makes_a_source_suspicious(
        asked in 1u64..300, agreed in 0u64..300, usual_asked in 1u64..300, usual_agreed in 0u64..300,
    ) {
        let usual = Agreement { asked: usual_asked, agreed: usual_agreed.min(usual_asked) };
        let at = |agreed: u64| judge(Agreement { asked, agreed: agreed.min(asked) }, usual, 1);
        if at(agreed) == Standing::Agrees {
            prop_assert_eq!(at(agreed + 1), Standing::Agrees);
        }
        prop_assert_eq!(at(asked), Standing::Agrees);
        if let Standing::Suspicious { z } = at(agreed) {
            prop_assert!(z > 4.0 && z.is_finite());
        }
    }
}

#[test]
fn a_flood_from_a_new_source_is_cut_and_an_old_source_is_not() {
    let offered = BTreeMap::from([("old", 400), ("new", 3000)]);
    let learned = BTreeMap::from([("old", 5000)]);
    let allowed = allowances(&offered, &learned, 10);
    assert_eq!(allowed, BTreeMap::from([("old", 400), ("new", 340)]));
    // It grows into its share.
    let learned = BTreeMap::from([("old", 5400), ("new", 340)]);
    let allowed = allowances(&BTreeMap::from([("new", 2660)]), &learned, 10);
    assert_eq!(allowed["new"], 340);
    let learned = BTreeMap::from([("old", 5400), ("new", 680)]);
    assert_eq!(allowances(&BTreeMap::from([("new", 2320)]), &learned, 10)["new"], 680);
}

#[test]
fn a_source_is_judged_by_how_often_the_version_in_service_agrees() {
    let usual = Agreement {
        asked: 200,
        agreed: 180,
    };
    let of = |asked, agreed| judge(Agreement { asked, agreed }, usual, 20);
    assert_eq!(of(19, 0), Standing::Open);
    assert_eq!(of(20, 18), Standing::Agrees);
    assert_eq!(of(20, 13), Standing::Agrees, "it may be harder than usual");
    // (0.9 - 0.25) / sqrt(p (1 - p) (1/20 + 1/200)), p = (180 + 5) / 220
    let Standing::Suspicious { z } = of(20, 5) else {
        panic!()
    };
    assert!((z - 7.577_654_6).abs() < 1e-6, "{z}");
    assert_eq!(
        judge(Agreement { asked: 50, agreed: 0 }, Agreement::default(), 20),
        Standing::Open
    );
    assert!(stands_out(0.001, 0.95));
    assert!(!stands_out(0.001, 0.5), "undecided");
    assert!(!stands_out(0.2, 0.8));
}
