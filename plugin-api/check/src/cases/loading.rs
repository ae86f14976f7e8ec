use crate::bench::{Bench, Finding, Verdict, failed, skipped, warned};
use crate::raw::{HostKind, Library, Made, extension, list, read_table, text};
use std::ffi::CString;
use wengu_plugin::abi;
use wengu_plugin_loader::LoadError;

const KNOWN: [(&str, &std::ffi::CStr); 3] = [
    ("wengu.segmenter/1", abi::EXT_SEGMENTER),
    ("wengu.labeler/1", abi::EXT_LABELER),
    ("wengu.evaluator/1", abi::EXT_EVALUATOR),
];

pub fn opens(bench: &Bench) -> Verdict {
    match Library::entry_fn(&bench.installed) {
        Ok(_) | Err(LoadError::Symbol { .. }) => Ok(String::new()),
        Err(e) => failed(e.to_string()),
    }
}

pub fn symbol(bench: &Bench) -> Verdict {
    match Library::entry_fn(&bench.installed) {
        Ok(_) => Ok(String::new()),
        Err(e) => failed(e.to_string()),
    }
}

pub fn entry(bench: &Bench) -> Verdict {
    let function = Library::entry_fn(&bench.installed).map_err(|e| Finding::Failed(e.to_string()))?;
    let table = Library::call_entry(function);
    if table.is_null() || !table.is_aligned() {
        return failed(format!("it returned {table:p}"));
    }
    match Library::call_entry(function) == table {
        true => Ok(String::new()),
        false => failed("two calls returned two tables; it must be static"),
    }
}

