//! `dgnsd guard`: the record beside the log key of the newest head that was signed.

use std::path::Path;
use std::process::ExitCode;

use storage::{Guard, Options, Raised, Storage, StorageError};

use super::{GuardAction, failed, runtime};

/// Shows the guard, or makes a missing one from the stored head.
pub(super) fn run(action: GuardAction, data: &Path) -> ExitCode {
    let path = data.join("keys").join("guard");
    let done = match action {
        GuardAction::Show => Guard::peek(&path).map_err(|error| error.to_string()),
        GuardAction::Init if path.exists() => Err(format!("{} exists already", path.display())),
        GuardAction::Init => runtime().block_on(init(data, &path)),
    };
    match done {
        Ok(raised) => {
            println!("size {}\nroot {}", raised.size, data_encoding::HEXLOWER.encode(&raised.root));
            ExitCode::SUCCESS
        }
        Err(error) => failed(1, &error),
    }
}

async fn init(data: &Path, path: &Path) -> Result<Raised, String> {
    let text = |error: StorageError| error.to_string();
    let storage = Storage::open_with(data, Options { create: false, ..Options::default() }).await.map_err(text)?;
    let head = storage.log().load_head().await.map_err(text)?.ok_or("there is no log yet")?;
    let guard = Guard::create(path, Raised { size: head.size, root: head.root }).map_err(text)?;
    Ok(guard.newest())
}
