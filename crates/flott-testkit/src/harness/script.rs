//! What happens in a test, and the source that plays it: replayable, with its position as state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flott_core::codec::Data;
use flott_core::element::Barrier;
use flott_core::{Now, Result, Timestamp, WallTime};
use flott_datastream::{
    Collector, OpenContext, OperatorListState, OperatorParts, Source, SourceStatus,
};
use flott_state::{OperatorStateBackend, Redistribution};

/// One thing that happens.
#[derive(Clone)]
pub(super) enum Step<T> {
    /// Something comes out of this subtask of the source.
    Input(u32, Element<T>),
    /// Time passes.
    Advance(Duration),
    /// The wall clock is set.
    SetClock(WallTime),
}

/// What comes out of a source.
#[derive(Clone)]
pub(super) enum Element<T> {
    Record(T, Timestamp),
    Watermark(Timestamp),
    /// The subtask has nothing to say for a while, or has again.
    Idle(bool),
}

/// The script, and how far its sources may play it. Clones share it.
pub(super) struct Script<T>(Arc<Mutex<Shared<T>>>);

struct Shared<T> {
    steps: Vec<Step<T>>,
    released: usize,
    ended: bool,
}

impl<T> Clone for Script<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Script<T> {
    pub(super) fn new(steps: Vec<Step<T>>) -> Self {
        Self(Arc::new(Mutex::new(Shared { steps, released: 0, ended: false })))
    }

    /// Lets the sources play all steps before `position`.
    pub(super) fn release(&self, position: usize) {
        self.lock().released = position;
    }

    /// After the last step the input ends.
    pub(super) fn end(&self) {
        let mut shared = self.lock();
        shared.released = shared.steps.len();
        shared.ended = true;
    }

    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plays the steps of one subtask.
pub(super) struct ScriptSource<T> {
    script: Script<T>,
    subtask: u32,
    /// The next step to look at.
    position: usize,
    state: Option<(OperatorStateBackend, OperatorListState<u64>)>,
    /// Whether event time has yet to be brought where it was when the snapshot was taken.
    catches_up: bool,
}

impl<T: Data> ScriptSource<T> {
    pub(super) fn new(script: Script<T>, subtask: u32) -> Self {
        Self { script, subtask, position: 0, state: None, catches_up: false }
    }

    /// Says again how far event time had come: a watermark is no state of the operators.
    fn catch_up(&self, shared: &Shared<T>, out: &mut Collector<T>) {
        for step in shared.steps.iter().take(self.position) {
            match step {
                Step::Input(subtask, Element::Watermark(time)) if *subtask == self.subtask => {
                    out.emit_watermark(*time);
                }
                Step::Input(subtask, Element::Idle(idle)) if *subtask == self.subtask => {
                    out.set_idle(*idle);
                }
                Step::Input(..) | Step::Advance(_) | Step::SetClock(_) => {}
            }
        }
    }
}

impl<T: Data> Source<T> for ScriptSource<T> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let mut state = OperatorStateBackend::new("script");
        state.restore(std::mem::take(&mut context.restored.operator_states));
        let position = state.list_state::<u64>("position", Redistribution::Split)?;
        self.position = position.get(&mut state)?.first().map_or(0, |position| *position as usize);
        self.catches_up = self.position > 0;
        self.state = Some((state, position));
        Ok(())
    }

    fn poll(&mut self, limit: usize, out: &mut Collector<T>, _: Now) -> Result<SourceStatus> {
        let script = self.script.clone();
        let shared = script.lock();
        if std::mem::take(&mut self.catches_up) {
            self.catch_up(&shared, out);
            return Ok(SourceStatus::More);
        }
        let mut records = 0;
        while let Some(step) =
            shared.steps.get(self.position).filter(|_| self.position < shared.released)
        {
            self.position += 1;
            let Step::Input(subtask, element) = step else { continue };
            if *subtask != self.subtask {
                continue;
            }
            match element {
                Element::Record(record, time) => {
                    out.collect_with_timestamp(record.clone(), *time);
                    records += 1;
                    if records == limit {
                        return Ok(SourceStatus::More);
                    }
                }
                // One of these per call: a collector holds no more.
                Element::Watermark(time) => {
                    out.emit_watermark(*time);
                    return Ok(SourceStatus::More);
                }
                Element::Idle(idle) => {
                    out.set_idle(*idle);
                    return Ok(SourceStatus::More);
                }
            }
        }
        let is_over = shared.ended && self.position >= shared.steps.len();
        Ok(if records > 0 {
            SourceStatus::More
        } else if is_over {
            SourceStatus::EndOfInput
        } else {
            SourceStatus::Idle(None)
        })
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        if let Some((state, position)) = &mut self.state {
            position.update(state, vec![self.position as u64])?;
            parts.add_operator_state(state.snapshot());
        }
        Ok(())
    }
}
