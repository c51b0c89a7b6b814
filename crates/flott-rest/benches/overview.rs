//! How long a cluster with many jobs takes to show them: 1,000 that are over and 50 that run, of 20 vertices each.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails is seen")]

#[path = "../src/testing.rs"]
mod testing;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use flott_cluster::{EmbeddedCluster, ThisProcess};
use flott_control::JobStatus;
use flott_control::view::{ClusterView, JobView};
use flott_core::{JobId, TaskId, VertexId};
use flott_rest::{Access, Server, Services, serve};

const OVER: u128 = 1000;
const RUNNING: u128 = 50;
const VERTICES: u128 = 20;

fn many() -> ClusterView {
    let view = testing::view();
    let job = |number: u128| {
        let mut job = (*view.jobs[0]).clone();
        let mut description = (*job.description).clone();
        description.job = JobId::from_u128(number);
        description.name = format!("job {number}");
        let task = job.tasks.values().next().unwrap().clone();
        let ids = (0..VERTICES).flat_map(|vertex| {
            (0..2).map(move |subtask| TaskId { vertex: VertexId::from_u128(vertex), subtask })
        });
        job.tasks = ids.map(|id| (id, task.clone())).collect();
        if number < OVER {
            job.status = JobStatus::Finished;
        }
        Arc::new(JobView { description: Arc::new(description), ..job })
    };
    ClusterView { jobs: (0..OVER + RUNNING).map(job).collect(), ..view }
}

fn ask(server: &Server, path: &str) -> usize {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap()
}

fn overview(criterion: &mut Criterion) {
    let view = many();
    let cluster = EmbeddedCluster::new();
    let services = Services {
        view: Arc::new(move || view.clone()),
        actions: Arc::new(cluster.jobs()),
        submissions: None,
        processes: Arc::new(ThisProcess { options: Vec::new() }),
        traces: None,
    };
    let server = serve("0", services, Access::default()).unwrap();
    for path in ["/overview", "/jobs/overview"] {
        assert!(ask(&server, path) > 100);
        criterion.bench_function(path, |bencher| bencher.iter(|| ask(&server, path)));
    }
}

criterion_group!(benches, overview);
criterion_main!(benches);
