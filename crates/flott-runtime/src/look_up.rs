//! What somebody wants to know of the state of a task that runs.

use flott_core::{Error, ErrorKind, OperatorId, Result};
use flott_state::{StateAnswer, StateQuestion};

use crate::chain::guarded;
use crate::operator::OperatorInstance;

/// Whom to tell.
type Answer = Box<dyn FnOnce(Result<StateAnswer>) + Send>;

/// A question for the keyed state of an operator, and who wants to know. It is answered once, whatever becomes of it.
pub struct StateLookUp {
    operator: OperatorId,
    question: StateQuestion,
    answer: Option<Answer>,
}

impl StateLookUp {
    /// A question whose answer, or why there is none, is given to `answer`, on the thread that finds it.
    pub fn new(
        operator: OperatorId,
        question: StateQuestion,
        answer: impl FnOnce(Result<StateAnswer>) + Send + 'static,
    ) -> Self {
        Self { operator, question, answer: Some(Box::new(answer)) }
    }

    /// Whose state is meant.
    pub fn operator(&self) -> OperatorId {
        self.operator
    }

    /// The question.
    pub fn question(&self) -> &StateQuestion {
        &self.question
    }

    /// Answers.
    pub fn answer(mut self, result: Result<StateAnswer>) {
        self.give(result);
    }

    /// Answers if this is the operator that is meant: what goes wrong is the answer, and fails no task.
    pub(crate) fn answered_by(
        &mut self,
        instance: &OperatorInstance,
        find: impl FnOnce(&StateQuestion) -> Result<StateAnswer>,
    ) {
        if instance.id == self.operator {
            let question = &self.question;
            let found = guarded(|| find(question));
            self.give(found);
        }
    }

    fn give(&mut self, result: Result<StateAnswer>) {
        if let Some(answer) = self.answer.take() {
            answer(result);
        }
    }
}

impl Drop for StateLookUp {
    fn drop(&mut self) {
        self.give(Err(Error::new(
            ErrorKind::Cancelled,
            "the task does not run, has ended before it answered, or too much is asked of it: ask again",
        )));
    }
}
