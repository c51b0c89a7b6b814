//! The page of results: `docs/benchmarks.md`, and its figure.

use std::fmt::Write;

use flott::Result;

use crate::growth::SizeRow;
use crate::measures::MeasureRow;
use crate::results::{Results, Row, project};

const HEAD: &str = "# Flott beside others

This page is written by `cargo xtask bench --against loop,timely,renoir,flink`. The rows of one table are of one run.

Every contestant is a process that is given the same events, and has to have the same result. It runs with so many
events and with three times as many; the difference is what an event costs, without what starting costs. CPU is that of
all threads of the process: what a shared machine does beside it counts least there. Contestants take turns; figures are
medians over the rounds, with the least and the most (queries of Nexmark: one round). The ratio says how many times as much CPU as Flott one takes;
the last column, how many times as much memory (wanted of Flink: 10).

The *loop* is what a good engineer would write by hand for just this one job, without an engine; with parallelism 2 it
has two threads that make events and two that keep sums. Flink runs in one process, with object reuse, the parallel
collector and a heap of 2 GiB (6 for ten million keys, 256 MiB when little happens), on both cores; with parallelism 1
the others are on one. What the workloads are is in `benches/contestants/README.md`.
";

/// Writes both.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(results: &Results) -> Result<()> {
    let docs = project().join("docs");
    std::fs::write(docs.join("benchmarks.md"), text(results))?;
    std::fs::write(docs.join("benchmarks.svg"), figure(&results.rows))?;
    Ok(())
}

fn cases(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.case == b.case)
}

fn text(results: &Results) -> String {
    let mut page = format!(
        "{HEAD}\nMachine: {}. Rounds: {}.\n\n![CPU per event](benchmarks.svg)\n",
        results.machine, results.rounds
    );
    for rows in cases(&results.rows) {
        let title = &rows[0].title;
        // Writing to a text does not fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| | CPU ns per event | wall ns per event | peak MiB | ratio | target | memory |\n|---|---|---|---|---|---|---|\n"
        );
        for row in rows {
            let Row { engine, cpu: [cpu, least, most], wall, peak_mib, ratio, .. } = row;
            let memory = peak_mib / rows[0].peak_mib;
            let _ = writeln!(
                page,
                "| {engine} | {cpu:.1} ({least:.1} to {most:.1}) | {wall:.1} | {peak_mib:.0} | {ratio:.2} | {} | {memory:.1} |",
                row.verdict()
            );
        }
    }
    measures(&mut page, results);
    growth(&mut page, results);
    page
}

fn measures(page: &mut String, results: &Results) {
    *page += "\n## What else a job takes\n\n| | flott | flink | ratio | target |\n|---|---|---|---|---|\n";
    for row in &results.measures {
        let number = |number: Option<f64>| number.map_or("–".to_owned(), |n| format!("{n:.2}"));
        let MeasureRow { what, flott, flink, verdict } = row;
        // Writing to a text does not fail.
        let _ = writeln!(
            page,
            "| {what} | {flott:.2} | {} | {} | {verdict} |",
            number(*flink),
            number(row.ratio())
        );
    }
}

fn growth(page: &mut String, results: &Results) {
    *page += "\n## As things grow (Flott alone)\n\nNanoseconds per event, and how many times those of the first size.\n";
    *page += "\n| | size | ns | of the first |\n|---|---|---|---|\n";
    for SizeRow { grows, size, nanos, share } in &results.growth {
        let _ = writeln!(page, "| {grows} | {size} | {nanos:.1} | {share:.2} |");
    }
}

const BAR: f64 = 14.0;
const LEFT: f64 = 70.0;
const WIDTH: f64 = 620.0;

/// Bars, one below the other, on a scale of powers of ten.
fn figure(rows: &[Row]) -> String {
    let most = rows.iter().map(|row| row.cpu[0]).fold(10.0, f64::max);
    let scale = (WIDTH - LEFT - 90.0) / most.log10();
    let (mut body, mut y) = (String::new(), 10.0);
    for rows in cases(rows) {
        y += 16.0;
        let _ =
            writeln!(body, r#"<text x="0" y="{y}" font-weight="bold">{}</text>"#, rows[0].title);
        for row in rows {
            y += BAR + 3.0;
            let cpu = row.cpu[0].max(1.0);
            let (width, base) = (cpu.log10() * scale, y - 3.0);
            let fill = if row.engine == "flott" { "#d9480f" } else { "#868e96" };
            let _ = writeln!(
                body,
                r#"<text x="0" y="{base}">{}</text><rect x="{LEFT}" y="{}" width="{width:.1}" height="{BAR}" fill="{fill}"/><text x="{:.1}" y="{base}">{cpu:.0} ns</text>"#,
                row.engine,
                y - BAR,
                LEFT + width + 5.0
            );
        }
        y += 8.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#495057\">\n{body}</svg>\n",
        y + 6.0
    )
}
