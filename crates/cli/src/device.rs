//! Devices by the names that commands take.

use std::path::Path;

use aneal_ane::Profile;

use crate::output::usage;

/// A built-in profile, else one in a file. A name that is neither is bad usage.
pub(crate) fn profile(name: &str) -> anyhow::Result<Profile> {
    match is_file(name) {
        true => Ok(Profile::from_file(Path::new(name))?),
        false => Profile::named(name).map_err(|error| usage(error.to_string())),
    }
}

/// Whether that is a profile's file rather than a name.
pub(crate) fn is_file(name: &str) -> bool {
    Profile::names().all(|known| known != name) && Path::new(name).exists()
}
