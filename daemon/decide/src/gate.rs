//! Which version may serve.
