// What is known of one vertex: its subtasks, how they go, and where they are.

import { html, useEffect, useMemo, useState } from "./vendor/preact.js";
import { usePoll } from "./api.js";
import { Chart } from "./chart.js";
import { bytes, count, duration, lag, percent, rate, short, time, watermark } from "./format.js";
import { Badge, Empty, Facts, Meter, Table, Tabs, Waiting } from "./ui.js";

const TABS = [
  ["subtasks", "Subtasks"],
  ["metrics", "Metrics"],
  ["watermarks", "Watermarks"],
  ["taskmanagers", "TaskManagers"],
  ["accumulators", "Accumulators"],
];

export function Drawer({ job, vertex, tab, base }) {
  const path = `jobs/${job.id}/vertices/${vertex.id}`;
  const parts = { job, vertex, path };
  return html`
    <aside class="drawer card" aria-label=${`Vertex ${vertex.name}`}>
      <div class="title">
        <h2 class="long">${vertex.name}</h2>
        <a class="close" href=${base} aria-label="Close">×</a>
      </div>
      <${Facts} facts=${[
        ["Operators", html`<ol class="operators">${vertex.operators.map((o) => html`<li key=${o.uid} title=${`uid ${o.uid}`}>${o.name}</li>`)}</ol>`],
        ["Parallelism", `${vertex.parallelism} of at most ${vertex.maxParallelism}`],
        ["Tasks", Object.entries(vertex.tasks).map(([state, number]) => `${number} ${state.toLowerCase()}`).join(", ")],
      ]} />
      <${Tabs} label="Parts of the vertex" current=${tab} tabs=${TABS.map(([key, text]) => [key, text, `${base}/${vertex.id}/${key}`])} />
      ${tab === "subtasks" && html`<${Subtasks} ...${parts} />`}
      ${tab === "metrics" && html`<${Metrics} ...${parts} />`}
      ${tab === "watermarks" && html`<${Watermarks} ...${parts} />`}
      ${tab === "taskmanagers" && html`<${Places} ...${parts} />`}
      ${tab === "accumulators" && html`<${Accumulators} ...${parts} />`}
    </aside>`;
}

function Subtasks({ path, vertex }) {
  const { data, error } = usePoll(path, 1000);
  const { data: rates, error: unrated } = usePoll(`api/${path}/rates`, 1000);
  if (!data || !rates) return html`<${Waiting} error=${error || unrated} />`;
  const of = (task, name) => (rates[task.subtask] || {})[name];
  const columns = [
    ["#", (t) => t.subtask, "number"],
    ["Status", (t) => html`<${Badge} status=${t.status} />`],
    ["Busy", (t) => html`<${Meter} name="busy" kind="busy" value=${of(t, "busy") || 0} />`],
    ["Backpressured", (t) => html`<${Meter} name="backpressured" kind="pressed" value=${of(t, "backpressured") || 0} />`],
    ["Records in", (t) => html`${count(t.metrics["read-records"])}<small>${rate(vertex.isSource ? 0 : of(t, "recordsIn"))}</small>`, "number"],
    ["Records out", (t) => html`${count(t.metrics["write-records"])}<small>${rate(of(t, "recordsOut"))}</small>`, "number"],
    ["Received", (t) => bytes(t.metrics["read-bytes"]), "number"],
    ["Sent", (t) => bytes(t.metrics["write-bytes"]), "number"],
    ["Attempt", (t) => t.attempt, "number"],
    ["TaskManager", (t) => place(t["taskmanager-id"])],
    ["Started", (t) => time(t["start-time"])],
    ["Duration", (t) => duration(t.duration), "number"],
  ];
  const skew = unevenness(data.subtasks.map((t) => t.metrics[vertex.isSource ? "write-records" : "read-records"]));
  return html`
    ${skew >= 20 && html`<p class="verdict warn">Uneven: ${skew} % skew of records between the subtasks.</p>`}
    <${Table} caption="Subtasks" columns=${columns} rows=${data.subtasks} rowKey=${(t) => t.subtask} empty="No subtask." />`;
}

/** How far they are from their mean, on average, in per cent of it; as the metric skew. */
function unevenness(values) {
  const sum = values.reduce((a, b) => a + b, 0);
  if (values.length < 2 || sum < 100) return 0;
  const mean = sum / values.length;
  const deviation = values.reduce((all, value) => all + Math.abs(value - mean), 0);
  return Math.round(Math.min(100, (100 * deviation) / sum));
}

const place = (id) =>
  id === "(unassigned)" || id === "localhost"
    ? id
    : html`<a href=${`#/taskmanagers/${encodeURIComponent(id)}`}>${id}</a>`;

