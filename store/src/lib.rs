//! Journal and content-addressed files are the truth, sled is the index over them.
