use crate::LoadError;
use std::ffi::{CStr, c_char};
use wengu_plugin::abi;
use wengu_plugin_package::Manifest;

/// A library whose entry has passed the checks.
pub(crate) struct Checked {
    pub create: abi::Create,
    pub destroy: abi::Destroy,
    pub segmenter: Option<(abi::List, abi::SegmentFn)>,
    pub labeler: Option<(abi::List, abi::List, abi::LabelFn)>,
    pub evaluator: Option<(abi::List, abi::ScoreFn)>,
}

/// Most strings in a descriptor's list, so that a missing terminator ends soon.
const LIST_MAX: usize = 64;

/// Checks the entry table against version 1.0 and against the manifest. The order matters: what a struct's size or major
/// version does not vouch for is not read.
///
/// # Safety
/// `entry` is the plugin's entry function.
pub(crate) unsafe fn check(entry: abi::EntryFn, manifest: &Manifest) -> Result<Checked, LoadError> {
    // SAFETY: by this function's contract; a table that is returned lives for ever.
    let entry = unsafe { entry() };
    if entry.is_null() || !entry.is_aligned() {
        return Err(size("wengu_entry_v1()", format!("{entry:p}"), "a table"));
    }
    // SAFETY: `size` is the first field of every version of the struct.
    let entry_bytes = unsafe { (&raw const (*entry).size).read() };
    covers("sizeof(wengu_entry)", entry_bytes, size_of::<abi::Entry>())?;
    // SAFETY: the size covers it.
    let entry = unsafe { &*entry };
    if entry.abi_major != abi::ABI_MAJOR {
        return Err(LoadError::Major { found: entry.abi_major });
    }
    // SAFETY: the table's pointers are what they say, or null.
    unsafe { check_descriptor(entry.descriptor, manifest)? };
    let missing = |what| size(what, "null".into(), "a function");
    let create = entry.create.ok_or_else(|| missing("entry.create"))?;
    let destroy = entry.destroy.ok_or_else(|| missing("entry.destroy"))?;
    let extension = entry.extension.ok_or_else(|| missing("entry.extension"))?;

    let mut checked = Checked {
        create,
        destroy,
        segmenter: None,
        labeler: None,
        evaluator: None,
    };
    for id in &manifest.provides {
        let wrong = |found: &str| LoadError::Extension {
            id: id.clone(),
            found: found.to_owned(),
        };
        let name = std::ffi::CString::new(id.as_str()).map_err(|_| wrong("cannot be asked for it"))?;
        // SAFETY: the function takes a NUL-terminated id and returns null or a table that lives for ever.
        let table = unsafe { extension(name.as_ptr()) };
        if table.is_null() || !table.cast::<usize>().is_aligned() {
            return Err(wrong("has no table for it"));
        }
        let incomplete = || wrong("has a null function in its table");
        // SAFETY: the id names the table's type, which is frozen.
        unsafe {
            if name.as_c_str() == abi::EXT_SEGMENTER {
                let t = &*table.cast::<abi::SegmenterV1>();
                checked.segmenter = Some(t.terms.zip(t.segment).ok_or_else(incomplete)?);
            } else if name.as_c_str() == abi::EXT_LABELER {
                let t = &*table.cast::<abi::LabelerV1>();
                let (labels, (functions, label)) = t.labels.zip(t.functions.zip(t.label)).ok_or_else(incomplete)?;
                checked.labeler = Some((labels, functions, label));
            } else if name.as_c_str() == abi::EXT_EVALUATOR {
                let t = &*table.cast::<abi::EvaluatorV1>();
                checked.evaluator = Some(t.metrics.zip(t.score).ok_or_else(incomplete)?);
            }
            // An id of a third party or of a later revision: there, and not for this host to use.
        }
    }
    Ok(checked)
}

unsafe fn check_descriptor(descriptor: *const abi::Descriptor, manifest: &Manifest) -> Result<(), LoadError> {
    if descriptor.is_null() || !descriptor.is_aligned() {
        return Err(size("entry.descriptor", format!("{descriptor:p}"), "a descriptor"));
    }
    // SAFETY: `size` is the first field of every version; the rest is read once it is covered.
    let descriptor = unsafe {
        covers(
            "sizeof(wengu_descriptor)",
            (&raw const (*descriptor).size).read(),
            size_of::<abi::Descriptor>(),
        )?;
        &*descriptor
    };
    let same = |field, library: String, manifest: &str| match library == manifest {
        true => Ok(()),
        false => Err(LoadError::Descriptor {
            field,
            library,
            manifest: manifest.to_owned(),
        }),
    };
    // SAFETY: the descriptor's pointers are null or NUL-terminated text, or NULL-terminated lists of such.
    unsafe {
        same("id", text("descriptor.id", descriptor.id)?, &manifest.id)?;
        same("name", text("descriptor.name", descriptor.name)?, &manifest.name)?;
        same(
            "version",
            text("descriptor.version", descriptor.version)?,
            &manifest.version,
        )?;
        same(
            "domain",
            text("descriptor.domain", descriptor.domain)?,
            &manifest.domain,
        )?;
        let languages = list("descriptor.languages", descriptor.languages)?;
        same("languages", languages.join(" "), &manifest.languages.join(" "))?;
        let provides = list("descriptor.provides", descriptor.provides)?;
        same("provides", provides.join(" "), &manifest.provides.join(" "))
    }
}

unsafe fn text(what: &'static str, text: *const c_char) -> Result<String, LoadError> {
    if text.is_null() {
        return Err(size(what, "null".into(), "text"));
    }
    // SAFETY: not null, and NUL-terminated by the caller's contract.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes
        .to_str()
        .map(str::to_owned)
        .map_err(|_| size(what, format!("{bytes:?}"), "UTF-8"))
}

unsafe fn list(what: &'static str, list: *const *const c_char) -> Result<Vec<String>, LoadError> {
    if list.is_null() {
        return Err(size(what, "null".into(), "a list"));
    }
    let mut items = Vec::new();
    for i in 0..LIST_MAX {
        // SAFETY: the list is NULL-terminated by the caller's contract, and reading stops there.
        let item = unsafe { list.add(i).read() };
        if item.is_null() {
            return Ok(items);
        }
        // SAFETY: as above.
        items.push(unsafe { text(what, item)? });
    }
    Err(size(
        what,
        format!("{LIST_MAX} items without a NULL"),
        "a NULL-terminated list",
    ))
}

fn covers(what: &'static str, found: u64, wanted: usize) -> Result<(), LoadError> {
    match found >= wanted as u64 {
        true => Ok(()),
        false => Err(size(what, found.to_string(), &wanted.to_string())),
    }
}

fn size(what: &'static str, found: String, wanted: &str) -> LoadError {
    LoadError::Size {
        what,
        found,
        wanted: wanted.to_owned(),
    }
}
