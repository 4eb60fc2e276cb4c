//! A process whose system calls fail as if the disk did: the kernel's own filter answers in their place.

use super::process::{Ended, Running, Words, spawn_command};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// A system call, and what of it fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nothing reaches the disk for certain.
    Sync,
    /// Bytes at this place of a file or behind it cannot be written.
    WriteFrom(u64),
    /// It dies when it is about to write so many bytes in one go.
    DiesWriting(u64),
    /// It dies when it is about to remove a file.
    DiesRemoving,
}

impl Fault {
    fn program(self) -> BpfProgram {
        let when = |argument, operator, value| {
            let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value);
            let rule = SeccompRule::new(vec![condition.expect("an argument")]);
            vec![rule.expect("a rule")]
        };
        let error = SeccompAction::Errno(libc::EIO.cast_unsigned());
        let (call, rules, action) = match self {
            Self::Sync => (libc::SYS_fsync, Vec::new(), error),
            Self::WriteFrom(offset) => (libc::SYS_pwrite64, when(3, SeccompCmpOp::Ge, offset), error),
            Self::DiesWriting(bytes) => {
                let rules = when(2, SeccompCmpOp::Eq, bytes);
                (libc::SYS_write, rules, SeccompAction::KillProcess)
            }
            Self::DiesRemoving => (libc::SYS_unlinkat, Vec::new(), SeccompAction::KillProcess),
        };
        let machine = std::env::consts::ARCH.try_into().expect("a known machine");
        let filter = SeccompFilter::new([(call, rules)].into(), SeccompAction::Allow, action, machine);
        filter.expect("a filter").try_into().expect("a program")
    }

    /// Starts a command with this fault. The filter is its thread's, which ends, and its child's.
    pub(crate) fn spawn(self, words: &Words) -> Running {
        std::thread::scope(|scope| {
            let started = scope.spawn(|| {
                seccompiler::apply_filter(&self.program()).expect("a filter");
                spawn_command(words.command())
            });
            started.join().expect("started")
        })
    }

    /// The same, to its end.
    pub(crate) fn run(self, words: &Words) -> Ended {
        let mut running = self.spawn(words);
        let stdout = running.rest().join("\n");
        let stderr = running.last_words();
        let code = running.end().code().unwrap_or(-1);
        Ended { code, stdout, stderr }
    }
}
