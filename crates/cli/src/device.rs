//! Devices by the names that commands take: a profile, and what its work costs.

use std::path::Path;

use aneal_ane::Profile;
use aneal_ane::clock::Costs;

/// A built-in profile, else one in a file.
pub(crate) fn profile(name: &str) -> anyhow::Result<Profile> {
    match is_file(name) {
        true => Ok(Profile::from_file(Path::new(name))?),
        false => Ok(Profile::named(name)?),
    }
}

/// Whether that is a profile's file rather than a name.
pub(crate) fn is_file(name: &str) -> bool {
    Profile::names().all(|known| known != name) && Path::new(name).exists()
}

/// The costs of the profile's device, else those of a documented device with the same chip; and whose
/// they are.
pub(crate) fn costs(profile: &Profile) -> anyhow::Result<Option<(&'static str, Costs)>> {
    let known = |name: &str| Costs::devices().find(|device| *device == name);
    let mut device = known(&profile.name);
    if device.is_none() {
        let relatives = Profile::all()?;
        let mut relatives = relatives.iter().filter(|relative| relative.chip == profile.chip);
        device = relatives.find_map(|relative| known(&relative.name));
    }
    device.map(|device| Ok((device, Costs::of(device)?))).transpose()
}
