//! Decides when a file in a watched folder may be taken.
