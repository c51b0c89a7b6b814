//! One file per verb: what the user writes, and the operator behind it.

mod collect;
mod filter;
mod flat_map;
mod map;
mod process;
mod timestamps;

pub use process::{ProcessContext, ProcessFunction};
pub use timestamps::WatermarkStrategy;
