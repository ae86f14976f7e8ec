//! Manifest, hash, dlopen, checks.
