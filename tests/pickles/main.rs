//! The pickle engine against recorded truth, and against the interpreters.

mod matrix;
mod scan;
mod verdicts;
