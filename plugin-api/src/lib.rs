//! Write a wengu domain plugin in safe Rust.
//!
//! A plugin is a library that says, for one domain, which spans of a text belong together ([`Segmenter`]), which
//! labels a case file suggests ([`Labeler`]) and how good an answer is ([`Evaluator`]): any of the three. Implement
//! [`Plugin`] and the capabilities, name them in [`export_plugin!`], build a `cdylib`:
//!
//! ```
//! use wengu_plugin::{Descriptor, Document, Error, Host, Labeler, Plugin, Vote};
//!
//! struct Weather;
//!
//! impl Plugin for Weather {
//!     const DESCRIPTOR: Descriptor = Descriptor {
//!         id: "org.example.weather",
//!         name: "Weather reports",
//!         version: "1.0.0",
//!         domain: "weather",
//!         languages: &["en"],
//!     };
//!     fn create(_host: &Host, _config: &serde_json::Value) -> Result<Self, Error> {
//!         Ok(Weather)
//!     }
//! }
//!
//! impl Labeler for Weather {
//!     fn labels(&self) -> Vec<String> {
//!         vec!["rain".into()]
//!     }
//!     fn functions(&self) -> Vec<String> {
//!         vec!["says-rain".into()]
//!     }
//!     fn label(&mut self, _host: &Host, document: &Document) -> Result<Vec<Vote>, Error> {
//!         let rain = document.text.contains("rain");
//!         Ok(rain.then(|| Vote::whole(0, 0, 0.9)).into_iter().collect())
//!     }
//! }
//!
//! wengu_plugin::export_plugin!(Weather, [labeler]);
//! # fn main() {}
//! ```
//!
//! Everything `unsafe` is in [`abi`] (the mirror of `wengu_plugin.h`) and `export` (the one place where raw pointers
//! become slices). A panic in a plugin's code is caught there, reported as [`Status::Poisoned`] with its message, and
//! the instance is dropped.

pub mod abi;
mod error;
#[doc(hidden)]
pub mod export;
mod host;
#[cfg(feature = "patterns")]
pub mod patterns;
pub mod segments;
mod types;

pub use error::{Error, Status};
pub use host::{Host, Level};
pub use segments::{Segment, SegmentKind};
pub use types::{Descriptor, Document, Metric, Prediction, Vote};

/// What every plugin is: a description and a way to make an instance.
pub trait Plugin: Send + Sized + 'static {
    /// Must agree with `manifest.toml`; what it provides is named in [`export_plugin!`].
    const DESCRIPTOR: Descriptor;

    /// Makes an instance. May read files. `config` is the operator's table for this plugin, an object.
    ///
    /// # Errors
    /// [`Status::Input`] for a config that cannot be right; the message is shown to the operator.
    fn create(host: &Host, config: &serde_json::Value) -> Result<Self, Error>;
}

/// Says what belongs together in a text; the base model's own tokenizer does the rest.
pub trait Segmenter: Plugin {
    /// Terms that deserve a token of their own, the same for every call.
    fn terms(&self) -> Vec<String> {
        Vec::new()
    }

    /// Segments that tile `text` in order, on character borders ([`segments::tile`] makes them from spans).
    ///
    /// # Errors
    /// A text that cannot be segmented.
    fn segment(&mut self, host: &Host, text: &str) -> Result<Vec<Segment>, Error>;
}

/// Labels case files by named functions, each of which may abstain.
pub trait Labeler: Plugin {
    /// Names of the labels, the same for every call.
    fn labels(&self) -> Vec<String>;

    /// Names of the labelling functions, the same for every call.
    fn functions(&self) -> Vec<String>;

    /// Votes for a document. No vote is an abstention.
    ///
    /// # Errors
    /// A document that cannot be read as what this plugin labels.
    fn label(&mut self, host: &Host, document: &Document) -> Result<Vec<Vote>, Error>;
}

/// Scores single answers; the daemon does the statistics.
pub trait Evaluator: Plugin {
    /// The metrics, the same for every call.
    fn metrics(&self) -> Vec<Metric>;

    /// One finite value for each metric, in their order.
    ///
    /// # Errors
    /// An item that cannot be scored.
    fn score(&mut self, host: &Host, item: &Prediction, seed: u64) -> Result<Vec<f64>, Error>;
}

/// Exports a [`Plugin`] type with the capabilities that it implements: `export_plugin!(Contracts, [segmenter, labeler,
/// evaluator]);`. Once in a crate; the only symbol that the library exports comes from here.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty, [$($capability:ident),+ $(,)?]) => {
        #[allow(unsafe_code)]
        const _: () = {
            static ENTRY: $crate::export::Entry = $crate::export::Entry::new();

            extern "C" fn extension(id: *const ::std::ffi::c_char) -> *const ::std::ffi::c_void {
                // SAFETY: the ABI says that the host's id is NUL-terminated.
                unsafe { $crate::export::find(id, &[$($crate::export::$capability::<$plugin>()),+]) }
            }

            /// The only exported symbol.
            // SAFETY: the name is reserved for this macro by the ABI, and the macro is used once in a library.
            #[unsafe(no_mangle)]
            pub extern "C" fn wengu_entry_v1() -> *const $crate::abi::Entry {
                ENTRY.get::<$plugin>(extension, &[$($crate::export::$capability::<$plugin>().id()),+])
            }
        };
    };
}
