// When the job and its subtasks were in which state.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { duration, time } from "./format.js";
import { Waiting } from "./ui.js";

/** From moments of entry to spans: each lasts until the next begins. */
function spans(entered, end) {
  const all = Object.entries(entered).filter(([, at]) => at > 0).sort((a, b) => a[1] - b[1]);
  return all.map(([state, at], index) => ({ state, from: at, to: index + 1 < all.length ? all[index + 1][1] : end }));
}

/** Of each status only the last entry is known: what lies before a restart is not. */
function sinceRestart(entered) {
  const restarted = Math.max(0, ...["RESTARTING", "RECONCILING"].map((status) => entered[status] || 0));
  return Object.fromEntries(Object.entries(entered).filter(([, at]) => at >= restarted));
}

const OVER = ["FINISHED", "FAILED", "CANCELED"];

const Row = ({ name, parts, from, to, small }) => html`
  <div class=${`row ${small ? "small" : ""}`}>
    <span class="name" title=${name}>${name}</span>
    <span class="track">
      ${parts.filter((part) => !OVER.includes(part.state)).map((part) => html`
        <span key=${part.state} class=${`span ${part.state.toLowerCase()}`}
          title=${`${part.state}: ${time(part.from)}, ${duration(part.to - part.from)}`}
          style=${{
            left: `${(100 * (part.from - from)) / (to - from)}%`,
            width: `${Math.max(0.2, (100 * (part.to - part.from)) / (to - from))}%`,
          }}></span>`)}
    </span>
  </div>`;

export function Timeline({ job }) {
  const [state, set] = useState({});
  const [open, setOpen] = useState();
  useEffect(() => {
    let over = false;
    const paths = job.vertices.map((vertex) => `jobs/${job.id}/vertices/${vertex.id}/subtasktimes`);
    Promise.all(paths.map(get)).then(
      (all) => over || set({ all }),
      (error) => over || set((before) => ({ ...before, error })),
    );
    return () => {
      over = true;
    };
  }, [job.id, job.restarts, job.status, Math.floor(job.now / 2000)]);
  if (!state.all) return html`<${Waiting} error=${state.error} />`;
  const end = job.end > 0 ? job.end : job.now;
  const from = job.start;
  const to = Math.max(end, from + 1);
  const ofTask = (task) => {
    const ended = OVER.map((name) => task.timestamps[name]).filter((at) => at > 0);
    return spans(task.timestamps, ended.length > 0 ? Math.max(...ended) : end);
  };
  return html`
    <div class="timeline" role="group" aria-label="Timeline">
      <${Row} name="The job" parts=${spans(sinceRestart(job.entered), end)} from=${from} to=${to} />
      ${state.all.map((vertex) => html`
        <div key=${vertex.id}>
          <button class="plain link" aria-expanded=${open === vertex.id} onClick=${() => setOpen(open === vertex.id ? undefined : vertex.id)}>
            ${open === vertex.id ? "▾" : "▸"} ${vertex.subtasks.length}
          </button>
          <${Row} name=${vertex.name} parts=${vertex.subtasks.length > 0 ? ofTask(vertex.subtasks[0]) : []} from=${from} to=${to} />
          ${open === vertex.id && vertex.subtasks.map((task) => html`
            <${Row} key=${task.subtask} small name=${`subtask ${task.subtask}, ${task.endpoint}`} parts=${ofTask(task)} from=${from} to=${to} />`)}
        </div>`)}
      <div class="axis"><span>${time(from)}</span><span>${duration(to - from)}</span><span>${time(to)}</span></div>
      <div class="key">
        ${["created", "scheduled", "deploying", "running", "restarting", "failing", "canceling"].map((name) => html`
          <span key=${name}><span class=${`swatch span ${name}`}></span>${name}</span>`)}
      </div>
    </div>`;
}
