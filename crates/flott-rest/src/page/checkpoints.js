// Checkpoints of a job: how they went, down to each subtask.

import { html, useMemo, useState } from "./vendor/preact.js";
import { usePoll } from "./api.js";
import { Chart } from "./chart.js";
import { bytes, count, duration, time } from "./format.js";
import { Badge, Empty, Facts, Table, Tabs, Waiting } from "./ui.js";

const PARTS = [
  ["overview", "Overview"],
  ["history", "History"],
  ["summary", "Summary"],
  ["configuration", "Configuration"],
];

const kinds = {
  CHECKPOINT: "aligned",
  UNALIGNED_CHECKPOINT: "unaligned",
  SAVEPOINT: "savepoint",
  SYNC_SAVEPOINT: "stop with savepoint",
};

export function Checkpoints({ job, part }) {
  const base = `#/jobs/${job.id}/checkpoints`;
  const { data, error } = usePoll(`jobs/${job.id}/checkpoints`, 1000);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`
    <${Tabs} label="Parts of the checkpoints" current=${part} tabs=${PARTS.map(([key, text]) => [key, text, `${base}/${key}`])} />
    ${part === "overview" && html`<${Overview} job=${job} stats=${data} />`}
    ${part === "history" && html`<${History} job=${job} stats=${data} />`}
    ${part === "summary" && html`<${Summary} stats=${data} />`}
    ${part === "configuration" && html`<${Configuration} id=${job.id} />`}`;
}

const Latest = ({ name, at, children, none }) => html`
  <div class="card"><span class="name">${name}</span>${at ? children : html`<p class="hint">${none}</p>`}</div>`;

function Overview({ job, stats }) {
  const { counts, latest, history } = stats;
  const drawn = useMemo(() => {
    const ended = history.filter((c) => c.status === "COMPLETED").reverse();
    return {
      times: ended.map((c) => c.trigger_timestamp),
      durations: [["duration", ended.map((c) => c.end_to_end_duration), "--chart-1"]],
      sizes: [["size", ended.map((c) => c.checkpointed_size), "--chart-2"], ["full size", ended.map((c) => c.state_size), "--chart-3"]],
    };
  }, [history]);
  if (counts.total === 0 && counts.restored === 0) {
    return html`<${Empty}>No checkpoint has been taken. Without execution.checkpointing.interval, only when you ask for it.<//>`;
  }
  const { completed, failed, savepoint, restored } = latest;
  return html`
    <${Facts} facts=${[
      ["Triggered", count(counts.total)],
      ["In progress", count(counts.in_progress)],
      ["Completed", count(counts.completed)],
      ["Failed", count(counts.failed)],
      ["Restored", count(counts.restored)],
    ]} />
    ${drawn.times.length > 1 && html`
      <div class="charts">
        <figure>
          <figcaption>End-to-end duration</figcaption>
          <${Chart} times=${drawn.times} series=${drawn.durations} format=${duration} points label="Duration of checkpoints over time" />
        </figure>
        <figure>
          <figcaption>Size: what was written, and all that it needs</figcaption>
          <${Chart} times=${drawn.times} series=${drawn.sizes} format=${bytes} points label="Size of checkpoints over time" />
        </figure>
      </div>`}
    <div class="cards">
      <${Latest} name="Latest completed" at=${completed} none="None yet.">
        <${Brief} job=${job} checkpoint=${completed} />
      <//>
      <${Latest} name="Latest failed" at=${failed} none="None.">
        <${Brief} job=${job} checkpoint=${failed} />
      <//>
      <${Latest} name="Latest savepoint" at=${savepoint} none="None.">
        <${Brief} job=${job} checkpoint=${savepoint} />
      <//>
      <${Latest} name="Latest restore" at=${restored} none="It was not restored.">
        <${Facts} facts=${restored ? [["Id", restored.id], ["At", time(restored.restore_timestamp)], restored.external_path && ["Path", html`<code>${restored.external_path}</code>`]] : []} />
      <//>
    </div>`;
}

