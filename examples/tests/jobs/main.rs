//! The example jobs as people run them: processes that are started, fed, watched, killed and started
//! again. `support` has the process; nothing here knows what is inside of it.

#[cfg(test)]
mod arguments;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod copy_lines;
#[cfg(test)]
mod count_window_average;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod kill_and_resume;
#[cfg(test)]
mod parse_numbers;
#[cfg(test)]
mod restart_demo;
#[cfg(test)]
mod restoring;
#[cfg(test)]
mod socket;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod support;
#[cfg(test)]
mod word_count;
#[cfg(test)]
mod word_totals;
