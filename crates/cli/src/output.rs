//! Where text goes: results to stdout, everything for the person watching to stderr.

#![allow(clippy::print_stderr)]

use std::io::{ErrorKind, Write};

use serde::Serialize;

/// A command line or configuration that cannot be: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A usage error.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Usage(text.into()).into()
}

/// A line for the person watching.
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// A result on stdout, as is.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// A result on stdout: the object as one line of JSON, or the text for people.
pub(crate) fn result(
    json: bool,
    object: &impl Serialize,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(object)? } else { text() };
    print(&format!("{}\n", text.trim_end()))
}

/// Whether the reader of stdout went away, which is no failure of ours.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// An error with its causes, leaving out those that an error above them already tells.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A number with thousands separated, for people.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn causes_are_told_once() {
        let cause = std::io::Error::other("disk full");
        let told = anyhow::Error::new(cause).context("cannot write a: disk full");
        assert_eq!(super::explain(&told), "cannot write a: disk full");
        let cause = std::io::Error::other("disk full");
        let untold = anyhow::Error::new(cause).context("cannot write a");
        assert_eq!(super::explain(&untold), "cannot write a: disk full");
    }

    #[test]
    fn thousands_are_separated() {
        for (n, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (21_767_680, "21,767,680")] {
            assert_eq!(super::grouped(n), want);
        }
    }
}
