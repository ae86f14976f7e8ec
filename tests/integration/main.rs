//! The integration suite: real processes, real files, real signals.
