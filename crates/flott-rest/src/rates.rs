//! How fast jobs go: counters, looked at once a second, make rates, and a history to be drawn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_control::JobStatus;
use flott_control::view::{ClusterView, JobView, SubtaskView};
use flott_core::{AttemptNumber, JobId, MonoTime, Now, TaskId, VertexId};
use serde::Serialize;

/// Rates go over so many looks back: at one a second, 5 s.
const LOOKS: usize = 6;

/// The history has a point for so many looks.
const LOOKS_PER_POINT: u64 = 4;

/// How many points a vertex's history has: 10 minutes.
const POINTS: usize = 150;

/// The rates of all jobs that run. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Rates(Arc<Mutex<Jobs>>);

#[derive(Default)]
struct Jobs {
    looks: u64,
    jobs: BTreeMap<JobId, JobRates>,
}

#[derive(Default)]
struct JobRates {
    tasks: BTreeMap<TaskId, Looks>,
    history: BTreeMap<VertexId, VecDeque<Point>>,
}

/// What a task had counted, the oldest first.
#[derive(Default)]
struct Looks {
    attempt: AttemptNumber,
    seen: VecDeque<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    at: MonoTime,
    /// In the order of [`Rate`]'s fields.
    counts: [f64; 6],
}

/// How fast a task goes, or several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rate {
    /// Records that came in, per second.
    pub(crate) records_in: f64,
    pub(crate) records_out: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
    /// Milliseconds of work per second; of several, that of the busiest.
    pub(crate) busy: f64,
    /// Milliseconds of waiting for others per second; of several, the greatest.
    pub(crate) backpressured: f64,
}

impl Rate {
    fn between(old: &Seen, new: &Seen) -> Self {
        let seconds = new.at.since(old.at).as_secs_f64().max(1e-3);
        let per_second = |index: usize| (new.counts[index] - old.counts[index]).max(0.0) / seconds;
        Self {
            records_in: per_second(0),
            records_out: per_second(1),
            bytes_in: per_second(2),
            bytes_out: per_second(3),
            busy: per_second(4).min(1000.0),
            backpressured: per_second(5).min(1000.0),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            records_in: self.records_in + other.records_in,
            records_out: self.records_out + other.records_out,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            busy: self.busy.max(other.busy),
            backpressured: self.backpressured.max(other.backpressured),
        }
    }

    /// The rest of a second.
    pub(crate) fn idle(&self) -> f64 {
        (1000.0 - self.busy - self.backpressured).max(0.0)
    }
}

/// A moment of a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Point {
    /// Milliseconds of the epoch.
    at: i64,
    records_in: f32,
    records_out: f32,
    busy: f32,
    backpressured: f32,
}

impl Seen {
    fn of(now: Now, task: &SubtaskView) -> Self {
        let metrics = &task.metrics;
        let spent = metrics.times.spent(now.mono);
        let counts = [
            metrics.records_in.get() as f64,
            metrics.records_out.get() as f64,
            metrics.bytes_in.get() as f64,
            metrics.bytes_out.get() as f64,
            spent.busy.as_secs_f64() * 1e3,
            spent.backpressured.as_secs_f64() * 1e3,
        ];
        Self { at: now.mono, counts }
    }
}

impl Rates {
    /// Takes note of what all jobs have counted. Called once a second.
    pub(crate) fn look(&self, view: &ClusterView) {
        let mut all = self.lock();
        all.looks += 1;
        let is_point = all.looks.is_multiple_of(LOOKS_PER_POINT);
        let running = || view.jobs.iter().filter(|job| counts(job));
        let is_known = |id: &JobId| running().any(|job| job.description.job == *id);
        all.jobs.retain(|id, _| is_known(id));
        for job in running() {
            let rates = all.jobs.entry(job.description.job).or_default();
            rates.look(view.now, job);
            if is_point {
                rates.draw(view.now, job);
            }
        }
    }

    /// How fast a task goes.
    pub(crate) fn of_task(&self, job: JobId, task: TaskId) -> Rate {
        self.lock().jobs.get(&job).map(|rates| rates.of_task(task)).unwrap_or_default()
    }

    /// How fast the tasks of a vertex go together.
    pub(crate) fn of_vertex(&self, job: JobId, vertex: VertexId) -> Rate {
        self.lock().jobs.get(&job).map(|rates| rates.of_vertex(vertex)).unwrap_or_default()
    }

