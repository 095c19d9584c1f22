//! Why the configuration cannot be used, as one line for the operator.

use std::path::{Path, PathBuf};

/// A fault in the configuration. Its `Display` is one line that names the file, the key and the hint;
/// it never holds the value of a secret.
///
/// Retrying within the process does not help: it is expected to print this and stop.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}; {hint}", place(.file, .key.as_deref()))]
pub struct ConfigError {
    file: PathBuf,
    key: Option<String>,
    fault: String,
    hint: String,
}

fn place(file: &Path, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("{}: {key}", file.display()),
        None => file.display().to_string(),
    }
}

impl ConfigError {
    /// A fault of a whole file.
    pub(super) fn of_file(file: &Path, fault: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { file: file.to_owned(), key: None, fault: one_line(fault), hint: one_line(hint) }
    }

    /// A fault of one key, given as it is written in the file (`[xmpp] adminToken`).
    pub(super) fn of_key(
        file: &Path,
        key: impl Into<String>,
        fault: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { file: file.to_owned(), key: Some(one_line(key)), fault: one_line(fault), hint: one_line(hint) }
    }
}

/// Parser messages and file content may hold line breaks, and whatever else a terminal obeys; the promise is one line.
fn one_line(text: impl Into<String>) -> String {
    let text = text.into();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace(char::is_control, "\u{fffd}")
}
