//! Lets people write it down: the DataStream API, one file per verb, its operator included.
//!
//! A program begins with a [`StreamExecutionEnvironment`], which gives [`DataStream`]s; their verbs
//! draw boxes and arrows (`flott-plan`) and put the code behind them (`flott-runtime`'s `Program`).
//! An [`Executor`] runs it: this crate knows none.
//!
//! The names are Flink's. Sources and sinks are written against [`Source`] and [`Operator`] (or
//! [`TwoPhaseCommitSink`]); those that talk to the outside world live in `flott-connectors`.
//!
//! It may depend on the plan, on state and on the runtime. It must not know files, sockets,
//! threads, clocks or where a program runs.

mod accumulators;
mod ahead;
mod environment;
mod event_time;
mod keyed;
mod keyed_process;
mod operator_state;
mod operators;
mod outcome;
mod restart;
mod rolling;
mod stream;
mod two_phase;
mod updates;
mod window;

pub use accumulators::AccumulatorContext;
pub use environment::{
    CheckpointConfig, CheckpointSummary, Executor, JobExecutionResult, StreamExecutionEnvironment,
};
pub use flott_core::accumulator::{
    AccumulatorValue, DoubleCounter, LongCounter, LongMaximum, LongMinimum,
};
pub use flott_runtime::{
    Batch, Collector, NO_TIMESTAMP, OpenContext, Operator, OperatorInstance, OperatorParts,
    OutputTag, Source, SourceStatus, Wake,
};
pub use flott_state::{
    AggregateFunction, AggregatingState, AggregatingStateDescriptor, BroadcastState, ListState,
    ListStateDescriptor, MapState, MapStateDescriptor, OperatorListState, OperatorStateBackend,
    OperatorStateContext, Redistribution, ReducingState, ReducingStateDescriptor, StateTtlConfig,
    StateVisibility, TimerKind, TtlTimeCharacteristic, UpdateType, ValueState,
    ValueStateDescriptor,
};
pub use keyed::{Keyed, KeyedStream};
pub use keyed_process::{KeyedContext, KeyedProcessFunction, Timer};
pub use operator_state::OperatorStates;
pub use operators::{ProcessContext, ProcessFunction, WatermarkStrategy};
pub use outcome::{Fallible, Outcome, Plain};
pub use restart::RestartStrategy;
pub use stream::{DataStream, DataStreamSink};
pub use two_phase::{TwoPhaseCommitOperator, TwoPhaseCommitSink};
pub use window::{
    EventTimeSessionWindows, ProcessWindowFunction, ProcessingTimeSessionWindows,
    SlidingEventTimeWindows, SlidingProcessingTimeWindows, TimeWindow, TumblingEventTimeWindows,
    TumblingProcessingTimeWindows, WindowAssigner, WindowContext, WindowedStream,
};
