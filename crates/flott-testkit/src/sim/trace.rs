//! What happened, as one number: equal seeds must give equal traces.

use std::fmt::Arguments;
use std::io::Write;

use flott_core::hash::mix;

/// The hash of everything that happened, in order; printed too, if asked for.
#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    print: bool,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Self {
        Self { print, ..Self::default() }
    }

    pub(crate) fn line(&mut self, line: Arguments<'_>) {
        let text = line.to_string();
        self.lines += 1;
        self.hash = text.bytes().fold(self.hash, |hash, byte| mix(hash ^ u64::from(byte)));
        if self.print {
            // Nothing can be done about a terminal that is gone.
            let _ = writeln!(std::io::stdout(), "{:>6} {text}", self.lines);
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}
