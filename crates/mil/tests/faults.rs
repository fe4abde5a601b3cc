//! Every faulty program of the catalogue is refused for its fault, and its sound twin is not.

#![allow(clippy::unwrap_used, clippy::panic)]

mod catalogue;

use std::collections::HashSet;

use aneal_mil::{Dialect, Error, text};

#[test]
fn faults_are_refused_for_what_they_are() {
    for fault in catalogue::faults::all() {
        let name = fault.name;
        let Err(error) = text::parse(&fault.faulty) else {
            panic!("{name} is accepted:\n{}", fault.faulty)
        };
        for part in fault.says {
            assert!(error.to_string().contains(part), "{name}: no `{part}` in:\n{error}");
        }
        let Error::Text { line, .. } = error else { panic!("{name} has no place: {error}") };
        assert!(line >= fault.line, "{name}, the fault is on line {}: {error}", fault.line);
        // A refusal of an operation points at its statement.
        if let Some((op, label)) = fault.says[0].split_once(" `")
            && let Some((label, _)) = label.split_once("`: ")
            && op != "function"
        {
            let statement = fault.faulty.lines().nth(line - 1).unwrap();
            let (value, call) = statement.split_once(" = ").unwrap();
            assert!(call.starts_with(&format!("{op}(")), "{name}: {error}");
            assert!(value.split([' ', ',']).any(|word| word == label), "{name}: {error}");
        }
    }
}

#[test]
fn their_sound_twins_are_programs() {
    for fault in catalogue::faults::all() {
        let name = fault.name;
        let program = text::parse(&fault.sound).unwrap_or_else(|e| panic!("{name}, sound: {e}"));
        for dialect in [Dialect::Modern, Dialect::Verbose] {
            assert_eq!(text::parse(&text::print(&program, dialect)).unwrap(), program, "{name}");
        }
    }
}

#[test]
fn faults_have_names_of_their_own() {
    let faults = catalogue::faults::all();
    let names: HashSet<_> = faults.iter().map(|fault| fault.name).collect();
    assert_eq!(names.len(), faults.len());
    assert!(faults.iter().all(|fault| !fault.says.is_empty()));
}
