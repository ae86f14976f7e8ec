//! Daemon and plugin host: length-prefixed JSON frames over a private descriptor.
