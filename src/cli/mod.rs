//! The face: everything that is printed, asked and exited with.

pub(crate) mod failure;
pub(crate) mod lab;
