// One job.

import { html, useMemo } from "./vendor/preact.js";
import { may, operate, patch, post, usePoll } from "./api.js";
import { Checkpoints } from "./checkpoints.js";
import { bytes, count, duration, lag, rate, time, watermark } from "./format.js";
import { Graph } from "./graph.js";
import { Timeline } from "./timeline.js";
import { Action, Badge, Empty, Facts, Meter, Table, Tabs, Waiting } from "./ui.js";
import { Drawer } from "./vertex.js";

const OVER = ["FINISHED", "FAILED", "CANCELED"];

const TABS = [
  ["overview", "Overview"],
  ["exceptions", "Exceptions"],
  ["timeline", "Timeline"],
  ["checkpoints", "Checkpoints"],
  ["configuration", "Configuration"],
];

const savepointField = {
  name: "directory",
  label: "Folder for the savepoint",
  hint: "Empty: the one of the job's options (execution.checkpointing.savepoint-dir).",
};

function Actions({ job }) {
  const base = `jobs/${job.id}`;
  const running = job.status === "RUNNING";
  const poll = (kind) => (id) => `${base}/${kind}/${id}`;
  return html`
    <div class="buttons">
      <${Action} label="Savepoint" question="Take a savepoint?" fields=${[savepointField]} disabled=${!running}
        text="The job goes on."
        act=${async ({ directory }) => {
          const body = { "target-directory": directory || null, "cancel-job": false, formatType: "CANONICAL" };
          const { location } = await operate(() => post(`${base}/savepoints`, body), poll("savepoints"));
          return `Savepoint: ${location}`;
        }} />
      <${Action} label="Checkpoint" question="Take a checkpoint now?" disabled=${!running}
        act=${async () => {
          const body = { checkpointType: "CONFIGURED" };
          const { checkpointId } = await operate(() => post(`${base}/checkpoints`, body), poll("checkpoints"));
          return `Checkpoint ${checkpointId} is complete.`;
        }} />
      <${Action} label="Stop" question="Stop the job with a savepoint?" disabled=${!running} kind="danger"
        text="It can go on from the savepoint later, also with another parallelism."
        fields=${[savepointField, {
          name: "drain",
          label: "Drain: its input ends for ever, and windows fire",
          type: "checkbox",
          hint: "Only for a job that is not to go on.",
        }]}
        act=${async ({ directory, drain }) => {
          const body = { targetDirectory: directory || null, drain: drain === "on", formatType: "CANONICAL" };
          const { location } = await operate(() => post(`${base}/stop`, body), poll("savepoints"));
          return `The job has stopped. Savepoint: ${location}`;
        }} />
      <${Action} label="Rescale" question="Go on with another parallelism?" disabled=${!running}
        text="The job stops with a savepoint, and goes on from there as a new job, with the same binary, arguments and options."
        fields=${[{ name: "parallelism", label: "Parallelism", hint: "How many subtasks its operators have, if they do not say otherwise." }, savepointField]}
        act=${async ({ parallelism, directory }) => {
          const query = new URLSearchParams({ parallelism });
          if (directory) query.set("targetDirectory", directory);
          const next = await operate(() => patch(`${base}/rescaling?${query}`), poll("rescaling"));
          location.hash = `#/jobs/${next["job-id"]}/overview`;
          return `The job goes on as ${next["job-id"]}.`;
        }} />
      <${Action} label="Cancel" question="Cancel the job?" kind="danger" disabled=${OVER.includes(job.status)}
        text="It ends without a savepoint. Retained checkpoints stay."
        act=${async () => {
          await patch(`${base}?mode=cancel`);
          return "The job is being cancelled.";
        }} />
    </div>`;
}

export function Job({ id, tab, rest }) {
  const base = `#/jobs/${id}`;
  const { data: job, error } = usePoll(`api/jobs/${id}`, 1000);
  if (!job) return html`<${Waiting} error=${error} />`;
  const over = OVER.includes(job.status);
  const facts = [
    ["Id", html`<code>${job.id}</code>`],
    ["Started", time(job.start)],
    over ? ["Ended", time(job.end)] : undefined,
    ["Duration", duration(job.duration)],
    ["Type", job.type.toLowerCase()],
    ["Restarts", count(job.restarts)],
    ["Checkpoints", html`${count(job.checkpoints.completed)} complete${job.checkpoints.failed > 0 && html`, <a href=${`${base}/checkpoints`}>${job.checkpoints.failed} failed</a>`}`],
  ];
  return html`
    <div class="title">
      <h1>${job.name} <${Badge} status=${job.status} /></h1>
      ${!over && may("deployer") && html`<${Actions} job=${job} />`}
    </div>
    <${Facts} facts=${facts} />
    ${job.waitingFor && html`<p class="verdict warn" role="status">It waits: ${job.waitingFor}</p>`}
    ${job.failure && tab === "overview" && html`
      <p class=${`verdict ${job.status === "RUNNING" || job.status === "FINISHED" ? "idle" : "bad"}`}>
        Last failure, ${time(job.failure.at)}: ${job.failure.message.split("\n")[0]} <a href=${`${base}/exceptions`}>all</a>
      </p>`}
    <${Tabs} label="Parts of the job" current=${tab} tabs=${TABS.map(([key, text]) => [key, text, `${base}/${key}`])} />
    <section>
      ${tab === "overview" && html`<${Overview} job=${job} chosen=${rest[0]} tab=${rest[1]} />`}
      ${tab === "exceptions" && html`<${Exceptions} id=${id} />`}
      ${tab === "timeline" && html`<${Timeline} job=${job} />`}
      ${tab === "checkpoints" && html`<${Checkpoints} job=${job} part=${rest[0] || "overview"} />`}
      ${tab === "configuration" && html`<${Configuration} id=${id} />`}
    </section>`;
}

