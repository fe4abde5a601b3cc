//! What can be wrong with a table of costs.

/// Every failure of the clock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No device of that name.
    #[error("no device `{name}` has known costs; known are {known}")]
    Device {
        /// What was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// Text that is no table of costs.
    #[error("the costs cannot be read: {0}")]
    Parse(#[from] toml::de::Error),
    /// A value that no device has.
    #[error("`{key}` is {value}, expected {expected}")]
    Value {
        /// Where it stands.
        key: String,
        /// What was found.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
}
