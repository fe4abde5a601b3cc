//! The constraints, by number.

use super::Class::{Allowed, CompileError, Cost, NotModelled, RunTimeError, Warning, WrongResult};
use super::Force::{Every, Nowhere, Priced, Rule, Where};
use super::{Class, Constraint, Force, Own};
use crate::Profile;
use crate::arithmetic::{Nan, Tie, Wide};
use crate::clock::Costs;

/// A rule of the linter says the rest.
const fn rule(number: u8, class: Class, place: &'static str) -> Constraint {
    let own = Own { scope: "", says: "", way_round: "" };
    Constraint { number, class, place, force: Rule, own }
}

/// Scope, what it says, and the way round it.
const fn row(
    number: u8,
    (class, place, force): (Class, &'static str, Force),
    scope: &'static str,
    says: &'static str,
    way_round: &'static str,
) -> Constraint {
    Constraint { number, class, place, force, own: Own { scope, says, way_round } }
}

/// One that the emulator does nothing about, for a reason.
const fn none(
    number: u8,
    scope: &'static str,
    says: &'static str,
    way_round: &'static str,
    reason: &'static str,
) -> Constraint {
    row(number, (NotModelled(reason), "", Nowhere), scope, says, way_round)
}

/// Why nothing is done about Core ML.
const PUBLIC: &str = "Core ML decides or does it; the emulator is of the private framework";
/// Why nothing is done about macOS.
const SYSTEM: &str = "about macOS and its services, not about programs and requests";

fn fixed_point(profile: &Profile) -> bool {
    profile.arithmetic.accumulator == Wide::Fixed
}

fn drops_products(profile: &Profile) -> bool {
    profile.arithmetic.least_product_exponent.is_some()
}

fn numbers_only(profile: &Profile) -> bool {
    profile.arithmetic.nan == Nan::Number
}

fn ties_away(profile: &Profile) -> bool {
    profile.arithmetic.tie == Tie::Away
}

/// Where the rule about `tile` is.
fn unreliable_tile(profile: &Profile) -> bool {
    profile.rule_set().rules().any(|rule| rule.id == "C18")
}

fn any(_: &Costs) -> bool {
    true
}

fn long_waits(costs: &Costs) -> bool {
    costs.dispatch.long_wait.is_some()
}

fn governed(costs: &Costs) -> bool {
    !costs.governor.steps.is_empty()
}

const COMPILER: &str = "`emulator/compile.rs`: the program's reader";
const LINT: &str = "`lint`";
const DEFECT: &str = "`lint`, `emulator/defect.rs`";
const PRICE: &str = "`clock/dispatch.rs`";

/// One line a constraint.
#[rustfmt::skip]
pub(super) static TABLE: &[Constraint] = &[
    row(1, (RunTimeError, "`emulator/kernel.rs`; `limits.resident_programs`", Every), "all", "a process keeps at most 127 programs loaded, by another count 119", "drop kernels that are not needed, make programs larger, or procedures of one program"),
    rule(2, CompileError, LINT),
    rule(3, CompileError, LINT),
    rule(4, CompileError, LINT),
    rule(5, CompileError, LINT),
    rule(6, CompileError, LINT),
    rule(7, CompileError, LINT),
    rule(8, CompileError, LINT),
    rule(9, CompileError, LINT),
    rule(10, WrongResult, DEFECT),
    rule(11, CompileError, LINT),
    rule(12, CompileError, LINT),
    rule(13, WrongResult, "`lint`, `emulator/defect.rs`, `emulator/vector/softmax.rs`"),
    rule(14, CompileError, LINT),
    rule(15, CompileError, LINT),
    rule(16, CompileError, LINT),
    rule(17, WrongResult, DEFECT),
    rule(18, WrongResult, DEFECT),
    row(19, (CompileError, COMPILER, Every), "all", "the type that a statement declares must be the one that follows from its operands", "let the builder infer types"),
    row(20, (CompileError, COMPILER, Every), "all", "shapes must be written as constants, not computed or unpacked", "write them out"),
    row(21, (RunTimeError, "`emulator/kernel.rs`: `validate`", Every), "all", "a surface must have as many bytes as the tensor has with rows padded to 64 bytes", "ask the loaded program for the size of every symbol"),
    rule(22, WrongResult, DEFECT),
    rule(23, WrongResult, "`lint`, `engine/symbol.rs`: `RowLayout`"),
    rule(24, WrongResult, "`lint`, `emulator/compile.rs`: `symbols`"),
    rule(25, WrongResult, DEFECT),
    rule(26, Warning, LINT),
    rule(27, Warning, LINT),
    rule(28, WrongResult, DEFECT),
    rule(29, WrongResult, DEFECT),
    rule(30, WrongResult, DEFECT),
    rule(31, WrongResult, DEFECT),
    rule(32, CompileError, LINT),
    rule(33, WrongResult, DEFECT),
    row(34, (RunTimeError, "`emulator/memory.rs`", Every), "all", "a surface that the client reads while a request writes it is a race; here the request fails", "let evaluate return before reading"),
    row(35, (WrongResult, "`emulator/kernel.rs`: `validate`", Every), "all", "a request's weights buffer is ignored, and so is the procedure index of a program with one procedure", "give weights as inputs, or compile anew"),
    row(36, (RunTimeError, "`emulator/kernel.rs`: `validate`, `engine/symbol.rs`", Every), "M5 Max", "a width such as 131 fails until its rows are padded to 160", "pad rows, or make widths multiples of 32"),
    rule(37, WrongResult, DEFECT),
    rule(38, WrongResult, DEFECT),
    rule(39, WrongResult, DEFECT),
    rule(40, CompileError, LINT),
    row(41, (RunTimeError, "`emulator/fault.rs`: `Effect::Wedge`", Every), "M3 Pro, M3 Ultra, M4", "rapid compiling and running can leave a daemon that never answers again", "time-outs on every call, and stop calling after one"),
    row(42, (RunTimeError, "`emulator/kernel.rs`: `fits`", Where(unreliable_tile)), "M3 Max", "after a program with `tile` every request of the process fails", "compose `tile` of other operations; a new process helps"),
    rule(43, CompileError, LINT),
    rule(44, CompileError, LINT),
    rule(45, Warning, LINT),
    none(46, "M4", "merged into C8 by its source", "", "see C8"),
    none(47, "M4", "about 32 MB stay on the chip", "", "superseded by C86: tiles of 2 MiB are what was measured, and what the clock charges for"),
    rule(48, Warning, LINT),
    none(49, "M3 Pro", "stacked convolutions of 768 channels are slower than those of 384 to 640", "measure widths", "one report, without times from which a price could be made"),
    none(50, "M3 Ultra", "small changes of a shape can cost a factor of ten without an error", "measure the shapes that are used", "no pattern is known"),
    none(51, "M3 Ultra, M4", "a point-wise convolution is three times as fast as a product, or a product twice as fast", "measure both", "sources contradict each other; the clock charges both alike, but for the weights' way"),
    rule(52, Warning, LINT),
    row(53, (Cost, "`clock/dispatch.rs`; `dispatch.alone_ms`, `dispatch.queued_ms`", Priced(any)), "all", "every dispatch takes 0.06 to 0.2 ms beside its work", "few large programs"),
    row(54, (Cost, "`clock/dispatch.rs`; `memory.weights_gb_per_s`, `memory.activations_gb_per_s`", Priced(any)), "M5 Max", "constant weights stream about twice as fast as activations", "keep weights constant where they do not change"),
    row(55, (Cost, "`clock/dispatch.rs`; `engine.narrow_columns`", Priced(any)), "M5 Max", "rows of 1 to 32 columns take the same time", "at least 32 tokens a dispatch"),
    row(56, (Cost, "`clock/host.rs`; `host.convert_g_per_s`", Priced(any)), "M3 Ultra", "converting and packing for the engine can outweigh its work", "keep data in surfaces, in fp16"),
    none(57, "M3 Pro", "at most 127 requests are in flight", "wait for some", "an emulated request is over when its call returns, so that none are in flight"),
    row(58, (WrongResult, "`arithmetic/rounding.rs`", Every), "all", "gradients that are small in fp16 are lost", "scale the loss"),
    rule(59, WrongResult, "`lint`, `arithmetic/elementwise.rs`: `strict` alone loses them"),
    rule(60, Warning, "`lint`; summed so in `arithmetic/reduce.rs`"),
    row(61, (WrongResult, "`arithmetic/rounding.rs`", Every), "all", "a gradient of weights is rounded to fp16 as it leaves the engine", "sum gradients in fp32 on the CPU"),
    none(62, "all", "most trainers compute the loss over the vocabulary on the CPU", "", "a choice of trainers: both ways compile"),
    rule(63, WrongResult, "`lint`, `arithmetic.rs`"),
    row(64, (WrongResult, "`arithmetic/accumulator.rs`", Where(fixed_point)), "M4, M6", "sums are held in 32 bits with 16 behind the point, and partial sums from 32,768 on are infinite for good", "scale operands by powers of two; bound partial sums"),
    row(65, (WrongResult, "`arithmetic/product.rs`", Where(drops_products)), "M4, M6", "products whose exponents sum to less than -16 are dropped", "scale the loss, or every product"),
    row(66, (WrongResult, "`arithmetic/operand.rs`", Where(numbers_only)), "M4, M6", "infinities and NaN are numbers to a product: 65,536 and more", "look for large values, not for NaN"),
    row(67, (WrongResult, "`arithmetic/rounding.rs`", Where(ties_away)), "M3 on", "halfway between two fp16 values is rounded away from zero", "keep master weights in fp32"),
    rule(68, WrongResult, "`lint`, `arithmetic/accumulator.rs`"),
    row(69, (WrongResult, "`arithmetic/integer.rs`: `dot_int8`; programs unpack 8-bit weights to fp16", Where(fixed_point)), "M4, M6", "sums of 8-bit products overflow at 2^31, not at 32,768", ""),
    rule(70, Warning, "`lint`; computed so in `arithmetic/function.rs`"),
    none(71, "M4, public path", "entering the engine, changing the back end and an output cost the segmenter 0.125 ms each", "large programs", PUBLIC),
    rule(72, CompileError, LINT),
    none(73, "public path", "loading a model or planning it compiles it whole", "a time limit and a memory guard", PUBLIC),
    row(74, (CompileError, COMPILER, Every), "M4, public path", "programs that train with states do not compile", "weights as inputs"),
    row(75, (CompileError, COMPILER, Every), "public path", "an input has at least one dimension", "shape [1]"),
    rule(76, Warning, LINT),
    row(77, (CompileError, COMPILER, Every), "public path", "shapes are fixed when the program is compiled", "a program for each shape"),
    rule(78, CompileError, LINT),
    rule(79, Cost, "`lint`, `clock/compile.rs`; `compile.dual_engine`"),
    none(80, "M6", "the compiler's service runs on slow cores, and all loading waits for ever if it dies", "never kill it; keep programs small", SYSTEM),
    row(81, (Cost, "`clock/timeline.rs`: one lane for the engine", Priced(any)), "M6", "runs of one program follow one another, whatever the number of threads", "two different programs or processes use two engines, which the clock does not know"),
    row(82, (Cost, "`clock/governor.rs`; `governor.steps`", Priced(governed)), "M6", "gaps between dispatches slow the engine's clock, down to a third", "keep requests queued"),
    none(83, "M6", "an idle engine is switched off in steps, and the next call takes 9 to 60 ms", "", "once a pause: below what a prediction of training can tell"),
    row(84, (Cost, "`clock/dispatch.rs`; `dispatch.long_wait`", Priced(long_waits)), "M6", "the answer to a long dispatch comes 0.2 ms later", "spin, or keep requests queued"),
    row(85, (Cost, "`clock/dispatch.rs`; `memory.activations_gb_per_s`", Priced(any)), "M6", "inputs and outputs together move at 35 to 40 GB/s", "more tokens for each weight that is an input"),
    Constraint { force: Priced(any), ..rule(86, Cost, "`lint`, `clock/dispatch.rs`; `engine.pass_channels`, `engine.tile_bytes`, `engine.slice_bytes`") },
    row(87, (Cost, PRICE, Priced(any)), "M6", "units of the engine do not work beside each other, so that times add up", "ride element-wise work on products, or leave it to the CPU"),
    none(88, "M6", "work that is split over two engines reads weights twice, and odd counts of tiles leave one waiting", "widths with an even count of tiles", "the clock is of one engine"),
    rule(89, Warning, LINT),
    none(90, "M6", "the element-wise unit's clock lags by half a second, and falls while the GPU works", "no GPU work beside it", "the clock knows one clock of the engine, and no GPU"),
    row(91, (WrongResult, "`engine/symbol.rs`: `RowLayout`", Every), "public path", "rows of outputs are padded: 224 columns apart for a width of 200", "read rows at their stride, or make widths multiples of 32"),
    row(92, (RunTimeError, "`emulator/fault.rs`: `Effect::Fail`", Every), "public path", "what loads may still fail at its first run", "run once before relying on it"),
    none(93, "public path", "buffers that are offered for outputs may not be used", "look where the output is", PUBLIC),
    rule(94, Warning, LINT),
    none(95, "virtual machines", "there is no engine in a virtual machine", "the CPU", "the emulator is what runs there"),
    rule(96, Warning, LINT),
    none(97, "OS 27", "applications in the background may need an entitlement", "", SYSTEM),
    rule(98, Warning, LINT),
    row(99, (Allowed, "`emulator/plan.rs`", Every), "public path", "tools that quantise weights see constants only, but quantising operations run on the engine", "quantise in the program"),
    rule(100, Warning, LINT),
    none(101, "public path", "a compute plan says nothing of programs for old systems", "target macOS 15", PUBLIC),
    row(102, (Allowed, "`emulator/kernel.rs`: `run`", Every), "all", "one surface may be input and output of the same request", ""),
    rule(103, Warning, LINT),
];
