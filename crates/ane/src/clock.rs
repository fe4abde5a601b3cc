//! The clock: how long a program would take on a device, and at how many joules.
//!
//! A device is a table of [`Costs`], each value with its source. A dispatch is [`Work`], read from a
//! program by [`Work::of`]; [`Costs::dispatch`] prices it, [`Costs::host`] prices what the CPU does,
//! and a [`Timeline`] adds up both with what runs beside what. [`Costs::power`] turns time and
//! arithmetic into watts. Everything here is predicted; nothing was fitted to a training run.
//!
//! The model, per dispatch: a fixed overhead; products at the array's rate, output channels in passes
//! of 256; the rest of the operations a pass each of the elementwise unit; constant weights streamed
//! beside the products; inputs and outputs moved before and after them. Units do not overlap (C87).
//!
//! ```
//! use aneal_ane::clock::{Costs, OpWork, Work};
//!
//! let costs = Costs::of("m4")?;
//! let product = OpWork::MatMul { groups: 1, m: 256, k: 512, n: 1024 };
//! let work = Work { input_bytes: 1 << 20, output_bytes: 1 << 19, ops: vec![product] };
//! let price = costs.dispatch(&work, &Default::default());
//! assert!(price.total_ms() > 0.1 && price.total_ms() < 0.3);
//! # Ok::<(), aneal_ane::clock::Error>(())
//! ```

mod compile;
mod costs;
mod dispatch;
mod error;
mod governor;
mod host;
mod power;
mod program;
mod svg;
mod timeline;
mod work;

pub use costs::{
    Comparison, CompileCosts, Costs, DispatchCosts, DualEngine, EngineCosts, HostCosts, LongWait,
    LoopRates, MemoryCosts, PowerCosts,
};
pub use dispatch::{Price, State};
pub use error::Error;
pub use governor::Governor;
pub use host::HostWork;
pub use power::{Power, Usage};
pub use timeline::{Lane, Span, SpanId, Timeline};
pub use work::{OpWork, Work};
