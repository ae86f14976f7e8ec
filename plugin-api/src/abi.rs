//! `wengu_plugin.h` in Rust, name for name. Sizes and offsets are compared with the header by a test.
#![allow(missing_docs, reason = "the header documents each field, and this mirrors it")]

use std::ffi::{CStr, c_char, c_void};

pub const ABI_MAJOR: u32 = 1;
pub const ABI_MINOR: u32 = 0;
pub const ENTRY_SYMBOL: &CStr = c"wengu_entry_v1";

pub const EXT_SEGMENTER: &CStr = c"wengu.segmenter/1";
pub const EXT_LABELER: &CStr = c"wengu.labeler/1";
pub const EXT_EVALUATOR: &CStr = c"wengu.evaluator/1";

pub const SEGMENT_TEXT: u32 = 0;
pub const SEGMENT_TERM: u32 = 1;
pub const SEGMENT_DROP: u32 = 2;

pub type Status = i32;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    pub ptr: *const u8,
    pub len: u64,
}

#[repr(C)]
pub struct Error {
    pub size: u64,
    pub message: [c_char; 1016],
}

#[repr(C)]
pub struct Sink {
    pub ctx: *mut c_void,
    pub put: Option<unsafe extern "C" fn(ctx: *mut c_void, items: *const c_void, count: u64) -> Status>,
}

#[repr(C)]
pub struct Host {
    pub size: u64,
    pub ctx: *mut c_void,
    pub log: Option<unsafe extern "C" fn(ctx: *mut c_void, level: i32, text: Bytes)>,
    pub keep_going: Option<unsafe extern "C" fn(ctx: *mut c_void, done: u64, total: u64) -> i32>,
}

#[repr(C)]
pub struct Descriptor {
    pub size: u64,
    pub id: *const c_char,
    pub name: *const c_char,
    pub version: *const c_char,
    pub domain: *const c_char,
    pub languages: *const *const c_char,
    pub provides: *const *const c_char,
}

/// Opaque: the plugin's own.
#[repr(C)]
pub struct Instance {
    _private: [u8; 0],
}

pub type Create = unsafe extern "C" fn(*const Host, Bytes, *mut *mut Instance, *mut Error) -> Status;
pub type Destroy = unsafe extern "C" fn(*mut Instance);
pub type Extension = unsafe extern "C" fn(*const c_char) -> *const c_void;

#[repr(C)]
pub struct Entry {
    pub size: u64,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub descriptor: *const Descriptor,
    pub create: Option<Create>,
    pub destroy: Option<Destroy>,
    pub extension: Option<Extension>,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub kind: u32,
    pub begin: u32,
    pub end: u32,
}

/// `terms`, `labels`, `functions`, `metrics`: what an instance lists.
pub type List = unsafe extern "C" fn(*mut Instance, *const Sink, *mut Error) -> Status;
pub type SegmentFn = unsafe extern "C" fn(*mut Instance, Bytes, *const Sink, *mut Error) -> Status;
pub type LabelFn = unsafe extern "C" fn(*mut Instance, Bytes, Bytes, u64, *const Sink, *mut Error) -> Status;
pub type ScoreFn = unsafe extern "C" fn(*mut Instance, *const Prediction, u64, *const Sink, *mut Error) -> Status;
pub type EntryFn = unsafe extern "C" fn() -> *const Entry;

#[repr(C)]
pub struct SegmenterV1 {
    pub terms: Option<List>,
    pub segment: Option<SegmentFn>,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Vote {
    pub function: u32,
    pub label: u32,
    pub begin: u32,
    pub end: u32,
    pub confidence: f64,
}

#[repr(C)]
pub struct LabelerV1 {
    pub labels: Option<List>,
    pub functions: Option<List>,
    pub label: Option<LabelFn>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Metric {
    pub name: [c_char; 56],
    pub higher_is_better: i32,
    pub reserved: u32,
}

#[repr(C)]
pub struct Prediction {
    pub input: Bytes,
    pub expected: Bytes,
    pub actual: Bytes,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Score {
    pub metric: u32,
    pub reserved: u32,
    pub value: f64,
}

#[repr(C)]
pub struct EvaluatorV1 {
    pub metrics: Option<List>,
    pub score: Option<ScoreFn>,
}
