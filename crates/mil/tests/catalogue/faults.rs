//! Faulty programs, each with a sound twin that differs in one place, so that a refusal can only be
//! for the fault.

mod table;

use table::{STATEMENTS, TEXTS};

/// A faulty program.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// With the fault.
    pub(crate) faulty: String,
    /// Without it.
    pub(crate) sound: String,
    /// The first line of `faulty` that differs, from 1.
    pub(crate) line: usize,
    /// What the refusal must say: operation, operand, shapes.
    pub(crate) says: &'static [&'static str],
}

/// All of them.
pub(crate) fn all() -> Vec<Fault> {
    let statements = STATEMENTS.iter().map(|&(name, inputs, statements, says)| {
        let statements: String = statements
            .split_inclusive(';')
            .map(|statement| format!("        {}\n", statement.trim_start()))
            .collect();
        let text = format!(
            "program(1.3)\n<<\n    func main<ios18>({inputs}) <<\n{statements}    >> -> (y);\n>>\n"
        );
        fault(name, &text, says)
    });
    let texts = TEXTS.iter().map(|&(name, text, says)| fault(name, text, says));
    statements.chain(texts).collect()
}

fn fault(name: &'static str, template: &str, says: &'static [&'static str]) -> Fault {
    let [sound, faulty] = [0, 1].map(|twin| types(&twin_of(template, twin)));
    let line = sound.lines().zip(faulty.lines()).take_while(|(a, b)| a == b).count() + 1;
    Fault { name, faulty, sound, line, says }
}

/// A template with each `{sound|faulty}` replaced by one of the two; `<<` and `>>` stand for braces.
fn twin_of(template: &str, twin: usize) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (choice, after) = after.split_once('}').unwrap();
        out.push_str(before);
        out.push_str(choice.split('|').nth(twin).unwrap());
        rest = after;
    }
    out.push_str(rest);
    out.replace("<<", "{").replace(">>", "}")
}

/// Types as error messages spell them, `fp16[2, 3]`, replaced by MIL's `tensor<fp16, [2, 3]>`.
fn types(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, after) = rest.split_at(at);
        let start = before.rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
        let (lead, word) = before.split_at(start);
        let end = after.find(']').unwrap() + 1;
        out.push_str(lead);
        if word.is_empty() {
            out.push('[');
            rest = &after[1..];
        } else {
            out.push_str(&format!("tensor<{word}, {}>", &after[..end]));
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}
