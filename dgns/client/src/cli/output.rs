//! What is printed: text for people, or one JSON value on standard output. Notes and errors go to standard error.

use dgns_client::error::ClientError;
use serde_json::{Value, json};

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    /// Results are part of another command's.
    silent: bool,
}

impl Output {
    /// Returns the output; `json` prints one value instead of text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, silent: false }
    }

    /// Returns the output of a command that is a step of another: its result is not printed, what must be seen is.
    pub(crate) fn of_a_step(self) -> Self {
        Self { silent: true, ..self }
    }

    /// Prints a result: `text` for people, `value` for programs.
    pub(crate) fn result(self, text: &str, value: &Value) {
        match self.json {
            _ if self.silent => {}
            true => say(&value.to_string()),
            false => say(text.trim_end()),
        }
    }

    /// Prints one of many results of a command that goes on: a line for people, a JSON value on a line for programs.
    pub(crate) fn line(self, text: &str, value: &Value) {
        say(&self.spelled(text, value));
    }

    /// Returns that line.
    pub(crate) fn spelled(self, text: &str, value: &Value) -> String {
        if self.json { value.to_string() } else { text.to_owned() }
    }

    /// Writes bytes to standard output as they are.
    pub(crate) fn raw(self, bytes: &[u8]) -> Result<(), ClientError> {
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| ClientError::Unable(format!("standard output: {error}")))
    }

    /// Says something beside the result.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// Says what must be seen in any case, before the command goes on.
    pub(crate) fn warn(self, text: &str) {
        eprintln!("{text}");
    }

    /// Prints why a command failed.
    pub(crate) fn error(self, error: &ClientError) {
        if !self.json {
            eprintln!("dgns: {error}");
            return;
        }
        say(&self.error_value(error).to_string());
    }

    /// Returns an error as the JSON that is printed for it.
    pub(crate) fn error_value(self, error: &ClientError) -> Value {
        let mut value =
            json!({ "ok": false, "exit": error.exit_code(), "code": error.code(), "error": error.to_string() });
        let error = match error {
            ClientError::Partly { records, waiting, error } => {
                (value["records"], value["waiting"]) = (json!(records), json!(waiting));
                error
            }
            error => error,
        };
        match error {
            ClientError::Refused(problem) => value["problem"] = json!(problem),
            ClientError::Proof { evidence, .. } => value["evidence"] = json!(evidence),
            ClientError::Deleted(tombstone) => value["tombstone"] = json!(tombstone),
            _ => {}
        }
        value
    }
}

/// Prints a line on standard output. Whoever reads it may have seen enough and gone: the command is done all the same.
fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Returns a time as people write it, UTC.
pub(crate) fn time(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms / 1_000 % 86_400);
    let (year, month, day) = identity::time::civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Returns a length of time as people say it.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(time(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(time(1_772_323_199_999), "2026-02-28 23:59:59 UTC");
        assert_eq!(span(119), "119 s");
        assert_eq!(span(259_200), "3 days");
    }
}
