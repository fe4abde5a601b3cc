//! The rules, and why the other numbers are none.

use super::Severity::{Note, Refused, Wrong};
use super::scan::Scan;
use super::{Hit, Limits, Rule, Severity, interface, numerics, operations, scale, shapes};

type Look = fn(&Scan<'_>, &Limits) -> Vec<Hit>;

/// Id, severity, source and scope, then what it says and what to do.
const fn rule(
    (id, severity, source, scope): (&'static str, Severity, &'static str, &'static str),
    summary: &'static str,
    fix: &'static str,
    look: Look,
) -> Rule {
    Rule { id, severity, source, scope, summary, fix, look }
}

/// Every rule, by number.
#[rustfmt::skip] // one line a rule
pub static RULES: &[Rule] = &[
    rule(("C2", Refused, "RUS, AF", "M1 to M3: 16,384; M4 on: 65,536"), "axes are limited", "split the tensor, or give its parts as separate inputs", shapes::axis),
    rule(("C3", Refused, "ESP", "M3 Max"), "large programs that slice their inputs fail to compile", "halve the program, or give the parts as inputs", scale::many_operations),
    rule(("C4", Refused, "MD PR#6, IMP", "M1, M2 on some builds"), "an interface in fp32 is refused", "declare fp16, and print the verbose dialect", interface::wide_interface),
    rule(("C5", Refused, "AF", "all"), "a transpose that feeds a product fails at rank 5", "reshape to rank 4 first", shapes::rank_five_products),
    rule(("C6", Refused, "SLV, M5DOC", "M3 Pro, M5 Max"), "too many weight blobs fail to compile", "join constants, or pass them as inputs", scale::blobs),
    rule(("C7", Refused, "AF", "M1: 13; others: 15"), "wide convolution windows fail to compile", "split the window", operations::conv_width),
    rule(("C8", Refused, "MD", "M4"), "convolutions with very many input channels are refused", "use matmul", operations::conv_inputs),
    rule(("C9", Refused, "M5DOC", "M5 Max"), "convolutions with very many output channels fail", "split the output channels", operations::conv_outputs),
    rule(("C10", Wrong, "FG, IMP", "M1, M3 Max"), "a weight that is no constant is refused or silently left out", "use matmul for weights that change", operations::conv_weight),
    rule(("C11", Refused, "M5DOC, H3C, ESP", "M1 Ultra, M4, M5 Max"), "folds over channels depend on the shape", "multiply by a matrix of ones, or convolve with 1/C", operations::channel_mean),
    rule(("C12", Refused, "RUS, H3C", "M4, M3 Ultra"), "`rsqrt` right after a fold fails", "use pow(x, -0.5)", operations::root_after_fold),
    rule(("C13", Wrong, "H3S", "M3 Ultra"), "a long softmax normalises by tiles", "write maximum, subtraction, exponential, sum and division", operations::long_softmax),
    rule(("C14", Refused, "AF", "not said"), "`square` before a nonlinearity fails at some widths", "use mul(x, x)", operations::square),
    rule(("C15", Refused, "AF", "not said"), "a fold times 0 fails to compile", "leave it out", operations::fold_by_zero),
    rule(("C16", Refused, "ORI, M5DOC", "contradicted by most machines"), "joining tensors fails", "return the parts as separate outputs", operations::joins),
    rule(("C17", Wrong, "M5DOC", "M5 Max"), "`identity` as the only output gives NaN", "return what it copies", operations::identity),
    rule(("C18", Wrong, "ORI, M5DOC, FG", "26.x"), "some operations are missing or wrong", "compose them of simple ones", operations::unreliable),
    rule(("C22", Wrong, "M5DOC, FG, H3C", "M5, M3, M4"), "widths below 32 (fp16) or 16 (fp32) give zeros", "pad to 32 columns", shapes::narrow),
    rule(("C23", Wrong, "H3S, H3C", "all"), "rows that are no multiple of 64 bytes must be padded by the caller", "make widths multiples of 32", shapes::odd_width),
    rule(("C24", Wrong, "H3S, ORI, H3C, M5DOC", "all"), "inputs and outputs are bound by sorted name", "name them so that sorting keeps the order, as the builder does", interface::order),
    rule(("C25", Wrong, "H3C", "M4; contradicted on M1"), "inputs past the eighth are bound wrongly", "pack inputs, or cut the program", interface::many_inputs),
    rule(("C26", Note, "ORI, IMP", "believed to follow from C21 and C24"), "inputs of falling or outputs of rising size were reported to fail", "sort by size", interface::uniform),
    rule(("C27", Note, "MD", "contradicted by five sources"), "several inputs were reported to fail", "look at C21 and C24 first", interface::several_inputs),
    rule(("C28", Wrong, "IMP", "M1"), "inner dimensions that are no multiple of 32 give zeros", "pad to 32", shapes::inner_multiple),
    rule(("C29", Wrong, "IMP", "M1"), "broadcasting a channel of 1 is wrong", "repeat the channel", shapes::channel_of_one),
    rule(("C30", Wrong, "IMP", "M1"), "element-wise operations on many elements hang or give garbage", "cut the tensor", shapes::large_elementwise),
    rule(("C31", Wrong, "IMP", "M1"), "a `sqrt` that broadcasts computes something else", "use pow(x, 0.5)", operations::root_broadcast),
    rule(("C32", Refused, "IMP", "M1 on 26.x, verbose dialect"), "only products and element-wise operations run", "move the rest to the CPU", operations::early_chips),
    rule(("C33", Wrong, "IMP", "M1"), "some names give zeros", "rename the value", interface::reserved),
    rule(("C37", Wrong, "H3S", "M3 Ultra"), "slices at odd columns lose 1.5 to 2 % precision", "start slices at multiples of 32", shapes::slice_offsets),
    rule(("C38", Wrong, "AF", "A13, before A16"), "slices from later columns overflow past 4,094", "give the parts as inputs", shapes::wide_slices),
    rule(("C39", Wrong, "MD, ORI", "M4"), "the attention operation ignores its mask", "write attention out, the mask as addition", operations::attention_mask),
    rule(("C40", Refused, "ESP", "M3 Max; contradicted elsewhere"), "softmax over no power of two fails", "pad to one", operations::odd_softmax),
    rule(("C43", Refused, "AF", "M1, M2"), "`layer_norm` with one of gain and shift fails", "give both or none, or compose it", operations::layer_norm),
    rule(("C44", Refused, "RUS", "M3 Ultra"), "joining along the width, as rotary embeddings do, fails", "multiply by a permutation matrix", operations::wide_join),
    rule(("C45", Note, "H3C, M5DOC", "M4, M5"), "8-bit weights are proven as int8 only", "use int8", operations::quantised_weights),
    rule(("C48", Note, "RUS", "M3 Ultra"), "sums of 5,120 channels and more are several times slower", "cut the sum", shapes::wide_model),
    rule(("C52", Note, "H3S", "M3 Ultra"), "long sums lose speed and precision", "cut the inner dimension and add the parts in fp32", shapes::contraction),
    rule(("C59", Wrong, "IMP", "all"), "an fp16 epsilon below 6.1e-5 may count as 0", "use 1e-4 or more", numerics::small_epsilon),
    rule(("C60", Note, "AF", "all"), "folds of many fp16 terms are summed narrowly (section 6.1)", "multiply by a matrix of ones", numerics::narrow_sums),
    rule(("C63", Wrong, "MD, ORI, H3C", "all"), "constants must be finite", "use -65504 for what is masked", numerics::infinite),
    rule(("C68", Wrong, "M6S", "M4, M6"), "a bias below half of 2^-16 is lost", "add it element-wise", operations::conv_bias),
    rule(("C70", Note, "M6S, AF", "M4 on"), "`silu` and `gelu` come from coarse tables", "compose them of `tanh` or `exp`", operations::tables),
    rule(("C72", Refused, "M6S", "public path, M4"), "one operation outside of the limits moves the program to the CPU", "keep to floats, axes up to 65,536, sums up to 32,768", shapes::public_limits),
    rule(("C76", Note, "OSX", "public path"), "an interface in fp32 casts every tensor on every call", "declare fp16", interface::wide_interface),
    rule(("C78", Refused, "M6S", "M6"), "long chains overflow the compiler's stack", "cut the program", scale::depth),
    rule(("C79", Note, "M6S", "M6"), "many element-wise operations compile for minutes", "fewer, or on the CPU", scale::elementwise),
    rule(("C86", Note, "M6S", "M6"), "output channels are computed 256 at a time", "use multiples of 256", shapes::channel_passes),
    rule(("C89", Note, "M6S", "M4, M6"), "windows wider than 8 are rewritten with twice the weights", "use windows up to 8", operations::conv_window),
    rule(("C94", Note, "OSX", "M4 with 16 GB"), "constants beyond 1.2 GB leave the engine", "pass weights as inputs, or in 8 bits", scale::constant_bytes),
    rule(("C96", Note, "M6S", "public path, M4"), "a last operation that is element-wise may move to the CPU", "end with a product", operations::last_operation),
    rule(("C98", Note, "SLV, M6S", "M3 Pro, M6"), "hundreds of convolutions crash the compiler or fill the disk", "cut the program", scale::convolutions),
    rule(("C100", Note, "OSX", "M4"), "a convolution between transposes is slower than the product", "stay channels first, or use matmul", operations::wrapped_conv),
    rule(("C103", Note, "LNX", "not said"), "the epsilon of native norms is a floor, not a summand", "compose the norm", operations::native_norms),
    rule(("S2.4", Refused, "H3C, ORI", "all"), "every input must be used and every output depend on one", "remove it", interface::unused),
    rule(("S4.5", Refused, "AF, ORI, M5DOC", "all"), "the engine has no such operation", "do it on the CPU", operations::unreachable),
];

/// Numbers that no program shows, and why.
#[rustfmt::skip] // one line a reason
pub static UNSEEN: &[(&[u8], &str)] = &[
    (&[1, 34, 35, 41, 42, 57, 80, 81, 82, 83, 84, 90], "about processes, calls and clocks, not programs"),
    (&[19, 20, 75, 77], "refused wherever programs are made: types, constant shapes, ranks of inputs"),
    (&[21, 36, 91, 93, 102], "about the buffers that a caller binds"),
    (&[46], "merged into C8 by its source"),
    (&[47, 49, 50, 51, 53, 54, 55, 56, 85, 87, 88], "about speed: the clock's matter"),
    (&[58, 61, 62, 99], "about how to train, not about a program"),
    (&[64, 65, 66, 67, 69], "about arithmetic: the evaluator's matter, through `Arithmetic`"),
    (&[71, 73, 92, 95, 97, 101], "about Core ML's placement and loading"),
    (&[74], "states cannot be written in this language"),
];
