//! The `p2pdi` program: see `p2pdi help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os().skip(1).collect())
}
