//! Which side a case file is on.
