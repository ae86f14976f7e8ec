use std::fmt;

/// Why a call failed, and so whether it may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// This document, item or config is bad: do not retry.
    Input = 1,
    /// This plugin does not do that: do not retry.
    Unsupported = 2,
    /// The host said stop.
    Cancelled = 3,
    /// Memory, disk: may be retried later.
    Resource = 4,
    /// A bug of the plugin; the instance is still usable.
    Internal = 5,
    /// The plugin panicked: the instance is gone.
    Poisoned = 6,
}

impl Status {
    /// Reads a status of the ABI: `None` is success, an unknown value is [`Status::Poisoned`].
    pub fn from_raw(raw: i32) -> Option<Status> {
        match raw {
            0 => None,
            1 => Some(Status::Input),
            2 => Some(Status::Unsupported),
            3 => Some(Status::Cancelled),
            4 => Some(Status::Resource),
            5 => Some(Status::Internal),
            _ => Some(Status::Poisoned),
        }
    }
}

/// A failed call: a status and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Whether to retry.
    pub status: Status,
    /// What was wrong, where, what to do.
    pub message: String,
}

impl Error {
    /// An error of this kind.
    pub fn new(status: Status, message: impl Into<String>) -> Error {
        Error {
            status,
            message: message.into(),
        }
    }

    /// The document, item or config is bad.
    pub fn input(message: impl Into<String>) -> Error {
        Error::new(Status::Input, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.message, self.status)
    }
}

impl std::error::Error for Error {}
