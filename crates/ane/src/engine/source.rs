//! What is given to the compiler, and the name that the framework knows it by.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aneal_mil::blob::Weights;
use aneal_mil::{Dialect, Program, text};
use sha2::{Digest, Sha256};

/// A program as text, and the weight files that it names.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// MIL text.
    pub text: String,
    /// Files by the path that the text names them by, `@model_path/weights/w.bin`.
    pub weights: BTreeMap<String, Arc<[u8]>>,
}

impl Source {
    /// A program, printed.
    #[must_use]
    pub fn new(program: &Program, dialect: Dialect, weights: &Weights) -> Self {
        let files = weights.iter().map(|(path, bytes)| (path.to_owned(), Arc::from(bytes)));
        Self { text: text::print(program, dialect), weights: files.collect() }
    }

    /// The name of what is compiled from this.
    #[must_use]
    pub fn identifier(&self) -> Identifier {
        let mut weights = Sha256::new();
        // Four zero bytes, then the files in the order of their keys (1.4(1)).
        weights.update([0; 4]);
        self.weights.values().for_each(|bytes| weights.update(bytes));
        let digests =
            [Sha256::digest(self.text.as_bytes()), weights.finalize(), Sha256::digest([])];
        Identifier(digests.map(|digest| hexadecimal(&digest)).join("_"))
    }
}

/// Upper-case.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// `<SHA-256 of the text>_<of the weights>_<of the options>`, 194 characters (1.4(1)). A program with
/// other weights has another name, and the same files under a name already compiled change nothing
/// (1.16).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(String);

impl Identifier {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_the_framework_s() {
        let mut source = Source { text: "program(1.3)".to_owned(), ..Source::default() };
        let empty = source.identifier();
        assert_eq!(empty.as_str().len(), 194);
        // No options hash as empty input (1.4(1)).
        assert!(
            empty
                .as_str()
                .ends_with("_E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")
        );
        // printf 'program(1.3)' | sha256sum; printf '\0\0\0\0' | sha256sum
        assert!(empty.as_str().starts_with(TEXT_AND_NO_WEIGHTS), "{empty}");
        source.weights.insert("@model_path/b.bin".into(), Arc::from(&b"two"[..]));
        source.weights.insert("@model_path/a.bin".into(), Arc::from(&b"one"[..]));
        // printf '\0\0\0\0onetwo' | sha256sum: in the order of the keys.
        assert_eq!(source.identifier().as_str()[65..129], *ONE_TWO);
    }

    const TEXT_AND_NO_WEIGHTS: &str = "1E3328EB09F66890E8FE6048A8C4B3304C131FFA59F117F05BE0B0FB2D63B4AE_DF3F619804A92FDB4057192DC43DD748EA778ADC52BC498CE80524C014B81119_";
    const ONE_TWO: &str = "E062B9D80CD5FD10083D6A0A57673EADC7C1758D54465BEA2A0F21EB4B634407";
}
