use crate::bench::{Bench, Verdict, failed, warned};
use crate::raw::Name;
use std::collections::HashSet;

/// Longest name that the host takes, in bytes.
const NAME_BYTES_MAX: usize = 1024;

fn lists(bench: &Bench) -> Result<[(&'static str, Vec<Name>); 4], crate::bench::Finding> {
    let instance = bench.instance()?;
    let names = bench.names(&instance)?;
    Ok([
        ("terms", names.terms),
        ("labels", names.labels),
        ("functions", names.functions),
        ("metrics", names.metrics),
    ])
}

pub fn utf8(bench: &Bench) -> Verdict {
    for (list, names) in lists(bench)? {
        if let Some(bad) = names.iter().find(|name| std::str::from_utf8(&name.0).is_err()) {
            return failed(format!("{list}() pushed {:?}", String::from_utf8_lossy(&bad.0)));
        }
    }
    Ok(String::new())
}

pub fn names(bench: &Bench) -> Verdict {
    let lists_of = lists(bench)?;
    for (list, names) in &lists_of {
        let mut seen = HashSet::new();
        for (i, name) in names.iter().enumerate() {
            let told = String::from_utf8_lossy(&name.0);
            match name.0.len() {
                0 => return failed(format!("{list}(): name {i} is empty")),
                len if len > NAME_BYTES_MAX => {
                    return failed(format!(
                        "{list}(): name {i} has {len} bytes, {NAME_BYTES_MAX} is the most"
                    ));
                }
                _ if !seen.insert(name) => return failed(format!("{list}(): {told:?} stands in it twice")),
                _ => {}
            }
        }
    }
    let tables = &bench.library()?.tables;
    let empty = |wanted: bool, i: usize| wanted && lists_of[i].1.is_empty();
    for (wanted, i) in [
        (tables.labeler.is_some(), 1),
        (tables.labeler.is_some(), 2),
        (tables.evaluator.is_some(), 3),
    ] {
        if empty(wanted, i) {
            return failed(format!("{}() pushed nothing", lists_of[i].0));
        }
    }
    if lists(bench)? != lists_of {
        return failed("another instance lists other names");
    }
    let blank = lists_of
        .iter()
        .flat_map(|(list, names)| names.iter().map(move |n| (list, n)));
    let mut blank = blank.filter(|(_, n)| std::str::from_utf8(&n.0).is_ok_and(|n| n.trim() != n));
    match blank.next() {
        None => Ok(String::new()),
        Some((list, name)) => warned(format!(
            "{list}(): {:?} has white space at an end, which people will not see",
            String::from_utf8_lossy(&name.0)
        )),
    }
}
