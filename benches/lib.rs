//! Benches of the hot path; see the files beside this one.
