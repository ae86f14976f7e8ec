//! From the bytes of a case file to its records.
