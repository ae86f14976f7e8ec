//! The tables of MODELS.md: what they say is checked has a test that runs.

use crate::common::repository;
use std::collections::BTreeMap;

/// The cells of the rows of each table, without its head.
fn tables(text: &str) -> Vec<Vec<Vec<&str>>> {
    let mut tables = vec![Vec::new()];
    for line in text.lines() {
        let row = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        match (row, tables.last_mut()) {
            (Some(row), Some(table)) => table.push(row.split('|').map(str::trim).collect()),
            (None, Some(table)) if !table.is_empty() => tables.push(Vec::new()),
            _ => {}
        }
    }
    tables.retain(|table| !table.is_empty());
    tables.iter().map(|table| table[2..].to_vec()).collect()
}

/// The cell's names in backquotes are modules of these tests, each with one at least and none that is left out.
fn is_tested(cell: &str) {
    let folder = repository().join("daemon/trainer/tests/golden");
    let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    assert!(!names.is_empty(), "`{cell}` names no test");
    for name in names {
        assert!(main.contains(&format!("mod {name};\n")), "{name} in `{cell}`");
        let text = std::fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
        assert!(text.contains("#[test]") && !text.contains("#[ignore"), "{name}");
    }
}

#[test]
fn every_cell_names_tests_that_run() {
    let text = std::fs::read_to_string(repository().join("daemon/trainer/MODELS.md")).unwrap();
    let [families, tasks, adapters] = &tables(&text)[..] else {
        panic!("MODELS.md has other tables")
    };
    let merged = std::fs::read(repository().join("tests/golden/trainer/merged.json")).unwrap();
    let merged: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&merged).unwrap();
    assert_eq!(families.len(), 8);
    for row in families {
        let [family, cells @ ..] = &row[..] else {
            panic!("a row without cells")
        };
        assert_eq!(cells.len(), 6, "{family}");
        for (column, cell) in cells.iter().enumerate() {
            let is_encoder = family.contains("BERT");
            match (column, *cell) {
                (2, cell) if is_encoder => assert_eq!(cell, "-", "{family} does not write"),
                _ => is_tested(cell),
            }
        }
        let (_, models) = cells[5].split_once(": ").unwrap();
        let is_name = |part: &&str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let names: Vec<&str> = models.split(", ").filter(is_name).collect();
        assert!(!names.is_empty(), "{family}");
        for name in names {
            assert!(merged.contains_key(name), "{name} of {family}");
        }
    }
    for row in tasks.iter().chain(adapters).filter(|row| row[2] != "above") {
        is_tested(row[2]);
    }
}
