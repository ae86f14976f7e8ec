use super::host::{HostKind, HostSide};
use super::instance::Instance;
use super::sink::{Call, with_error};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::NonNull;
use wengu_plugin::abi;
use wengu_plugin_loader::LoadError;
use wengu_plugin_package::Installed;

/// A library and its tables, as they are.
pub struct Library {
    pub tables: Tables,
    pub create: abi::Create,
    pub destroy: abi::Destroy,
}

// SAFETY: by the ABI the tables are static and immutable, and `create` and `extension` may be called on any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// The capabilities of 1.0 that the manifest provides.
#[derive(Default)]
pub struct Tables {
    pub segmenter: Option<(abi::List, abi::SegmentFn)>,
    pub labeler: Option<(abi::List, abi::List, abi::LabelFn)>,
    pub evaluator: Option<(abi::List, abi::ScoreFn)>,
}

/// What came of `create()`.
pub enum Made<'a> {
    Instance(Instance<'a>),
    Refused(Call<()>),
    /// It said that it had, and had not.
    Nothing,
}

impl Library {
    /// The entry function.
    pub fn entry_fn(installed: &Installed) -> Result<abi::EntryFn, LoadError> {
        wengu_plugin_loader::open(installed)
    }

    /// What the entry function returns.
    pub fn call_entry(entry: abi::EntryFn) -> *const abi::Entry {
        // SAFETY: the library's entry function, whose name carries the ABI's major version.
        unsafe { entry() }
    }

    /// The entry table, once its size has been found to cover version 1.0.
    pub fn entry(installed: &Installed) -> Result<&'static abi::Entry, String> {
        let entry = Library::call_entry(Library::entry_fn(installed).map_err(|e| e.to_string())?);
        if entry.is_null() || !entry.is_aligned() {
            return Err(format!("wengu_entry_v1() returned {entry:p}"));
        }
        let size = Library::size_at(entry.cast());
        if size < size_of::<abi::Entry>() as u64 {
            return Err(format!(
                "wengu_entry has {size} bytes, in 1.0 it has {}",
                size_of::<abi::Entry>()
            ));
        }
        // SAFETY: not null, aligned, and its size covers the struct; by the ABI it lives for ever.
        Ok(unsafe { &*entry })
    }

    /// The `size` that a versioned struct begins with.
    pub fn size_at(table: *const u64) -> u64 {
        // SAFETY: `size` is the first field of every version of every struct that has one.
        unsafe { table.read() }
    }

    /// The library, for the cases that come after those about its tables.
    pub fn open(installed: &Installed) -> Result<Library, String> {
        let entry = Library::entry(installed)?;
        let (Some(create), Some(destroy)) = (entry.create, entry.destroy) else {
            return Err("wengu_entry has a null function".into());
        };
        let mut tables = Tables::default();
        for id in &installed.manifest.provides {
            let incomplete = || format!("{id} has no table, or a null function in it");
            let table = extension(entry, id)?;
            match (table.is_null(), CString::new(id.as_str())) {
                (true, _) => return Err(incomplete()),
                (false, Ok(name)) => {
                    // SAFETY: the id names the table's type, which is frozen; the table lives for ever.
                    unsafe { read_table(&mut tables, &name, table) }.ok_or_else(incomplete)?;
                }
                (false, Err(_)) => {}
            }
        }
        Ok(Library {
            tables,
            create,
            destroy,
        })
    }

    /// Makes an instance.
    pub fn create(&self, config: &str, host: HostKind) -> Made<'_> {
        self.create_with(config.as_bytes(), host)
    }

    /// Makes an instance with a config that may be anything.
    pub fn create_with(&self, config: &[u8], host: HostKind) -> Made<'_> {
        let host = HostSide::new(host);
        let mut out = std::ptr::null_mut();
        let config = abi::Bytes {
            ptr: config.as_ptr(),
            len: config.len() as u64,
        };
        // SAFETY: config, out and error live for the call, the host until the instance is destroyed.
        let (status, message, terminated) =
            with_error(|error| unsafe { (self.create)(host.table(), config, &raw mut out, error) });
        match (status, NonNull::new(out)) {
            (0, Some(pointer)) => Made::Instance(Instance {
                library: self,
                pointer,
                host,
            }),
            (0, None) => Made::Nothing,
            _ => Made::Refused(Call {
                status,
                message,
                terminated,
                items: Vec::new(),
                puts: 0,
                fault: None,
            }),
        }
    }
}

/// The table of a capability; null where there is none.
pub fn extension(entry: &abi::Entry, id: &str) -> Result<*const c_void, String> {
    let function = entry.extension.ok_or("wengu_entry.extension is null")?;
    let name = CString::new(id).map_err(|_| format!("{id:?} has a NUL"))?;
    // SAFETY: the function takes a NUL-terminated id.
    let table = unsafe { function(name.as_ptr()) };
    match table.cast::<usize>().is_aligned() {
        true => Ok(table),
        false => Err(format!("the table of {id} is not aligned: {table:p}")),
    }
}

/// Takes a table's functions; `None` where one is null. An id of a later revision has no functions for this validator.
///
/// # Safety
/// `table` is the table of the capability `name`.
pub unsafe fn read_table(tables: &mut Tables, name: &CStr, table: *const c_void) -> Option<()> {
    // SAFETY: by this function's contract.
    unsafe {
        if name == abi::EXT_SEGMENTER {
            let t = &*table.cast::<abi::SegmenterV1>();
            tables.segmenter = Some(t.terms.zip(t.segment)?);
        } else if name == abi::EXT_LABELER {
            let t = &*table.cast::<abi::LabelerV1>();
            tables.labeler = Some((t.labels?, t.functions?, t.label?));
        } else if name == abi::EXT_EVALUATOR {
            let t = &*table.cast::<abi::EvaluatorV1>();
            tables.evaluator = Some(t.metrics.zip(t.score)?);
        }
    }
    Some(())
}

/// Most strings of a descriptor's list, so that a missing terminator ends soon.
const LIST_MAX: usize = 64;

/// A text of the descriptor.
pub fn text(what: &str, text: *const c_char) -> Result<String, String> {
    if text.is_null() {
        return Err(format!("descriptor.{what} is null"));
    }
    // SAFETY: not null, and by the ABI NUL-terminated.
    let bytes = unsafe { CStr::from_ptr(text) };
    let text = bytes
        .to_str()
        .map_err(|_| format!("descriptor.{what} is not UTF-8: {bytes:?}"))?;
    Ok(text.to_owned())
}

/// A list of texts of the descriptor.
pub fn list(what: &str, list: *const *const c_char) -> Result<Vec<String>, String> {
    if list.is_null() {
        return Err(format!("descriptor.{what} is null"));
    }
    let mut items = Vec::new();
    for i in 0..LIST_MAX {
        // SAFETY: by the ABI the list ends with NULL, and reading stops there.
        let item = unsafe { list.add(i).read() };
        if item.is_null() {
            return Ok(items);
        }
        items.push(text(what, item)?);
    }
    Err(format!("descriptor.{what} has {LIST_MAX} items and no NULL at its end"))
}
