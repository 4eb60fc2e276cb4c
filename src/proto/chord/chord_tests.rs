//! The ring node alone: refusals, and lies that change nothing.
