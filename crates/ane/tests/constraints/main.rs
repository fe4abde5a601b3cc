//! Every constraint from outside: that it happens on the profiles where it is in force, and not on
//! the others. A test bears the number of its constraint; files are by what the emulator does.

#![allow(clippy::unwrap_used, clippy::panic)]

mod compile;
mod cost;
mod note;
mod numbers;
mod programs;
mod request;
#[path = "../emulator/session.rs"]
mod session;
mod wrong;

use aneal_ane::constraint::{Class, Constraint, document};

/// The tests.
const SOURCES: [&str; 6] = [
    include_str!("compile.rs"),
    include_str!("cost.rs"),
    include_str!("note.rs"),
    include_str!("numbers.rs"),
    include_str!("request.rs"),
    include_str!("wrong.rs"),
];

#[test]
fn every_modelled_constraint_has_its_test() {
    for constraint in Constraint::all() {
        let test = format!("\n#[test]\nfn c{:03}_", constraint.number);
        let tests: usize = SOURCES.iter().map(|source| source.matches(&test).count()).sum();
        match constraint.class {
            Class::NotModelled(_) => assert_eq!(tests, 0, "{} has a test", constraint.id()),
            _ => assert!(tests > 0, "{} has no test", constraint.id()),
        }
    }
}

#[test]
fn what_is_not_modelled_has_a_reason() {
    let mut count = 0;
    for constraint in Constraint::all() {
        if let Class::NotModelled(reason) = constraint.class {
            assert!(reason.len() > 5, "{}: {reason}", constraint.id());
            assert!(constraint.profiles().unwrap().is_empty(), "{}", constraint.id());
            count += 1;
        }
    }
    assert!(count < 25, "{count} of 103 are not modelled");
}

#[test]
fn the_page_is_what_the_table_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/constraints.md");
    let found = std::fs::read_to_string(page).unwrap();
    assert_eq!(
        found,
        document().unwrap(),
        "run: cargo run -p aneal-ane --example constraints > docs/constraints.md"
    );
}
