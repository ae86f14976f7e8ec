//! The medical-en domain plugin.
