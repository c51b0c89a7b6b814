//! What the job must have done, whatever went wrong: the committed output equals what follows from
//! the input alone, record by record.

use std::collections::BTreeMap;

use super::job::{Input, WINDOW};
use super::ledger::Output;
use super::scenario::Scenario;

/// Compares the committed output with what is expected, and names the first difference.
pub(crate) fn check_output(
    seed: u64,
    scenario: &Scenario,
    committed: &[Output],
) -> Result<(), String> {
    let input = Input::new(seed, scenario);
    let splits = scenario.splits.iter().sum::<u32>();
    let mut seen: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    let mut counts: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut windows: BTreeMap<(u32, i64), Vec<u64>> = BTreeMap::new();
    let mut timers: BTreeMap<u32, u64> = BTreeMap::new();
    let mut total = 0;
    for output in committed {
        match output {
            Output::Seen { split, index, key, count } => {
                *seen.entry((*split, *index)).or_default() += 1;
                counts.entry(*key).or_default().push(*count);
            }
            Output::Window { key, end, count } => {
                windows.entry((*key, *end)).or_default().push(*count);
            }
            Output::Timer { key } => *timers.entry(*key).or_default() += 1,
            Output::Total { count, .. } => total += count,
        }
    }
    let mut expected_counts: BTreeMap<u32, u64> = BTreeMap::new();
    let mut expected_windows: BTreeMap<(u32, i64), u64> = BTreeMap::new();
    for split in 0..splits {
        for index in 0..scenario.records {
            let event = input.event(split, index);
            let times = seen.remove(&(split, index)).unwrap_or(0);
            if times != 1 {
                return Err(format!(
                    "record {index} of split {split} is in the output {times} times"
                ));
            }
            *expected_counts.entry(event.key).or_default() += 1;
            let end = (event.time() / WINDOW + 1) * WINDOW - 1;
            *expected_windows.entry((event.key, end)).or_default() += 1;
        }
    }
    if let Some(((split, index), _)) = seen.pop_first() {
        return Err(format!("record {index} of split {split} was never in the input"));
    }
    for (key, expected) in &expected_counts {
        let found = counts.entry(*key).or_default();
        found.sort_unstable();
        if !found.iter().copied().eq(1..=*expected) {
            return Err(format!("key {key} was counted {found:?}, not 1 to {expected}"));
        }
        let fired = timers.remove(key).unwrap_or(0);
        if fired != 1 {
            return Err(format!("the processing-time timer of key {key} fired {fired} times"));
        }
    }
    for ((key, end), expected) in &expected_windows {
        let found = windows.remove(&(*key, *end)).unwrap_or_default();
        if found != [*expected] {
            return Err(format!(
                "the window of key {key} to {end} gave {found:?}, not [{expected}]"
            ));
        }
    }
    if let Some(((key, end), _)) = windows.pop_first() {
        return Err(format!("there is a window of key {key} to {end} that has no records"));
    }
    let passed = committed.len() as u64 - total_outputs(committed);
    if total != passed {
        return Err(format!("the totals say {total} outputs, there are {passed}"));
    }
    Ok(())
}

fn total_outputs(committed: &[Output]) -> u64 {
    committed.iter().filter(|output| matches!(output, Output::Total { .. })).count() as u64
}
