use std::time::Duration;

/// How a plugin's process ended, and at what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin} {end}{}{}", at(*document), tail(output))]
pub struct PluginEnd {
    /// The plugin's id.
    pub plugin: String,
    /// How it ended.
    pub end: End,
    /// Index of the document that it was at, in the call's slice.
    pub document: Option<usize>,
    /// The last lines of its standard output and error.
    pub output: Vec<String>,
}

/// Every way in which a plugin's process can end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The host's executable could not be started.
    #[error("could not be started: {0}")]
    CouldNotStart(String),
    /// The plugin failed a check when it was loaded. It will fail it again.
    #[error("was refused by the check `{check}`: {message}")]
    Refused {
        /// Name of the check.
        check: String,
        /// What was found and what was wanted.
        message: String,
    },
    /// The process left by itself.
    #[error("exited with code {code}")]
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// The process was ended by a signal that the daemon did not send.
    #[error("was ended by signal {signal}")]
    Signal {
        /// Its number: 11 is a wild pointer, 6 an abort (also of memory beyond the limit), 9 the kernel's.
        signal: i32,
    },
    /// The process was silent or busy for too long, and was killed.
    #[error("gave no {wanted} within {after:?} and was killed")]
    TimedOut {
        /// What did not come: `sign of life` or `result`.
        wanted: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The process sent something that is no reply to what was asked, and was killed.
    #[error("sent a bad message and was killed: {0}")]
    BadMessage(String),
    /// The daemon stopped it.
    #[error("was stopped by wengu")]
    StoppedByUs,
}

impl End {
    /// The end in a word, for events and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            End::CouldNotStart(_) => "could_not_start",
            End::Refused { .. } => "refused",
            End::Exited { .. } => "exited",
            End::Signal { .. } => "crashed",
            End::TimedOut { .. } => "timed_out",
            End::BadMessage(_) => "bad_message",
            End::StoppedByUs => "stopped",
        }
    }
}

fn at(document: Option<usize>) -> String {
    document.map(|d| format!(", at document {d}")).unwrap_or_default()
}

fn tail(output: &[String]) -> String {
    output
        .last()
        .map(|line| format!("; its last words: {line}"))
        .unwrap_or_default()
}
