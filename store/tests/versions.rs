//! Records change their shape over the years.

mod common;

use common::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wengu_store::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    name: String,
}

impl Record for Person {
    const TABLE: &'static str = "person";
    const VERSION: u16 = 1;
}

/// The same table, two versions on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PersonNow {
    family: String,
    given: String,
}

impl Record for PersonNow {
    const TABLE: &'static str = "person";
    const VERSION: u16 = 3;

    fn upgrade(from: u16, value: Value) -> Result<Value, StoreError> {
        if from != 1 {
            return Err(StoreError::NoUpgrade {
                table: Self::TABLE,
                from,
                to: Self::VERSION,
            });
        }
        let name = value["name"].as_str().unwrap_or_default();
        let (family, given) = name.split_once(' ').unwrap_or((name, ""));
        Ok(json!({"family": family, "given": given}))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct NoWay {}

impl Record for NoWay {
    const TABLE: &'static str = "person";
    const VERSION: u16 = 2;
}

#[test]
fn older_records_are_upgraded_and_newer_ones_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store
        .commit(Batch::new("x").put("p", &Person { name: "孔 丘".into() }).unwrap())
        .unwrap();
    let now = PersonNow {
        family: "孔".into(),
        given: "丘".into(),
    };
    assert_eq!(store.get::<PersonNow>("p").unwrap().as_ref(), Some(&now));
    let error = store.get::<NoWay>("p").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("table person has no upgrade from version 1 to 2"),
        "{error}"
    );

    store.commit(Batch::new("x").put("p", &now).unwrap()).unwrap();
    assert_eq!(store.scan::<PersonNow>("").unwrap(), [("p".to_string(), now)]);
    // The old wengu neither reads the new record nor writes over it.
    let old = Batch::new("x").put("p", &Person { name: "X".into() }).unwrap();
    for error in [store.get::<Person>("p").unwrap_err(), store.commit(old).unwrap_err()] {
        assert!(
            matches!(&error, StoreError::NewerRecord { table, key, found: 3, supported: 1 }
            if table == "person" && key == "p"),
            "{error}"
        );
        assert!(error.to_string().contains("version 3"), "{error}");
    }
    assert!(store.scan::<Person>("").is_err());
    assert_eq!(store.last_seq(), 2);
    assert_sound(&store);
}

#[test]
fn a_record_of_another_shape_is_an_error_that_says_which() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        age: u8,
    }
    impl Record for Other {
        const TABLE: &'static str = "person";
        const VERSION: u16 = 1;
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store
        .commit(Batch::new("x").put("p", &Person { name: "a".into() }).unwrap())
        .unwrap();
    let error = store.get::<Other>("p").unwrap_err();
    assert!(
        error.to_string().contains("person/p") && error.to_string().contains("age"),
        "{error}"
    );
}
