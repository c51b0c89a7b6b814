//! What contestants in other packages are called with, and say in the end.

use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::events::count_and_max;

/// The workload, the number of events and that of workers.
pub fn arguments() -> (String, u64, u64) {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("WORKLOAD EVENTS WORKERS");
    let workload = next();
    let mut number = || next().parse().expect("a number");
    let (events, workers) = (number(), number());
    (workload, events, workers)
}

/// What sinks have seen.
#[derive(Default)]
pub struct Seen {
    count: AtomicU64,
    sum: AtomicU64,
    max: AtomicU64,
}

/// What one sink has seen, added to the rest when it ends.
struct Own {
    seen: Arc<Seen>,
    count: Cell<u64>,
    sum: Cell<u64>,
    max: Cell<u64>,
}

impl Own {
    fn see(&self, number: u64) {
        self.count.set(self.count.get() + 1);
        self.sum.set(self.sum.get().wrapping_add(number));
        self.max.set(self.max.get().max(number));
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.seen.count.fetch_add(self.count.get(), Ordering::Relaxed);
        self.seen.sum.fetch_add(self.sum.get(), Ordering::Relaxed);
        self.seen.max.fetch_max(self.max.get(), Ordering::Relaxed);
    }
}

#[expect(dead_code, reason = "each package takes records in one of two ways")]
impl Seen {
    fn own(self: &Arc<Self>) -> Own {
        let zero = || Cell::new(0);
        Own { seen: self.clone(), count: zero(), sum: zero(), max: zero() }
    }

    /// A sink that is shown records.
    pub fn watch<T>(self: &Arc<Self>, number: fn(&T) -> u64) -> impl FnMut(&T) + 'static
    where
        T: 'static,
    {
        let own = self.own();
        move |record| own.see(number(black_box(record)))
    }

    /// A sink that is given records, and copied for each worker.
    pub fn look<T>(self: &Arc<Self>, number: fn(&T) -> u64) -> impl Fn(T) + Clone + Send + 'static
    where
        T: 'static,
    {
        let seen = self.clone();
        let own = Copied(seen.own());
        move |record| {
            let own = &own;
            own.0.see(number(black_box(&record)));
        }
    }

    /// Prints what was computed, and how much memory that took at most.
    pub fn report(&self, workload: &str) {
        let [count, sum, max] =
            [&self.count, &self.sum, &self.max].map(|number| number.load(Ordering::SeqCst));
        let check = if workload == "W2" { count_and_max(count, max) } else { sum };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        println!("check={check} peak_kb={}", line.split_whitespace().nth(1).unwrap_or("0"));
    }
}

/// A copy begins with nothing.
struct Copied(Own);

impl Clone for Copied {
    fn clone(&self) -> Self {
        Self(self.0.seen.own())
    }
}
