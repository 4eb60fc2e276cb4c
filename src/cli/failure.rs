//! How a command ends badly: an exit code that scripts rely on, and one line that helps.

use core::fmt;

/// The exit codes, in rising order of weight where several apply (DESIGN: 5 over 4 over 3 over 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 1: it failed.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: not found, or no holder is left.
    NotFound,
    /// 4: refused, not authorised, or ambiguous.
    Refused,
    /// 5: the content failed verification.
    Unverified,
    /// 75: interrupted, and resumable by the same command.
    Interrupted,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unverified => 5,
            Self::Interrupted => 75,
        }
    }
}

/// A failure: what to exit with, and the line for stderr that names the thing and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// One line, without the program's name before it.
    pub(crate) text: String,
}

impl Failure {
    /// A failure with this code and line.
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }

    /// A wrong command line.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// The environment failed at `what` (a file, an address).
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Exit::Failed, format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold what a user typed or another machine said: one line, and nothing that moves a cursor.
        f.write_str(&p2pdi::name::printable(&self.text))
    }
}
