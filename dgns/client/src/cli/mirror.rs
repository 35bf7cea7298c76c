//! `mirror`: the log's files, copied while they are verified.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use dgns_client::mirror;
use dgns_client::session::Session;
use serde_json::json;

use super::progress::Progress;
use super::{Context, Done, Ended, arguments};

/// Arguments of `mirror`.
#[derive(Debug, clap::Args)]
pub(crate) struct Mirror {
    /// The server, or its log prefix ending in /log
    url: String,
    /// Where the files go; what is there already is not fetched again
    directory: PathBuf,
    /// Pin this log key instead of asking the server, which may then be any that keeps the log's files
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
}

/// Copies the log up to its newest checkpoint.
pub(crate) async fn mirror(context: &Context, arguments: Mirror) -> Done {
    let url = arguments.url.trim_end_matches('/').trim_end_matches("/log");
    let session = match &arguments.vkey {
        None => context.session_at(url).await?,
        Some(text) => Session::open_pinned(&context.home, url, &arguments::log_key(text)?)?,
    };
    let mut progress = Progress::new("mirror");
    let mirrored = mirror::run(&session, &arguments.directory, |done, all| progress.show(done, all)).await?;
    drop(progress);
    let text = format!(
        "mirrored: {} entries in {}, {} files new, {:.2} s\n  root     {}\n  serve    the directory with any file server; \
         `dgns audit URL --vkey KEY` reads it",
        mirrored.size,
        arguments.directory.display(),
        mirrored.files,
        mirrored.elapsed.as_secs_f64(),
        HEXLOWER.encode(&mirrored.root),
    );
    let value = json!({
        "ok": true,
        "size": mirrored.size,
        "root": HEXLOWER.encode(&mirrored.root),
        "files": mirrored.files,
        "seconds": mirrored.elapsed.as_secs_f64(),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}
