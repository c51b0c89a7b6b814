//! How operators run: names, uids, parallelism, chaining and slot sharing, as `explain` shows them.

use std::path::Path;

use flott_core::Result;
use flott_datastream::{Collector, DataStream, OutputTag};
use flott_testkit::StreamTest;

fn explain(verb: impl Fn(DataStream<i64>) -> DataStream<i64> + 'static) -> String {
    StreamTest::new(move |_, numbers| verb(numbers)).explain().unwrap()
}

/// The lines with this text, without what surrounds it.
fn lines<'a>(plan: &'a str, text: &str) -> Vec<&'a str> {
    plan.lines().map(str::trim).filter(|line| line.contains(text)).collect()
}

fn add(n: i64) -> i64 {
    n + 1
}

#[test]
fn a_name_is_for_people_and_derives_the_uid() {
    let plan = explain(|numbers| numbers.map(add).name("add one"));
    assert_eq!(lines(&plan, "add one").len(), 2, "{plan}");
    assert!(plan.contains("\"add one\", uid \"add one\" (derived)"), "{plan}");
    assert!(plan.contains("\"Source: script -> add one -> Sink: collect\""), "{plan}");
}

#[test]
fn a_uid_is_taken_as_it_is_and_leaves_the_name_alone() {
    let plan = explain(|numbers| numbers.map(add).uid("v1"));
    assert!(plan.contains("\"map\", uid \"v1\""), "{plan}");
    assert!(!plan.contains("\"v1\" (derived)"), "{plan}");
}

#[test]
fn parallelism_and_max_parallelism_belong_to_the_operator() {
    let plan = explain(|numbers| {
        numbers.map(add).set_parallelism(3).set_max_parallelism(12).filter(|_| true)
    });
    assert_eq!(lines(&plan, "parallelism 3, max parallelism 12").len(), 1, "{plan}");
    assert!(plan.contains("uid \"map\" (derived), max parallelism set"), "{plan}");
    assert_eq!(lines(&plan, "vertex").len(), 5, "{plan}");
}

#[test]
fn a_chain_is_broken_before_and_after_an_operator_that_does_not_chain() {
    let vertices = |verb: fn(DataStream<i64>) -> DataStream<i64>| {
        let plan = StreamTest::new(move |_, numbers: DataStream<i64>| {
            verb(numbers.map(add).name("a")).map(add).name("c")
        });
        let plan = plan.explain().unwrap();
        let names = plan.lines().filter(|line| line.starts_with("vertex"));
        names.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        vertices(|s| s.map(add).name("b")),
        ["Source: script -> a -> b -> c -> Sink: collect"]
    );
    assert_eq!(
        vertices(|s| s.map(add).name("b").disable_chaining()),
        ["Source: script -> a", "b", "c -> Sink: collect"]
    );
    assert_eq!(
        vertices(|s| s.map(add).name("b").start_new_chain()),
        ["Source: script -> a", "b -> c -> Sink: collect"]
    );
    assert_eq!(
        vertices(|s| s.map(add).name("b").slot_sharing_group("other")),
        ["Source: script -> a", "b -> c -> Sink: collect"]
    );
}

#[test]
fn a_slot_sharing_group_goes_on_downstream() {
    let plan = explain(|numbers| numbers.map(add).slot_sharing_group("heavy").filter(|_| true));
    assert_eq!(lines(&plan, "slot sharing group \"heavy\"").len(), 1, "{plan}");
    assert_eq!(lines(&plan, "slot sharing group \"default\"").len(), 1, "{plan}");
}

#[test]
fn settings_of_a_union_or_a_side_output_are_refused() {
    let union = |numbers: DataStream<i64>| numbers.clone().union([numbers]);
    let tag = OutputTag::<i64>::new("side");
    let side = move |numbers: DataStream<i64>| numbers.map(add).side_output(&tag);
    let refused = |test: StreamTest<i64, i64>| {
        let error = test.explain().unwrap_err().to_string();
        assert!(error.contains("a union or a side output is no operator"), "{error}");
        assert!(test.run().is_err());
    };
    refused(StreamTest::new(move |_, numbers| union(numbers).name("x")));
    refused(StreamTest::new(move |_, numbers| side(numbers).uid("x")));
    refused(StreamTest::new(move |_, numbers| union(numbers).set_parallelism(2)));
}

fn everything(numbers: DataStream<i64>) -> DataStream<i64> {
    let large = OutputTag::<String>::new("large");
    let to_large = large.clone();
    let split = numbers
        .rebalance()
        .flat_map(move |n: i64, out: &mut Collector<i64>| -> Result<()> {
            if n > 100 {
                out.output(&to_large, n.to_string())
            } else {
                out.collect(n)
            };
            Ok(())
        })
        .name("split")
        .set_parallelism(2);
    let large = split.side_output(&large).global().map(|text: String| text.len() as i64);
    let sums = split.key_by(|n| *n % 10).reduce(|a: &i64, b: i64| a + b).uid("sums");
    let counted = sums.union([large]).broadcast().filter(|_| true).set_parallelism(3);
    counted
        .partition_custom(|n: &i64, count| *n as u32 % count, |n| *n)
        .map(add)
        .slot_sharing_group("last")
        .set_max_parallelism(7)
}

#[test]
fn a_program_with_everything_reads_as_its_golden_file() {
    let plan = StreamTest::new(|_, numbers| everything(numbers)).parallelism(2).explain().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/golden/everything.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &plan).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(plan, golden, "UPDATE_GOLDEN=1 rewrites {}", path.display());
}

#[test]
fn a_program_with_everything_runs() {
    StreamTest::new(|_, numbers| everything(numbers))
        .parallelism(2)
        .records([1, 2, 1000])
        .check([2, 2, 2, 3, 3, 3, 5, 5, 5])
        .unwrap();
}
