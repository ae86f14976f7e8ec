use std::process::{ExitCode, Termination};

/// How `wengu` exits. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done. `wengu train`: the new version was promoted, or there was nothing to learn.
    Success,
    /// The command failed; the message says why.
    Failure,
    /// `wengu train`: the gate held the new version; the champion keeps serving.
    Held,
    /// `wengu train`: the gate found a regression; the champion keeps serving.
    Regressed,
    /// `wengu train`: the run failed.
    RunFailed,
    /// `wengu run`, `wengu store`, `wengu audit`: what was read does not agree or is damaged.
    Damaged,
    /// The daemon cannot be reached (EX_UNAVAILABLE).
    Unavailable,
    /// `wengu store`: a running daemon has the store (EX_TEMPFAIL).
    InUse,
    /// The daemon answers, and not to this user or token (EX_NOPERM).
    Denied,
    /// The configuration has errors, or names another key than the one that is needed (EX_CONFIG).
    Config,
}

impl Exit {
    /// The exit code. 2 is clap's, for a command line that does not parse.
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Held => 3,
            Exit::Regressed => 4,
            Exit::RunFailed => 5,
            Exit::Damaged => 6,
            Exit::Unavailable => 69,
            Exit::InUse => 75,
            Exit::Denied => 77,
            Exit::Config => 78,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
