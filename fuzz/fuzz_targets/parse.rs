//! The text parser on any text: it never panics, and what it takes is printed and read again as the
//! same program, in both dialects.

#![no_main]

use aneal_mil::lint::{self, RuleSet};
use aneal_mil::{Dialect, check, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(program) = text::parse(&String::from_utf8_lossy(bytes)) else { return };
    check(&program).expect("what is read holds together");
    for dialect in [Dialect::Modern, Dialect::Verbose] {
        let printed = text::print(&program, dialect);
        let again = text::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again, program, "{printed}");
    }
    let _ = lint::check(&program, &RuleSet::strict());
});
