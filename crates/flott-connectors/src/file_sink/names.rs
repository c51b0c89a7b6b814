//! The names of parts. Every field has a fixed width and an end, so that no name is the beginning
//! of another: subtask 1 never takes a file of subtask 11 for its own (FLINK-3651).

use flott_core::hash::hash128;
use flott_datastream::OperatorInstance;

const IN_PROGRESS: &str = ".inprogress";

/// Who writes a part: the run of the sink and the subtask. A run begins with an operator of a job
/// that starts without state, and goes on in every job that starts from its checkpoints. It is part
/// of the name so that the counters of two runs never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Author {
    /// 16 hex digits.
    pub(super) run: String,
    pub(super) subtask: u32,
}

impl Author {
    pub(super) fn of(instance: &OperatorInstance) -> Self {
        let run = hash128(format!("{} {}", instance.job, instance.id).as_bytes());
        Self { run: format!("{:016x}", (run >> 64) as u64), subtask: instance.subtask }
    }
}

/// How the parts of a sink are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) prefix: String,
    pub(super) suffix: String,
}

impl Names {
    /// The final name of a part.
    pub(super) fn part(&self, author: &Author, counter: u64) -> String {
        let Self { prefix, suffix } = self;
        let Author { run, subtask } = author;
        format!("{prefix}-{run}-{subtask:05}-{counter:010}{suffix}")
    }

    /// Who wrote the part of this name, and its counter; nothing if it is no part of such a sink.
    pub(super) fn parse(&self, part: &str) -> Option<(Author, u64)> {
        let fields = part.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let fields = fields.strip_suffix(&self.suffix)?;
        let mut fields = fields.split('-');
        let (run, subtask, counter) = (fields.next()?, fields.next()?, fields.next()?);
        let is_hex = run.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if run.len() != 16 || !is_hex || fields.next().is_some() {
            return None;
        }
        let author =
            Author { run: run.to_owned(), subtask: u32::try_from(digits(subtask, 5)?).ok()? };
        Some((author, digits(counter, 10)?))
    }
}

/// What a part is called until it is committed.
pub(super) fn in_progress(part: &str) -> String {
    format!(".{part}{IN_PROGRESS}")
}

/// The final name of the part whose in-progress name this is.
pub(super) fn part_of(in_progress: &str) -> Option<&str> {
    in_progress.strip_prefix('.')?.strip_suffix(IN_PROGRESS)
}

/// A number in at least `width` digits, and exactly as [`Names::part`] writes it.
fn digits(text: &str, width: usize) -> Option<u64> {
    let number = text.parse().ok()?;
    (format!("{number:0width$}") == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(subtask: u32) -> Author {
        Author { run: "00ff00ff00ff00ff".into(), subtask }
    }

    fn names(prefix: &str, suffix: &str) -> Names {
        Names { prefix: prefix.into(), suffix: suffix.into() }
    }

    #[test]
    fn a_name_is_parsed_as_it_was_made() {
        for names in [names("part", ""), names("a-b", ".txt"), names("part", "-x")] {
            for subtask in [0, 1, 11, 111, 32767] {
                for counter in [0, 1, 10, 9_999_999_999, 10_000_000_000] {
                    let part = names.part(&author(subtask), counter);
                    assert_eq!(names.parse(&part), Some((author(subtask), counter)), "{part}");
                    assert_eq!(part_of(&in_progress(&part)), Some(part.as_str()));
                }
            }
        }
    }

    #[test]
    fn names_of_others_are_not_taken() {
        let ours = names("part", "");
        assert_eq!(ours.part(&author(1), 2), "part-00ff00ff00ff00ff-00001-0000000002");
        for other in [
            "part-00ff00ff00ff00ff-00001-0000000002.txt",
            "part-x-00ff00ff00ff00ff-00001-0000000002",
            "part-00ff00ff00ff00ff-1-0000000002",
            "part-00ff00ff00ff00ff-00001-2",
            "part-00FF00ff00ff00ff-00001-0000000002",
            "part-00ff00ff00ff00f-00001-0000000002",
            "part-00ff00ff00ff00ff-00001-+000000002",
            "part-00ff00ff00ff00ff-00001",
            "party",
            "",
        ] {
            assert_eq!(ours.parse(other), None, "{other}");
        }
    }
}
