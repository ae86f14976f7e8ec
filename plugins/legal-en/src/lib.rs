//! The legal-en domain plugin.
