//! Example jobs, in one binary: `cargo run --release -p flott-examples -- JOB …`.

mod copy_lines;
mod count_window_average;
mod parse_numbers;
mod restart_demo;
mod word_count;
mod word_totals;

use copy_lines::copy_lines;
use count_window_average::count_window_average;
use parse_numbers::parse_numbers;
use restart_demo::restart_demo;
use word_count::word_count;
use word_totals::word_totals;

flott::main! {
    word_totals, restart_demo, parse_numbers, count_window_average, word_count, copy_lines
}
