//! The wengu daemon and command line.