    /// How a vertex has gone, the oldest point first.
    pub(crate) fn history(&self, job: JobId, vertex: VertexId) -> Vec<Point> {
        let all = self.lock();
        let history = all.jobs.get(&job).and_then(|rates| rates.history.get(&vertex));
        history.map(|points| points.iter().copied().collect()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is counted of a job can be compared with what was before: it is not over, and not about to be taken
/// over from another JobManager, whose counts are still to come.
pub(crate) fn counts(job: &JobView) -> bool {
    !job.status.is_terminal() && job.status != JobStatus::Reconciling
}

impl JobRates {
    fn look(&mut self, now: Now, job: &JobView) {
        for (id, task) in &job.tasks {
            let looks = self.tasks.entry(*id).or_default();
            if looks.attempt != task.attempt {
                *looks = Looks { attempt: task.attempt, seen: VecDeque::new() };
            }
            looks.seen.push_back(Seen::of(now, task));
            if looks.seen.len() > LOOKS {
                looks.seen.pop_front();
            }
        }
    }

    fn draw(&mut self, now: Now, job: &JobView) {
        for vertex in &job.description.graph.vertices {
            let rate = self.of_vertex(vertex.id);
            let points = self.history.entry(vertex.id).or_default();
            points.push_back(Point {
                at: now.wall.0,
                records_in: rate.records_in as f32,
                records_out: rate.records_out as f32,
                busy: rate.busy as f32,
                backpressured: rate.backpressured as f32,
            });
            if points.len() > POINTS {
                points.pop_front();
            }
        }
    }

    fn of_task(&self, task: TaskId) -> Rate {
        let seen = self.tasks.get(&task).map(|looks| &looks.seen);
        let ends = seen.and_then(|seen| Some((seen.front()?, seen.back()?)));
        ends.map(|(old, new)| Rate::between(old, new)).unwrap_or_default()
    }

    fn of_vertex(&self, vertex: VertexId) -> Rate {
        let task = |subtask| TaskId { vertex, subtask };
        let tasks = self.tasks.range(task(0)..=task(u32::MAX));
        tasks.map(|(id, _)| self.of_task(*id)).fold(Rate::default(), Rate::and)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing;

    fn later(mut view: ClusterView, seconds: u64) -> ClusterView {
        view.now.mono = view.now.mono.plus(Duration::from_secs(seconds));
        view.now.wall = view.now.wall.plus(Duration::from_secs(seconds));
        view
    }

    #[test]
    fn rates_go_over_the_last_seconds_and_a_vertex_adds_up_its_tasks() {
        let (view, rates) = (testing::view(), Rates::default());
        let (job, source) = (&view.jobs[0], view.jobs[0].description.graph.vertices[0].id);
        let id = job.description.job;
        for second in 0..20 {
            rates.look(&later(view.clone(), second));
            for (task, subtask) in &job.tasks {
                if task.vertex == source && second < 14 {
                    subtask.metrics.records_out.add(100);
                }
            }
        }
        assert_eq!(rates.of_vertex(id, source).records_out, 0.0, "nothing in the last 5 s");
        rates.look(&later(view.clone(), 20));
        job.tasks[&TaskId { vertex: source, subtask: 0 }].metrics.records_out.add(500);
        rates.look(&later(view.clone(), 21));
        assert_eq!(rates.of_task(id, TaskId { vertex: source, subtask: 0 }).records_out, 100.0);
        assert_eq!(rates.of_vertex(id, source).records_out, 100.0);
        let history = rates.history(id, source);
        assert_eq!(history.len(), 5);
        assert_eq!(history[1].records_out, 200.0);
    }

    #[test]
    fn a_job_that_is_taken_over_has_no_rates_before_its_counts_have_come() {
        let (view, rates) = (testing::view(), Rates::default());
        let id = view.jobs[0].description.job;
        let task = *view.jobs[0].tasks.keys().next().unwrap();
        let mut waiting = (*view.jobs[0]).clone();
        waiting.status = JobStatus::Reconciling;
        rates.look(&ClusterView { jobs: vec![Arc::new(waiting)], ..view.clone() });
        view.jobs[0].tasks[&task].metrics.records_out.add(1_000_000);
        rates.look(&later(view.clone(), 1));
        rates.look(&later(view, 2));
        assert_eq!(rates.of_task(id, task), Rate::default());
    }

    #[test]
    fn a_new_attempt_begins_anew_and_an_ended_job_is_forgotten() {
        let (view, rates) = (testing::view(), Rates::default());
        let id = view.jobs[0].description.job;
        let task = *view.jobs[0].tasks.keys().next().unwrap();
        rates.look(&view);
        view.jobs[0].tasks[&task].metrics.records_out.add(1000);
        let mut restarted = (*view.jobs[0]).clone();
        for task in restarted.tasks.values_mut() {
            task.attempt = AttemptNumber(task.attempt.0 + 1);
        }
        let restarted = ClusterView { jobs: vec![Arc::new(restarted)], ..later(view, 1) };
        rates.look(&restarted);
        assert_eq!(rates.of_task(id, task), Rate::default());
        rates.look(&ClusterView { jobs: Vec::new(), ..restarted });
        assert!(rates.lock().jobs.is_empty());
    }
}
