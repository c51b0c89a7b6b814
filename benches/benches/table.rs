//! Micro-benchmarks of the heap backend's table.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use flott_core::hash::{mix, stable_hash};
use flott_core::{KeyGroupRange, MaxParallelism};
use flott_state::PagedTable;

const KEYS: u64 = 1_000_000;

fn filled(keys: u64) -> PagedTable<u64, u64> {
    let max = MaxParallelism::default_for(1);
    let mut table = PagedTable::new(KeyGroupRange { start: 0, end: max.get() }, max);
    for key in 0..keys {
        table.upsert(stable_hash(&key).unwrap_or_default(), key, || key);
    }
    table
}

fn table(criterion: &mut Criterion) {
    let mut table = filled(KEYS);
    let mut index = 0;
    criterion.bench_function("upsert one of a million keys", |bencher| {
        bencher.iter(|| {
            index += 1;
            let key = mix(index) % KEYS;
            *table.upsert(stable_hash(&key).unwrap_or_default(), black_box(key), || 0) += 1;
        });
    });
    for keys in [10_000, KEYS] {
        let mut table = filled(keys);
        criterion.bench_function(&format!("snapshot of {keys} keys"), |bencher| {
            bencher.iter_batched(|| (), |()| black_box(table.snapshot()), BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, table);
criterion_main!(benches);
