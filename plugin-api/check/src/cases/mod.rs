//! The cases, in the order in which they are run.

mod calls;
mod documents;
mod fuzz;
mod lists;
mod loading;
mod offsets;
mod process;
mod repeat;

use crate::bench::{Bench, Verdict};
use Runs::{Once, Twice};

/// A named rule, and how it is tried.
pub struct Case {
    /// Its name: `--only` takes it.
    pub name: &'static str,
    /// The rule, in a sentence.
    pub rule: &'static str,
    /// Whether nothing after it can be judged when it is not passed.
    pub(crate) stops: bool,
    /// Cases that say the same thing better: this one is skipped where one of them is not passed.
    pub(crate) after: &'static [&'static str],
    pub(crate) runs: Runs,
    /// The end of the process that this case is about; other ends than its own are told by another case.
    pub(crate) about: About,
    pub(crate) body: fn(&Bench) -> Verdict,
}

/// In how many processes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    Once,
    /// In two, whose notes must be the same.
    Twice,
}

/// Which end of the process breaks the case's rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum About {
    /// Any but an answer.
    Anything,
    Abort,
    Segfault,
    StackOverflow,
    EndlessLoop,
    Exit,
    /// A system call that the sandbox forbids, which ends the process here.
    Forbidden,
    /// Bytes on standard output.
    Output,
}

const fn case(name: &'static str, rule: &'static str, body: fn(&Bench) -> Verdict) -> Case {
    Case {
        name,
        rule,
        stops: false,
        after: &[],
        runs: Once,
        about: About::Anything,
        body,
    }
}

const fn first(name: &'static str, rule: &'static str, body: fn(&Bench) -> Verdict) -> Case {
    Case {
        stops: true,
        ..case(name, rule, body)
    }
}

const fn ends(name: &'static str, rule: &'static str, about: About) -> Case {
    Case {
        stops: true,
        about,
        ..case(name, rule, documents::all)
    }
}

const fn after(after: &'static [&'static str], case: Case) -> Case {
    Case { after, ..case }
}

/// The cases whose rules the documents of `fuzz` are held to as well.
const FUZZED: &[&str] = &[
    "empty-document",
    "repetitive-document",
    "input-borders",
    "offsets-out-of-range",
    "split-character",
    "tiling",
    "unknown-name",
    "confidence",
    "thread-leak",
    "memory-leak",
];

