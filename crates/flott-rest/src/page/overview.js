// All jobs, and whether all is well.

import { html } from "./vendor/preact.js";
import { usePoll } from "./api.js";
import { count, duration, time } from "./format.js";
import { Badge, Table, Waiting } from "./ui.js";

/** How long a failure is news. */
const NEWS = 24 * 3600 * 1000;

const OVER = ["FINISHED", "FAILED", "CANCELED"];

/** What somebody wants to know first, in a sentence. */
function verdict(overview, jobs) {
  const ill = jobs.filter((job) => ["FAILING", "RESTARTING"].includes(job.state));
  const waiting = jobs.filter((job) => job.tasks.scheduled + job.tasks.created > 0 && !OVER.includes(job.state));
  if (overview.taskmanagers === 0) return ["bad", "No TaskManager has come: jobs have nowhere to run."];
  if (ill.length > 0) return ["bad", `${names(ill)} ${ill.length === 1 ? "is" : "are"} failing or restarting.`];
  if (waiting.length > 0) return ["warn", `${names(waiting)} ${waiting.length === 1 ? "waits" : "wait"} for tasks to begin.`];
  const failed = jobs.filter((job) => job.state === "FAILED" && job["end-time"] > Date.now() - NEWS);
  // Whoever has started a job again has seen that it failed.
  const lost = failed.filter((job) => !jobs.some((other) => other.name === job.name && other["start-time"] > job["start-time"]));
  if (lost.length > 0) return ["bad", `${names(lost)} ${lost.length === 1 ? "has" : "have"} failed, and not been started again.`];
  if (overview["jobs-running"] === 0) return ["idle", "Nothing is running."];
  return ["good", "All is well."];
}

const names = (jobs) => (jobs.length === 1 ? `“${jobs[0].name}”` : `${jobs.length} jobs`);

const Figure = ({ name, value, note }) => html`
  <div class="card figure"><span class="name">${name}</span><strong>${value}</strong><small>${note}</small></div>`;

const tasks = (job) => {
  const { total, ...states } = job.tasks;
  const parts = Object.entries(states).filter(([, number]) => number > 0);
  return parts.map(([state, number]) => html`
    <span key=${state} class=${`tally ${state}`} title=${`${number} ${state}`}>${number}</span>`);
};

const columns = (isOver) => [
  ["Name", (job) => html`<a href=${`#/jobs/${job.jid}/overview`}>${job.name}</a>`],
  ["Status", (job) => html`<${Badge} status=${job.state} />`],
  ["Started", (job) => time(job["start-time"])],
  ["Duration", (job) => duration(job.duration), "number"],
  isOver ? ["Ended", (job) => time(job["end-time"])] : ["Tasks", tasks, "number"],
];

export function Overview() {
  const { data: overview, error } = usePoll("overview");
  const { data: all, error: listError } = usePoll("jobs/overview");
  if (!overview || !all) return html`<${Waiting} error=${error || listError} />`;
  const jobs = [...all.jobs].sort((a, b) => b["start-time"] - a["start-time"]);
  const [kind, sentence] = verdict(overview, jobs);
  const over = jobs.filter((job) => OVER.includes(job.state));
  return html`
    <h1>Overview</h1>
    <p class=${`verdict ${kind}`} role="status">${sentence}</p>
    <div class="cards">
      <${Figure} name="Running jobs" value=${count(overview["jobs-running"])}
        note=${`${overview["jobs-finished"]} finished, ${overview["jobs-cancelled"]} cancelled, ${overview["jobs-failed"]} failed`} />
      <${Figure} name="Free slots" value=${count(overview["slots-available"])} note=${`of ${overview["slots-total"]}`} />
      <${Figure} name="TaskManagers" value=${count(overview.taskmanagers)} note=${html`<a href="#/taskmanagers">show them</a>`} />
    </div>
    <h2>Running jobs</h2>
    <${Table} caption="Running jobs" columns=${columns(false)} rowKey=${(job) => job.jid}
      rows=${jobs.filter((job) => !OVER.includes(job.state))} empty="No job runs." />
    <h2>Completed jobs</h2>
    <${Table} caption="Completed jobs" columns=${columns(true)} rowKey=${(job) => job.jid}
      rows=${over.slice(0, 200)} empty="No job has ended yet." />
    ${over.length > 200 && html`<p class="hint">The newest 200 of ${count(over.length)}.</p>`}`;
}
