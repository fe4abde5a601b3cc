//! Names that no compiler confuses.

use std::collections::HashSet;

use crate::{Literal, Program};

/// Gives every operation a `name` attribute, its first result's name, with a number appended where
/// another operation of the program, in whatever function, has it (facts section 4.2).
pub fn unique_names(program: &mut Program) {
    let mut taken = HashSet::new();
    for function in &mut program.functions {
        for index in 0..function.operations.len() {
            let label = function.label(&function.operations[index]).to_owned();
            let mut name = label.clone();
            let mut count = 1_usize;
            while !taken.insert(name.clone()) {
                count += 1;
                name = format!("{label}_{count}");
            }
            let attributes = &mut function.operations[index].attributes;
            // Where published generators repeat the attribute, one stays.
            let place = attributes.iter().position(|(key, _)| key == "name").unwrap_or(0);
            attributes.retain(|(key, _)| key != "name");
            let place = place.min(attributes.len());
            attributes.insert(place, ("name".to_owned(), Literal::string(&name)));
        }
    }
}
