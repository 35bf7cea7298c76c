//! A test that cannot run here says so; where everything must run, it fails.

/// Says why a test does not run. Panics if `CI=true`: there nothing may be left out.
///
/// Call it and return: `if missing { return skip("kdig is not installed"); }`.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "skipped where nothing may be: {reason}");
    eprintln!("skipped: {reason}");
}

/// Returns whether sqlite3 is not here, and says so as [`skip`] does.
///
/// Call it and return: `if without_sqlite3() { return; }`.
pub fn without_sqlite3() -> bool {
    let missing = std::process::Command::new("sqlite3").arg("--version").output().is_err();
    if missing {
        skip("sqlite3 is not installed");
    }
    missing
}
