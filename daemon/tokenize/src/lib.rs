//! From text and plugin segments to the token ids of the base model.
