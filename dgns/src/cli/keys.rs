//! `dgnsd keys`: makes a server's keys before its first start, and prints the lines by which policies name them. The policy
//! that its own configuration names may still have to be written.

use std::path::Path;
use std::process::ExitCode;

use dgns::config::Config;
use dgns::keys::LogKey;
use dgns::server::make_directories;
use dgns::setup;
use dgns::witness::cosigner::{self, Role};
use dgns::witness::roles::policy_line;

use super::failed;

/// Prints the lines of the configuration at `path`, reached at `url` or where it listens.
pub(super) fn run(path: &Path, url: Option<&str>) -> ExitCode {
    match lines(path, url) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(why) => failed(1, &why),
    }
}

fn lines(path: &Path, url: Option<&str>) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let config = Config::from_toml_without_policy(&text).map_err(|faults| format!("{}:\n{faults}", path.display()))?;
    let base = url.map_or_else(|| format!("http://{}", config.http.listen), |url| url.trim_end_matches('/').to_owned());
    let keys_at = make_directories(&config.data).map_err(|error| error.to_string())?;
    let made = !config.data.join("names.db").exists();
    let keys = setup::keys(&keys_at, made, &mut dgns::rng::system()).map_err(|error| error.to_string())?;
    let log_keys = keys.log.into_iter().map(|key| LogKey::new(key, config.zone.origin()));
    let mut lines: Vec<String> = log_keys.map(|key| format!("log {} {base}/log", key.vkey())).collect();
    let Some(witness) = &config.witness else { return Ok(lines) };
    let mut cosigner = |role, name| {
        let signer = cosigner::signer(&config.data, role, name).map_err(|error| error.to_string())?;
        lines.push(policy_line(signer.verifier_key(), role, &base));
        Ok::<(), String>(())
    };
    cosigner(Role::Witness, &witness.name)?;
    if witness.verifier {
        cosigner(Role::Verifier, &witness.verifier_name)?;
    }
    Ok(lines)
}