/// Every case. Before them, the parent itself judges `manifest`, `sha256` and `signature`, and after them `swapped`.
pub const CASES: &[Case] = &[
    first(
        "opens",
        "the dynamic linker loads the library, with all its symbols",
        loading::opens,
    ),
    first("symbol", "the library exports wengu_entry_v1", loading::symbol),
    first(
        "entry",
        "wengu_entry_v1() returns the same table at every call",
        loading::entry,
    ),
    first(
        "smaller-structs",
        "no struct is smaller than in version 1.0",
        loading::smaller_structs,
    ),
    first("abi-major", "the library is built for ABI 1", loading::abi_major),
    case(
        "larger-structs",
        "a struct is larger only with a later minor version",
        loading::larger_structs,
    ),
    first(
        "descriptor",
        "the descriptor's texts are UTF-8 and its lists end with NULL",
        loading::descriptor,
    ),
    first(
        "lying-manifest",
        "manifest and library say the same",
        loading::lying_manifest,
    ),
    first(
        "null-capability",
        "every capability of the manifest has its functions",
        loading::null_capability,
    ),
    case(
        "unknown-capability",
        "an unknown extension id gives NULL",
        loading::unknown_capability,
    ),
    first(
        "creates",
        "create() with an empty config makes an instance, and destroy() ends it",
        loading::creates,
    ),
    first("invalid-utf-8", "names and terms are UTF-8", lists::utf8),
    first(
        "names",
        "names are not empty, not repeated and the same at every call",
        lists::names,
    ),
    ends("endless-loop", "every document is answered in time", About::EndlessLoop),
    ends("abort", "no document aborts the process", About::Abort),
    ends(
        "segfault",
        "no document makes it reach for memory that is not its own",
        About::Segfault,
    ),
    ends(
        "stack-overflow",
        "no document overflows the stack",
        About::StackOverflow,
    ),
    ends("exit", "no document ends the process", About::Exit),
    first(
        "answers",
        "every document is answered or refused, without a bug or a panic",
        documents::answers,
    ),
    case(
        "error-message",
        "a refusal says why, in UTF-8 that ends with NUL",
        documents::error_message,
    ),
    case(
        "empty-document",
        "an empty text is answered: no segments, spans within it",
        documents::empty,
    ),
    case("long-document", "4 MiB of text are answered", documents::long_one),
    case(
        "repetitive-document",
        "64 KiB of one character or word are answered",
        documents::repetitive_ones,
    ),
    case(
        "input-borders",
        "the text is only read, and not past its end",
        documents::input_borders,
    ),
    case(
        "metadata",
        "unknown, nested and missing metadata do not matter",
        documents::metadata,
    ),
    case(
        "offsets-out-of-range",
        "segments and spans lie within the text",
        offsets::in_range,
    ),
    after(
        &["offsets-out-of-range"],
        case(
            "split-character",
            "they begin and end between characters",
            offsets::characters,
        ),
    ),
    after(
        &["offsets-out-of-range", "split-character"],
        case(
            "tiling",
            "segments tile the text, in order and without gaps",
            offsets::tiling,
        ),
    ),
    case(
        "unknown-name",
        "votes are by listed functions for listed labels",
        offsets::indices,
    ),
    case("confidence", "a vote's confidence is in (0, 1]", offsets::confidence),
    case("scores", "each metric has one finite score", offsets::scores),
    case(
        "odd-items",
        "empty and strange answers are scored or refused",
        offsets::odd_items,
    ),
    case(
        "non-deterministic",
        "the same document has the same answer at every call",
        repeat::same_call,
    ),
    after(
        &["non-deterministic"],
        case("order", "what came before a document does not matter", repeat::order),
    ),
    after(
        &["non-deterministic", "order"],
        case(
            "instances",
            "every instance answers the same, beside others",
            repeat::instances,
        ),
    ),
    after(
        &["non-deterministic", "order", "instances"],
        case("threads", "the thread that calls does not matter", repeat::threads),
    ),
    after(
        &["non-deterministic", "order", "instances"],
        Case {
            runs: Twice,
            ..case("processes", "every process answers the same", repeat::process)
        },
    ),
    case(
        "bad-config",
        "a config that is no table of this plugin is refused, or ignored",
        calls::bad_config,
    ),
    case(
        "refused-sink",
        "a sink's refusal ends the call and is returned",
        calls::refused_sink,
    ),
    case(
        "cancel",
        "keep_going() that says no ends the call, and the next one works",
        calls::cancel,
    ),
    case(
        "heartbeat",
        "a long document is answered in seconds or with heartbeats",
        calls::heartbeat,
    ),
    case(
        "larger-host",
        "a host with more functions than today's will do",
        calls::larger_host,
    ),
    case("many-instances", "instances come and go", calls::many_instances),
    Case {
        about: About::Output,
        ..case(
            "writes-to-stdout",
            "nothing is written to standard output",
            documents::all,
        )
    },
    Case {
        about: About::Forbidden,
        ..case(
            "forbidden-call",
            "no process, file or connection is made",
            documents::all,
        )
    },
    case("descriptor-leak", "descriptors are closed again", process::descriptors),
    case("thread-leak", "threads do not grow from call to call", process::threads),
    after(
        &["thread-leak"],
        case("memory-leak", "memory does not grow from call to call", process::memory),
    ),
    case(
        "process-state",
        "working directory, environment, signals and locale stay as they were",
        process::state,
    ),
    after(
        FUZZED,
        case(
            "fuzz",
            "documents made at random from a seed keep every rule",
            fuzz::fuzz,
        ),
    ),
];

impl Case {
    /// The case of this name.
    pub fn named(name: &str) -> Option<&'static Case> {
        CASES.iter().find(|case| case.name == name)
    }
}
