//! What a function of a job logs says which task it is.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use flott::prelude::*;

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
fn a_line_of_a_user_s_function_is_about_its_task() -> flott::Result<()> {
    let written = Written::default();
    let writer = written.clone();
    // A program that has set up its own logging keeps it.
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let env = StreamExecutionEnvironment::create_local_environment(Default::default());
    env.generate("numbers", Some(3), |index| index)
        .map(|number| {
            tracing::info!("saw {number}");
            number
        })
        .set_parallelism(1)
        .discard();
    env.execute("logs")?;
    let written = written.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&written);
    let line = text.lines().find(|line| line.contains("saw 2")).unwrap_or_else(|| panic!("{text}"));
    for part in ["task{job=", "vertex=\"", "map", "subtask=0 ", "attempt=0}"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let line =
        text.lines().find(|line| line.contains("FINISHED")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("job{job=") && line.contains("job_name=\"logs\""), "{line}");
    Ok(())
}