function Metrics({ job, vertex, path }) {
  const { data, error } = usePoll(`api/jobs/${job.id}/vertices/${vertex.id}/history`, 4000);
  const drawn = useMemo(() => {
    const points = data || [];
    const of = (name) => points.map((point) => point[name]);
    return {
      times: of("at"),
      records: [["in", vertex.isSource ? points.map(() => 0) : of("recordsIn"), "--chart-1"], ["out", of("recordsOut"), "--chart-2"]],
      time: [["busy", of("busy"), "--chart-3"], ["backpressured", of("backpressured"), "--chart-4"]],
    };
  }, [data, vertex.isSource]);
  if (!data) return html`<${Waiting} error=${error} />`;
  if (data.length < 2) return html`<${Empty}>The first points come after some seconds.<//>`;
  const last = data[data.length - 1];
  return html`
    <div class="charts">
      <figure>
        <figcaption>Records per second: ${rate(vertex.isSource ? 0 : last.recordsIn)} in, ${rate(last.recordsOut)} out</figcaption>
        <${Chart} times=${drawn.times} series=${drawn.records} format=${rate} label="Records per second over the last ten minutes" />
      </figure>
      <figure>
        <figcaption>Busiest subtask: ${percent(last.busy)} busy, ${percent(last.backpressured)} backpressured</figcaption>
        <${Chart} times=${drawn.times} series=${drawn.time} format=${percent} label="Busy and backpressured time over the last ten minutes" />
      </figure>
      <${Chosen} path=${`${path}/subtasks/metrics`} />
    </div>`;
}

const POINTS = 600;

/** Any metric of the subtasks, for as long as it is looked at. */
function Chosen({ path }) {
  const { data: names } = usePoll(path, 0);
  const [name, setName] = useState("");
  const { data } = usePoll(name ? `${path}?get=${encodeURIComponent(name)}` : undefined, 1000);
  const [points, setPoints] = useState([]);
  const choose = (event) => {
    setName(event.target.value);
    setPoints([]);
  };
  useEffect(() => {
    const own = data && data.find(({ id }) => id === name);
    if (own) setPoints((before) => [...before.slice(1 - POINTS), { ...own, at: Date.now() }]);
  }, [data, name]);
  const series = useMemo(
    () => [["max", "--chart-4"], ["avg", "--chart-1"], ["min", "--chart-2"]].map(([of, colour]) => [of, points.map((point) => point[of]), colour]),
    [points],
  );
  const times = useMemo(() => points.map((point) => point.at), [points]);
  return html`
    <figure>
      <figcaption>
        <label class="field"><span>Any other metric of its subtasks</span>
          <select value=${name} onChange=${choose}>
            <option value="">–</option>
            ${(names || []).map(({ id }) => html`<option key=${id} value=${id}>${id}</option>`)}
          </select>
        </label>
      </figcaption>
      ${points.length > 1 && html`<${Chart} times=${times} series=${series} format=${short} label=${`${name} of the subtasks since it was chosen`} />`}
      ${name && points.length < 2 && html`<p class="hint">The first points come after some seconds.</p>`}
    </figure>`;
}

function Watermarks({ job, vertex, path }) {
  const { data, error } = usePoll(vertex.isSource ? undefined : `api/${path}/rates`, 1000);
  if (vertex.isSource) return html`<${Empty}>A source makes watermarks, and receives none.<//>`;
  if (!data) return html`<${Waiting} error=${error} />`;
  const rows = data.map((own, task) => [task, own.watermark]);
  const known = rows.map(([, at]) => at).filter((at) => at !== null && at < Number.MAX_SAFE_INTEGER);
  const last = Math.max(...known);
  return html`
    <${Table} caption="Watermarks" rows=${rows} rowKey=${([task]) => task} empty="None has come yet." columns=${[
      ["#", ([task]) => task, "number"],
      ["Watermark", ([, at]) => watermark(at)],
      ["Lag", ([, at]) => lag(at, job.now), "number"],
      ["Behind the first", ([, at]) => (at !== null && known.length > 0 ? duration(Math.max(0, last - at)) : "–"), "number"],
    ]} />`;
}

function Places({ path }) {
  const { data, error } = usePoll(`${path}/taskmanagers`, 2000);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`
    <${Table} caption="TaskManagers" rows=${data.taskmanagers} rowKey=${(t) => t["taskmanager-id"]} empty="It is nowhere." columns=${[
      ["TaskManager", (t) => place(t["taskmanager-id"])],
      ["Status", (t) => html`<${Badge} status=${t.status} />`],
      ["Tasks", (t) => Object.values(t["status-counts"]).reduce((a, b) => a + b, 0), "number"],
      ["Records in", (t) => count(t.metrics["read-records"]), "number"],
      ["Records out", (t) => count(t.metrics["write-records"]), "number"],
      ["Received", (t) => bytes(t.metrics["read-bytes"]), "number"],
      ["Sent", (t) => bytes(t.metrics["write-bytes"]), "number"],
      ["Started", (t) => time(t["start-time"])],
    ]} />`;
}

function Accumulators({ path }) {
  const { data, error } = usePoll(`${path}/accumulators`, 2000);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`
    <${Table} caption="Accumulators" rows=${data["user-accumulators"]} rowKey=${(a) => a.name} columns=${[
      ["Name", (a) => a.name],
      ["Type", (a) => a.type],
      ["Value", (a) => a.value, "number"],
    ]} empty="Its functions have none." />`;
}