function Overview({ job, chosen, tab }) {
  const base = `#/jobs/${job.id}/overview`;
  const vertex = job.vertices.find((vertex) => vertex.id === chosen);
  const columns = [
    ["Vertex", (v) => html`<a class="long" href=${`${base}/${v.id}`}>${v.name}</a>`],
    ["Status", (v) => html`<${Badge} status=${v.status} />`],
    ["Parallelism", (v) => v.parallelism, "number"],
    ["Busy", (v) => html`<${Meter} name="busy" kind="busy" value=${v.rate.busy} />`],
    ["Backpressured", (v) => html`<${Meter} name="backpressured" kind="pressed" value=${v.rate.backpressured} />`],
    ["Records in", (v) => html`${count(v.isSource ? 0 : v.recordsIn)}<small>${rate(v.isSource ? 0 : v.rate.recordsIn)}</small>`, "number"],
    ["Records out", (v) => html`${count(v.recordsOut)}<small>${rate(v.rate.recordsOut)}</small>`, "number"],
    ["Received", (v) => bytes(v.bytesIn), "number"],
    ["Sent", (v) => bytes(v.bytesOut), "number"],
    ["Watermark", (v) => (v.isSource ? "–" : watermark(v.watermark)), "number"],
    ["Lag", (v) => (v.isSource ? "–" : lag(v.watermark, job.now)), "number"],
  ];
  return html`
    <${Graph} job=${job} chosen=${chosen} link=${(vertexId) => `${base}/${vertexId}`} />
    ${vertex && html`<${Drawer} key=${vertex.id} job=${job} vertex=${vertex} tab=${tab || "subtasks"} base=${base} />`}
    <${Table} caption="Vertices" columns=${columns} rows=${job.vertices} rowKey=${(v) => v.id} empty="The job has no vertex." />`;
}

function Exceptions({ id }) {
  const { data, error } = usePoll(`jobs/${id}/exceptions?maxExceptions=20`, 2000);
  if (!data) return html`<${Waiting} error=${error} />`;
  const { entries, truncated } = data.exceptionHistory;
  if (entries.length === 0) return html`<${Empty}>Nothing has gone wrong.<//>`;
  const [root, ...older] = entries;
  return html`
    <h2>Root cause of the newest failure</h2>
    <${Failure} failure=${root} open />
    ${older.length > 0 && html`<h2>Before it</h2>`}
    ${older.map((failure) => html`<${Failure} key=${failure.timestamp} failure=${failure} />`)}
    ${truncated && html`<p class="hint">Older ones are not kept (web.exception-history-size).</p>`}`;
}

const Failure = ({ failure, open }) => html`
  <details class="card failure" open=${open}>
    <summary>
      <time>${time(failure.timestamp)}</time> <strong>${failure.exceptionName}</strong>
    </summary>
    <${Facts} facts=${[
      failure.taskName && ["Task", failure.taskName],
      failure.endpoint && ["Place", failure.taskManagerId === "(unassigned)"
        ? failure.endpoint
        : html`<a href=${`#/taskmanagers/${encodeURIComponent(failure.taskManagerId)}`}>${failure.taskManagerId}</a>`],
    ]} />
    <pre>${failure.stacktrace}</pre>
    ${(failure.concurrentExceptions || []).map((other) => html`
      <details><summary>At the same time: ${other.taskName || other.exceptionName}</summary><pre>${other.stacktrace}</pre></details>`)}
  </details>`;

function Configuration({ id }) {
  const { data, error } = usePoll(`jobs/${id}/config`, 0);
  const options = useMemo(() => Object.entries(data ? data["execution-config"]["user-config"] : {}), [data]);
  if (!data) return html`<${Waiting} error=${error} />`;
  const execution = data["execution-config"];
  return html`
    <${Facts} facts=${[
      ["Parallelism", execution["job-parallelism"]],
      ["After a failure", execution["restart-strategy"]],
    ]} />
    <${Table} caption="Options" rows=${options} empty="No option was set: all are at their defaults."
      columns=${[["Option", ([key]) => html`<code>${key}</code>`], ["Value", ([, value]) => html`<code>${value}</code>`]]} />`;
}