const Brief = ({ checkpoint: c }) => c && html`
  <${Facts} facts=${[
    ["Id", c.id],
    ["Triggered", time(c.trigger_timestamp)],
    ["Duration", duration(c.end_to_end_duration)],
    ["Written", bytes(c.checkpointed_size)],
    c.external_path && ["Path", html`<code>${c.external_path}</code>`],
    c.failure_message && ["Why", c.failure_message],
  ]} />`;

function History({ job, stats }) {
  const [open, setOpen] = useState();
  if (stats.history.length === 0) return html`<${Empty}>No checkpoint is remembered.<//>`;
  const row = (c) => html`
    <tr key=${c.id}>
      <td>
        <button class="plain link" aria-expanded=${open === c.id} onClick=${() => setOpen(open === c.id ? undefined : c.id)}>
          ${open === c.id ? "▾" : "▸"} ${c.id}
        </button>
      </td>
      <td><${Badge} status=${c.status} /></td>
      <td>${kinds[c.checkpoint_type] || c.checkpoint_type}</td>
      <td class="number">${c.num_acknowledged_subtasks} of ${c.num_subtasks}</td>
      <td>${time(c.trigger_timestamp)}</td>
      <td class="number">${duration(c.end_to_end_duration)}</td>
      <td class="number">${bytes(c.checkpointed_size)}</td>
      <td class="number">${bytes(c.state_size)}</td>
      <td class="number">${bytes(c.persisted_data)}</td>
    </tr>`;
  const inner = (c) => html`
    <tr key=${`${c.id}+`} class="inner"><td colspan="9"><${Details} job=${job} id=${c.id} /></td></tr>`;
  // All rows are siblings, with nothing between them: so what is open stays as it is when a new checkpoint comes.
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="History of checkpoints">
      <table>
        <thead>
          <tr>
            <th scope="col">Id</th><th scope="col">Status</th><th scope="col">Kind</th><th scope="col" class="number">Acknowledged</th>
            <th scope="col">Triggered</th><th scope="col" class="number">Duration</th>
            <th scope="col" class="number">Written</th><th scope="col" class="number">Full size</th><th scope="col" class="number">In flight</th>
          </tr>
        </thead>
        <tbody>
          ${stats.history.flatMap((c) => (open === c.id ? [row(c), inner(c)] : [row(c)]))}
        </tbody>
      </table>
    </div>`;
}

function Details({ job, id }) {
  const [vertex, setVertex] = useState();
  const { data, error } = usePoll(`jobs/${job.id}/checkpoints/details/${id}`, 2000);
  if (!data) return html`<${Waiting} error=${error} />`;
  const rows = job.vertices.filter((v) => data.tasks[v.id]).map((v) => ({ ...data.tasks[v.id], vertex: v }));
  return html`
    <${Facts} facts=${[
      data.external_path && ["Path", html`<code>${data.external_path}</code>`],
      data.discarded && ["Kept", "no: a newer one has taken its place"],
      data.failure_message && ["Why it failed", data.failure_message],
    ]} />
    <${Table} caption=${`Vertices of checkpoint ${id}`} rows=${rows} rowKey=${(r) => r.vertex.id} empty="No vertex has a part in it." columns=${[
      ["Vertex", (r) => html`
        <button class="plain link" aria-expanded=${vertex === r.vertex.id} onClick=${() => setVertex(vertex === r.vertex.id ? undefined : r.vertex.id)}>
          ${vertex === r.vertex.id ? "▾" : "▸"} ${r.vertex.name}
        </button>`],
      ["Acknowledged", (r) => `${r.num_acknowledged_subtasks} of ${r.num_subtasks}`, "number"],
      ["Last acknowledgement", (r) => time(r.latest_ack_timestamp)],
      ["Duration", (r) => duration(r.end_to_end_duration), "number"],
      ["Written", (r) => bytes(r.checkpointed_size), "number"],
      ["Full size", (r) => bytes(r.state_size), "number"],
      ["In flight", (r) => bytes(r.persisted_data), "number"],
    ]} />
    ${vertex && html`<${Subtasks} job=${job} id=${id} vertex=${vertex} />`}`;
}

function Subtasks({ job, id, vertex }) {
  const { data, error } = usePoll(`jobs/${job.id}/checkpoints/details/${id}/subtasks/${vertex}`, 2000);
  if (!data) return html`<${Waiting} error=${error} />`;
  const done = (cell) => (t) => (t.className === "completed" ? cell(t) : "–");
  return html`
    <${Table} caption=${`Subtasks in checkpoint ${id}`} rows=${data.subtasks} rowKey=${(t) => t.index} empty="None." columns=${[
      ["#", (t) => t.index, "number"],
      ["Acknowledged", done((t) => time(t.ack_timestamp))],
      ["Duration", done((t) => duration(t.end_to_end_duration)), "number"],
      ["Written", done((t) => bytes(t.checkpointed_size)), "number"],
      ["Full size", done((t) => bytes(t.state_size)), "number"],
      ["In flight", done((t) => bytes(t.alignment.persisted)), "number"],
      ["Sync", done((t) => duration(t.checkpoint.sync)), "number"],
      ["Async", done((t) => duration(t.checkpoint.async)), "number"],
      ["Alignment", done((t) => duration(t.alignment.duration)), "number"],
      ["Start delay", done((t) => duration(t.start_delay)), "number"],
      ["Unaligned", done((t) => (t.unaligned_checkpoint ? "yes" : "no"))],
    ]} />`;
}

const STATISTICS = ["min", "avg", "max", "p50", "p90", "p95", "p99", "p999"];

function Summary({ stats }) {
  const rows = [
    ["End-to-end duration", stats.summary.end_to_end_duration, duration],
    ["Written", stats.summary.checkpointed_size, bytes],
    ["Full size", stats.summary.state_size, bytes],
    ["In flight", stats.summary.persisted_data, bytes],
  ];
  if (stats.counts.completed === 0) return html`<${Empty}>No checkpoint has completed yet.<//>`;
  return html`
    <${Table} caption="Summary" rows=${rows} rowKey=${([name]) => name} columns=${[
      ["", ([name]) => name],
      ...STATISTICS.map((name) => [name === "p999" ? "p99.9" : name, ([, all, format]) => format(Number(all[name])), "number"]),
    ]} />
    <p class="hint">Of the completed checkpoints that are remembered.</p>`;
}

function Configuration({ id }) {
  const { data: c, error } = usePoll(`jobs/${id}/checkpoints/config`, 0);
  if (!c) return html`<${Waiting} error=${error} />`;
  const yes = (value) => (value ? "yes" : "no");
  const never = c.interval > 1e15;
  return html`
    <${Facts} facts=${[
      ["Mode", c.mode.replaceAll("_", " ")],
      ["Interval", never ? "only on demand" : duration(c.interval)],
      ["Time-out", duration(c.timeout)],
      ["Least pause between", duration(c.min_pause)],
      ["At once", c.max_concurrent],
      ["Unaligned", c.unaligned_checkpoints ? (c.aligned_checkpoint_timeout > 0 ? `after ${duration(c.aligned_checkpoint_timeout)}` : "at once") : "no"],
      ["Failures tolerated", c.tolerable_failed_checkpoints],
      ["Storage", c.checkpoint_storage],
      ["State backend", c.state_backend],
      ["Kept after cancelling", c.externalization.enabled ? yes(!c.externalization.delete_on_cancellation) : "no"],
      ["After tasks have finished", yes(c.checkpoints_after_tasks_finish)],
    ]} />`;
}
