//! Operator state of process functions: lists that are split or united, and broadcast state.

use flott_core::{Error, Result};
use flott_datastream::{
    BroadcastState, Collector, DataStream, OperatorListState, OperatorStates, ProcessContext,
    ProcessFunction,
};
use flott_testkit::StreamTest;

/// Which kind of state a function has.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Split,
    Union,
    Broadcast,
}

/// Remembers every number; zero asks for all of them.
#[derive(Clone)]
struct Remember {
    kind: Kind,
    list: OperatorListState<i64>,
    map: BroadcastState<i64, String>,
}

impl Remember {
    fn new(kind: Kind) -> Self {
        Self { kind, list: OperatorListState::default(), map: BroadcastState::default() }
    }
}

impl ProcessFunction<i64, (u32, Vec<i64>)> for Remember {
    fn open(&mut self, context: &mut ProcessContext<'_>) -> Result<()> {
        match self.kind {
            Kind::Split => self.list = context.operator_list_state("numbers")?,
            Kind::Union => self.list = context.union_list_state("numbers")?,
            Kind::Broadcast => self.map = context.broadcast_state("numbers")?,
        }
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<(u32, Vec<i64>)>,
    ) -> Result<()> {
        match (number, self.kind) {
            (0, Kind::Split | Kind::Union) => {
                out.collect((context.instance().subtask, self.list.get(context)?.to_vec()));
                Ok(())
            }
            (0, Kind::Broadcast) => {
                let numbers = self.map.iter(context)?.map(|(number, text)| {
                    assert_eq!(*text, number.to_string());
                    *number
                });
                let numbers = numbers.collect();
                out.collect((context.instance().subtask, numbers));
                Ok(())
            }
            (_, Kind::Split | Kind::Union) => self.list.add(context, number),
            (_, Kind::Broadcast) => self.map.put(context, number, number.to_string()),
        }
    }
}

fn test(kind: Kind, broadcast: bool) -> StreamTest<i64, (u32, Vec<i64>)> {
    StreamTest::new(move |_, numbers: DataStream<i64>| {
        let numbers = if broadcast { numbers.broadcast() } else { numbers.rebalance() };
        numbers.process(Remember::new(kind))
    })
}

/// What `after` subtasks find of the numbers 1 to 5 that `before` subtasks remembered.
fn rescaled(kind: Kind, before: u32, after: u32) -> Vec<(u32, Vec<i64>)> {
    let remember = test(kind, kind == Kind::Broadcast).parallelism(before);
    let savepoint = remember.records([1, 2, 3, 4, 5]).savepoint().unwrap();
    let ask = test(kind, true).parallelism(after).from_savepoint(&savepoint).record(0);
    let mut found = ask.run().unwrap();
    found.sort();
    found
}

#[test]
fn operator_state_survives_a_restore() {
    let test = |kind| test(kind, false).records([3, 1, 0, 2, 0]);
    test(Kind::Split).check([(0, vec![3, 1]), (0, vec![3, 1, 2])]).unwrap();
    test(Kind::Union).check([(0, vec![3, 1]), (0, vec![3, 1, 2])]).unwrap();
    test(Kind::Broadcast).check([(0, vec![1, 3]), (0, vec![1, 2, 3])]).unwrap();
}

#[test]
fn a_split_list_is_dealt_out_and_every_element_goes_to_one_subtask() {
    for (before, after) in [(1, 3), (3, 1), (2, 3), (3, 2), (2, 2)] {
        let found = rescaled(Kind::Split, before, after);
        assert_eq!(found.len(), after as usize);
        let mut all: Vec<i64> = found.iter().flat_map(|(_, numbers)| numbers.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4, 5], "from {before} to {after}");
        let most = found.iter().map(|(_, numbers)| numbers.len()).max();
        assert_eq!(most, Some(5usize.div_ceil(after as usize)), "from {before} to {after}");
    }
}

#[test]
fn of_a_union_list_every_subtask_gets_every_element() {
    for (before, after) in [(1, 1), (1, 3), (3, 1), (2, 3)] {
        for (_, mut numbers) in rescaled(Kind::Union, before, after) {
            numbers.sort_unstable();
            assert_eq!(numbers, [1, 2, 3, 4, 5], "from {before} to {after}");
        }
    }
}

#[test]
fn broadcast_state_is_the_same_in_every_subtask_old_and_new() {
    for (before, after) in [(1, 1), (1, 3), (3, 1), (2, 3)] {
        for (_, numbers) in rescaled(Kind::Broadcast, before, after) {
            assert_eq!(numbers, [1, 2, 3, 4, 5], "from {before} to {after}");
        }
    }
}

/// Keeps its number in a field, and writes it down only when it is asked to.
#[derive(Clone, Default)]
struct Total {
    total: i64,
    state: OperatorListState<i64>,
}

impl ProcessFunction<i64, i64> for Total {
    fn open(&mut self, context: &mut ProcessContext<'_>) -> Result<()> {
        self.state = context.operator_list_state("total")?;
        self.total = self.state.get(context)?.iter().sum();
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        _: &mut ProcessContext<'_>,
        out: &mut Collector<i64>,
    ) -> Result<()> {
        self.total += number;
        out.collect(self.total);
        Ok(())
    }

    fn snapshot_state(&mut self, context: &mut ProcessContext<'_>) -> Result<()> {
        // The time is that of the last batch, not the beginning of all times.
        if context.current_processing_time().0 < 0 {
            return Err(Error::invalid("there is no time at a snapshot"));
        }
        self.state.update(context, vec![self.total])
    }
}

#[test]
fn what_is_written_just_before_a_snapshot_is_in_it() {
    StreamTest::new(|_, numbers: DataStream<i64>| numbers.process(Total::default()))
        .records([1, 2, 3])
        .check([1, 3, 6])
        .unwrap();
}

#[test]
fn a_process_function_sees_timestamp_watermark_time_and_who_it_is() {
    #[derive(Clone)]
    struct Look;

    impl ProcessFunction<i64, String> for Look {
        fn process_element(
            &mut self,
            number: i64,
            context: &mut ProcessContext<'_>,
            out: &mut Collector<String>,
        ) -> Result<()> {
            let (time, watermark) = (context.timestamp(), context.current_watermark());
            let (now, own) = (context.current_processing_time(), context.instance());
            out.collect(format!(
                "{number} at {time:?}, watermark {watermark}, now {now}, {} {}/{} of {}",
                own.name, own.subtask, own.parallelism, own.max_parallelism
            ));
            Ok(())
        }
    }

    StreamTest::new(|_, numbers: DataStream<i64>| numbers.process(Look).name("look"))
        .watermark(3)
        .record_at(1, 5)
        .advance(crate::common::millis(20))
        .record(2)
        .check([
            "1 at Some(Timestamp(5)), watermark 3, now 0, look 0/1 of 128".to_owned(),
            "2 at None, watermark 3, now 20, look 0/1 of 128".to_owned(),
        ])
        .unwrap();
}
