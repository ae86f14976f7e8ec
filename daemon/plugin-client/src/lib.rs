//! Starts a plugin host and talks to it.