/// Sizes of entry and descriptor, beside those of version 1.0. No more is read than the sizes vouch for.
fn sizes(bench: &Bench) -> Result<[(&'static str, u64, u64); 2], Finding> {
    let function = Library::entry_fn(&bench.installed).map_err(|e| Finding::Failed(e.to_string()))?;
    let table = Library::call_entry(function);
    let entry = (Library::size_at(table.cast()), size_of::<abi::Entry>() as u64);
    if entry.0 < entry.1 {
        return failed(format!("wengu_entry.size is {}, in 1.0 it is {}", entry.0, entry.1));
    }
    let entry_table = Library::entry(&bench.installed).map_err(Finding::Failed)?;
    let descriptor = entry_table.descriptor;
    if descriptor.is_null() || !descriptor.is_aligned() {
        return failed(format!("wengu_entry.descriptor is {descriptor:p}"));
    }
    let described = (Library::size_at(descriptor.cast()), size_of::<abi::Descriptor>() as u64);
    Ok([
        ("wengu_entry", entry.0, entry.1),
        ("wengu_descriptor", described.0, described.1),
    ])
}

pub fn smaller_structs(bench: &Bench) -> Verdict {
    match sizes(bench)?.iter().find(|(_, found, wanted)| found < wanted) {
        None => Ok(String::new()),
        Some((name, found, wanted)) => failed(format!("{name}.size is {found}, in 1.0 it is {wanted}")),
    }
}

pub fn abi_major(bench: &Bench) -> Verdict {
    let entry = Library::entry(&bench.installed).map_err(Finding::Failed)?;
    match entry.abi_major {
        abi::ABI_MAJOR => Ok(String::new()),
        other => failed(format!(
            "wengu_entry.abi_major is {other}: build it with the header of version 1"
        )),
    }
}

pub fn larger_structs(bench: &Bench) -> Verdict {
    let entry = Library::entry(&bench.installed).map_err(Finding::Failed)?;
    let larger = sizes(bench)?.into_iter().find(|(_, found, wanted)| found > wanted);
    match (larger, entry.abi_minor) {
        (None, _) => Ok(String::new()),
        (Some((name, found, wanted)), abi::ABI_MINOR) => failed(format!(
            "{name}.size is {found} with abi_minor 0; in 1.0 it is {wanted}: write sizeof the struct"
        )),
        (Some((name, found, wanted)), minor) => warned(format!(
            "{name}.size is {found}, of version 1.{minor}; this validator knows the first {wanted} bytes"
        )),
    }
}

pub fn descriptor(bench: &Bench) -> Verdict {
    fields(bench).map(|_| String::new())
}

type Fields = [(&'static str, String); 6];

fn fields(bench: &Bench) -> Result<Fields, Finding> {
    let entry = Library::entry(&bench.installed).map_err(Finding::Failed)?;
    // SAFETY: `smaller-structs` has seen that the pointer and the size are good.
    let descriptor = unsafe { entry.descriptor.as_ref() };
    let d = descriptor.ok_or_else(|| Finding::Failed("wengu_entry.descriptor is null".into()))?;
    let read = || -> Result<Fields, String> {
        Ok([
            ("id", text("id", d.id)?),
            ("name", text("name", d.name)?),
            ("version", text("version", d.version)?),
            ("domain", text("domain", d.domain)?),
            ("languages", list("languages", d.languages)?.join(" ")),
            ("provides", list("provides", d.provides)?.join(" ")),
        ])
    };
    read().map_err(Finding::Failed)
}

pub fn lying_manifest(bench: &Bench) -> Verdict {
    let m = &bench.installed.manifest;
    let manifest = [
        m.id.clone(),
        m.name.clone(),
        m.version.clone(),
        m.domain.clone(),
        m.languages.join(" "),
        m.provides.join(" "),
    ];
    let fields = fields(bench)?;
    let lies = fields
        .iter()
        .zip(&manifest)
        .find(|((_, library), manifest)| library != *manifest);
    match lies {
        None => Ok(String::new()),
        Some(((field, library), manifest)) => failed(format!(
            "`{field}` is {manifest:?} in the manifest and {library:?} in the library"
        )),
    }
}

pub fn null_capability(bench: &Bench) -> Verdict {
    let entry = Library::entry(&bench.installed).map_err(Finding::Failed)?;
    for (what, null) in [("create", entry.create.is_none()), ("destroy", entry.destroy.is_none())] {
        if null {
            return failed(format!("wengu_entry.{what} is null"));
        }
    }
    for id in &bench.installed.manifest.provides {
        let table = extension(entry, id).map_err(Finding::Failed)?;
        if table.is_null() {
            return failed(format!("extension({id:?}) returned NULL, and the manifest provides it"));
        }
        if let Some((_, name)) = KNOWN.iter().find(|(known, _)| known == id) {
            // SAFETY: the id names the table's type, which is frozen.
            if unsafe { read_table(&mut Default::default(), name, table) }.is_none() {
                return failed(format!("the table of {id} has a null function"));
            }
        }
    }
    Ok(String::new())
}

pub fn unknown_capability(bench: &Bench) -> Verdict {
    let entry = Library::entry(&bench.installed).map_err(Finding::Failed)?;
    for id in [
        "org.example.nothing-has-this/1",
        "wengu.labeler/99",
        "",
        "wengu.labeler/1/",
    ] {
        debug_assert!(CString::new(id).is_ok());
        if !extension(entry, id).map_err(Finding::Failed)?.is_null() {
            return failed(format!("extension({id:?}) returned a table"));
        }
    }
    let provides = &bench.installed.manifest.provides;
    for (id, _) in KNOWN {
        if !provides.iter().any(|p| p == id) && !extension(entry, id).map_err(Finding::Failed)?.is_null() {
            return warned(format!(
                "extension({id:?}) returned a table that the manifest does not provide: it is never used"
            ));
        }
    }
    Ok(String::new())
}

pub fn creates(bench: &Bench) -> Verdict {
    let library = bench.library()?;
    match library.create("{}", HostKind::Plain) {
        Made::Instance(_) => Ok(String::new()),
        Made::Nothing => failed("it returned WENGU_OK and no instance"),
        Made::Refused(call) if call.status == 1 => skipped(format!(
            "it wants a config, so the rest cannot be tried without one: {}",
            call.told()
        )),
        Made::Refused(call) => failed(call.told()),
    }
}
