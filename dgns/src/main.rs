//! `dgnsd`: parse, configure, run, exit code.

mod cli;

use std::process::ExitCode;

/// States are made and dropped by the thousand, often on another thread than made them; the system's allocator takes its time then.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
