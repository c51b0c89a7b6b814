//! What processes log, and where to: lines on stderr, as text or as JSON.
//!
//! What a task logs, also a user's function in it (with the crate `tracing`), comes with its job, vertex, subtask and
//! attempt; what a JobManager logs for a job, with that job.

use std::io::{IsTerminal, stderr};

use flott_core::{AttemptNumber, JobId};
use tracing::{Level, Span, Subscriber, info_span, warn};
use tracing_subscriber::fmt::{MakeWriter, Subscriber as Lines};

/// Logs to stderr from now on. `FLOTT_LOG` is the level (error, warn, info, which is the default, debug or trace),
/// `FLOTT_LOG_FORMAT` is text, which is the default, or json. A program that has set up its own logging keeps it.
pub fn start() {
    let level = std::env::var("FLOTT_LOG").ok().and_then(|level| level.parse().ok());
    let level = level.unwrap_or(Level::INFO);
    let format = std::env::var("FLOTT_LOG_FORMAT").unwrap_or_default();
    let is_json = format == "json";
    let started = if is_json {
        tracing::subscriber::set_global_default(json(level, stderr))
    } else {
        tracing::subscriber::set_global_default(
            Lines::builder()
                .with_writer(stderr)
                .with_target(false)
                .with_ansi(stderr().is_terminal())
                .with_max_level(level)
                .finish(),
        )
    };
    if started.is_ok() && !is_json && !["", "text"].contains(&format.as_str()) {
        warn!("FLOTT_LOG_FORMAT is \"{format}\": there are text and json.");
    }
}

/// An object a line: `timestamp`, `level`, `message`, `target`, and in `span` what it is about.
fn json(
    level: Level,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    Lines::builder()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_max_level(level)
        .finish()
}

/// What a task logs is about it.
pub(crate) fn of_task(job: JobId, vertex: &str, subtask: u32, attempt: AttemptNumber) -> Span {
    info_span!("task", %job, vertex, subtask, attempt = attempt.0)
}

/// What is logged for a job is about it.
pub(crate) fn of_job(job: JobId, name: &str) -> Span {
    info_span!("job", %job, job_name = name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use serde_json::Value;
    use tracing::info;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_an_object_that_says_what_it_is_about() {
        let written = Written::default();
        let writer = written.clone();
        tracing::subscriber::with_default(json(Level::INFO, move || writer.clone()), || {
            let job = JobId::from_u128(7);
            of_task(job, "Source: lines", 3, AttemptNumber(2))
                .in_scope(|| info!(file = "a", "read"));
            of_job(job, "words").in_scope(|| info!("runs"));
            tracing::debug!("too much");
        });
        let written = written.0.lock().unwrap();
        let lines: Vec<Value> = std::str::from_utf8(&written)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let [task, job] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(
            (&task["message"], &task["file"], &task["level"]),
            (&"read".into(), &"a".into(), &"INFO".into())
        );
        let about = &task["span"];
        assert_eq!(about["job"], JobId::from_u128(7).to_string());
        assert_eq!((&about["vertex"], &about["subtask"]), (&"Source: lines".into(), &3.into()));
        assert_eq!((&about["attempt"], &job["span"]["job_name"]), (&2.into(), &"words".into()));
        let text = std::str::from_utf8(&written).unwrap();
        assert!(text.lines().all(|line| line.matches("\"name\":").count() == 1), "{text}");
    }
}
