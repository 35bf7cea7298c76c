//! `dgnsd invite`: codes that open the road `invite`. A code is shown once; the server keeps its hash.

use std::path::Path;
use std::process::ExitCode;

use dgns::invites::Invites;

/// Makes `count` codes and prints them, one a line.
pub(super) fn make(data: &Path, count: u32) -> ExitCode {
    let invites = Invites::at(data);
    for _ in 0..count {
        match invites.make(&mut dgns::rng::system()) {
            Ok(code) => println!("{code}"),
            Err(error) => {
                eprintln!("dgnsd: {}: {error}", invites.directory().display());
                return ExitCode::from(1);
            }
        }
    }
    ExitCode::SUCCESS
}
