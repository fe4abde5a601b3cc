//! Joules that the processor counts itself, where the system lets us read them.

use std::path::PathBuf;
use std::time::Instant;

/// Where Linux shows the counters of Intel's and AMD's processors (the `powercap` interface).
const POWERCAP: &str = "/sys/class/powercap";

/// Counters of all processor packages.
#[derive(Debug)]
pub struct EnergyMeter {
    packages: Vec<Package>,
    started: Instant,
}

#[derive(Debug)]
struct Package {
    counter: PathBuf,
    /// Where the counter wraps, in microjoules.
    range: u64,
    start: u64,
}

impl EnergyMeter {
    /// Starts to count; `None` where nothing can be read (most virtual machines, other systems, and
    /// Linux without the right to read its counters).
    pub fn start() -> Option<Self> {
        let mut packages = Vec::new();
        for entry in std::fs::read_dir(POWERCAP).ok()?.flatten() {
            let name = entry.file_name();
            // A whole package is `intel-rapl:N`; its parts, `intel-rapl:N:M`, are contained in it.
            let name = name.to_string_lossy();
            if !name.starts_with("intel-rapl:") || name.matches(':').count() != 1 {
                continue;
            }
            let counter = entry.path().join("energy_uj");
            let range = read(&entry.path().join("max_energy_range_uj"))?;
            packages.push(Package { start: read(&counter)?, counter, range });
        }
        (!packages.is_empty()).then(|| Self { packages, started: Instant::now() })
    }

    /// Joules since the start, by all packages and everything that ran on them.
    pub fn joules(&self) -> Option<f64> {
        let mut microjoules = 0;
        for package in &self.packages {
            let now = read(&package.counter)?;
            microjoules += since(package.start, now, package.range);
        }
        Some(microjoules as f64 * 1e-6)
    }

    /// Mean power since the start in watts.
    pub fn watts(&self) -> Option<f64> {
        Some(self.joules()? / self.started.elapsed().as_secs_f64())
    }
}

/// How far a counter that wraps at `range` went, if it wrapped at most once.
fn since(start: u64, now: u64, range: u64) -> u64 {
    if now >= start { now - start } else { range.saturating_sub(start) + now }
}

fn read(path: &std::path::Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn counters_wrap() {
        assert_eq!(super::since(10, 25, 100), 15);
        assert_eq!(super::since(90, 5, 100), 15);
    }
}
