//! The built-in profiles are whole, and a file of one's own changes what it says and nothing else.

use aneal_mil::lint::{Limits as LintLimits, RULES, RuleSet};

use super::*;
use crate::arithmetic::{Overflow, Tie};

/// The ids in force.
fn ids(profile: &Profile) -> Vec<&'static str> {
    profile.rule_set().rules().map(|rule| rule.id).collect()
}

/// A file with that text, read.
fn from_text(text: &str) -> Result<Profile> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    Profile::from_file(&path)
}

#[test]
fn every_built_in_profile_is_read_under_its_own_name() {
    let all = Profile::all().unwrap();
    assert!(all.iter().map(|p| p.name.as_str()).eq(Profile::names()));
    for profile in &all {
        assert!(!ids(profile).is_empty());
        assert_eq!(Profile::named(&profile.name).unwrap().arithmetic, profile.arithmetic);
    }
}

#[test]
fn every_value_has_its_source_beside_it() {
    for (name, text) in BUILT_IN {
        let values = text.lines().map(str::trim).filter(|line| {
            !(line.is_empty() || line.starts_with(['#', '[', ']']) || line.ends_with('['))
        });
        for line in values.filter(|line| !line.starts_with("name =")) {
            let source = line.split_once('#').map_or("", |(_, comment)| comment.trim());
            assert!(!source.is_empty(), "{name}: `{line}` has no source");
        }
    }
}

#[test]
fn strict_has_every_rule_and_no_looser_limit_than_any_chip() {
    let strict = Profile::named("strict").unwrap();
    assert!(ids(&strict).into_iter().eq(RULES.iter().map(|rule| rule.id)));
    assert_eq!(strict.rule_set().limits, RuleSet::strict().limits);
    for profile in Profile::all().unwrap() {
        for ((key, strict), (_, limit)) in
            strict.limits.entries().into_iter().zip(profile.limits.entries())
        {
            assert!(strict <= limit, "{}: {key} is {limit}, less than strict's", profile.name);
        }
        assert!(strict.arithmetic.partial_limit <= profile.arithmetic.partial_limit);
    }
}

#[test]
fn contradicting_sources_make_different_profiles() {
    let in_force = |name: &str, id: &str| ids(&Profile::named(name).unwrap()).contains(&id);
    for (id, yes, no) in [
        ("C4", "strict", "m1"),
        ("C10", "m3-pro", "m3-ultra"),
        ("C11", "m4", "m4-max"),
        ("C12", "m4", "m4-max"),
        ("C16", "m4-max", "m4"),
        ("C22", "m4", "m3-ultra"),
        ("C32", "strict", "m1"),
        ("C39", "m4", "m5-max"),
        ("C40", "m3-pro", "m3-ultra"),
        ("C79", "m6", "m4"),
    ] {
        assert!(in_force(yes, id), "{id} must be in force on {yes}");
        assert!(!in_force(no, id), "{id} must not be in force on {no}");
    }
    let axis = |name| Profile::named(name).unwrap().limits.axis;
    assert_eq!((axis("m3-ultra"), axis("m4")), (16_384, 65_536));
}

#[test]
fn a_file_says_only_what_differs() {
    let mine = from_text(
        "base = \"m4\"\nname = \"mine\"\nmore_rules = [\"C16\"]\nwithout_rules = [\"C94\"]\n\
         [limits]\naxis = 1000\n[arithmetic]\ntie = \"even\"\n",
    )
    .unwrap();
    let m4 = Profile::named("m4").unwrap();
    assert_eq!((mine.name.as_str(), mine.chip.as_str(), mine.cores), ("mine", "h16g", 16));
    assert_eq!(mine.limits, Limits { axis: 1000, ..m4.limits.clone() });
    assert_eq!(mine.rule_set().limits, LintLimits { axis: 1000, ..m4.rule_set().limits.clone() });
    assert_eq!(mine.arithmetic, Arithmetic { tie: Tie::Even, ..m4.arithmetic.clone() });
    assert_eq!(mine.arithmetic.overflow, Overflow::Infinity);
    let mut want: Vec<_> = ids(&m4).into_iter().filter(|id| *id != "C94").chain(["C16"]).collect();
    let mut found = ids(&mine);
    want.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, want);
    let replaced = from_text("base = \"m6\"\nrules = [\"C2\"]").unwrap();
    assert_eq!(ids(&replaced), ["C2"]);
}

#[test]
fn files_that_cannot_be_are_refused_with_a_reason() {
    for (text, reason) in [
        ("base = ", "not TOML"),
        ("base = 4", "expected a profile's name"),
        ("base = \"m9\"", "expected one of m1, m3-pro"),
        ("name = \"x\"", "missing field"),
        ("base = \"m4\"\ncolour = 1", "unknown field `colour`"),
        ("base = \"m4\"\n[limits]\naxes = 1", "unknown field `axes`"),
        ("base = \"m4\"\n[limits]\naxis = -1", "axis"),
        ("base = \"m4\"\n[limits]\naxis = 0", "limits.axis is 0"),
        ("base = \"m4\"\ncores = 0", "cores is 0"),
        ("base = \"m4\"\nlimits = 3", "limits"),
        ("base = \"m4\"\n[arithmetic]\ntie = \"up\"", "unknown variant `up`"),
        ("base = \"m4\"\n[arithmetic]\npartial_limit = nan", "partial_limit is NaN"),
        ("base = \"m4\"\n[arithmetic]\npartial_limit = inf", "finite"),
        ("base = \"m4\"\nrules = [\"C1\", \"C999\"]", "no rule is called C1, C999"),
        ("base = \"m4\"\nmore_rules = 3", "more_rules"),
        ("base = \"m4\"\nwithout_rules = [\"C78\"]", "not in force"),
        ("more_rules = [\"C2\"]", "need a list"),
    ] {
        let error = from_text(text).unwrap_err().to_string();
        assert!(error.contains(reason), "`{text}` is refused with: {error}\nexpected: {reason}");
    }
    assert!(matches!(Profile::from_file(Path::new("/no/such/file")), Err(Error::Io { .. })));
    assert!(matches!(Profile::named("m9"), Err(Error::UnknownProfile { .. })));
}

#[test]
fn costs_are_those_of_the_device_or_of_its_chip() {
    let whose = |profile: &Profile| profile.costs().unwrap().map(|(device, _)| device);
    for name in Profile::names() {
        let own = (name != "strict").then_some(name);
        assert_eq!(whose(&Profile::named(name).unwrap()), own);
    }
    assert_eq!(whose(&from_text("base = \"m5-max\"\nname = \"mine\"").unwrap()), Some("m5-max"));
    assert_eq!(whose(&from_text("base = \"m4\"\nname = \"x\"\nchip = \"h99\"").unwrap()), None);
}
