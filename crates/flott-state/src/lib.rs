//! (being written)
pub mod table;
pub use table::{PagedTable, TableSnapshot};
