// Job binaries: uploaded, looked at, run.

import { html, useRef, useState } from "./vendor/preact.js";
import { post, remove, upload, usePoll } from "./api.js";
import { bytes, time } from "./format.js";
import { Graph } from "./graph.js";
import { Action, Empty, Field, Waiting, notify } from "./ui.js";

export function Submit() {
  const [again, setAgain] = useState(0);
  const [chosen, choose] = useState();
  const { data, error } = usePoll(`jars?${again}`, 5000);
  const known = useRef();
  known.current = data || known.current;
  const files = known.current ? known.current.files : undefined;
  const reload = () => setAgain((times) => times + 1);
  return html`
    <h1>Submit</h1>
    <${Upload} done=${(id) => {
      reload();
      choose(id);
    }} />
    <h2>Binaries</h2>
    ${!files && html`<${Waiting} error=${error} />`}
    ${files && files.length === 0 && html`<${Empty}>None yet. Upload the executable of a job: a program that calls flott::main!.<//>`}
    ${(files || []).map((file) => html`
      <${Binary} key=${file.id} file=${file} open=${chosen === file.id} toggle=${() => choose(chosen === file.id ? undefined : file.id)} reload=${reload} />`)}`;
}

function Upload({ done }) {
  const [sent, setSent] = useState();
  const send = async (file) => {
    if (!file) return;
    setSent([0, file.size, file.name]);
    try {
      const { filename } = await upload("jars/upload", "jarfile", file, (loaded, total) => setSent([loaded, total, file.name]));
      notify(`${file.name} is here.`);
      done(filename.split("/").pop());
    } catch (error) {
      notify(`${file.name}: ${error.message}`, "failed");
    }
    setSent(undefined);
  };
  const drop = (event) => {
    event.preventDefault();
    send(event.dataTransfer.files[0]);
  };
  return html`
    <div class="card upload" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
      ${sent
        ? html`<label>${sent[2]}: ${sent[0] < sent[1] ? `${bytes(sent[0])} of ${bytes(sent[1])}` : "being looked at …"}
            <progress value=${sent[0]} max=${sent[1]}></progress></label>`
        : html`<label class="file">Upload a job binary, or drop it here
            <input type="file" onChange=${(event) => send(event.target.files[0])} /></label>`}
    </div>`;
}

function Binary({ file, open, toggle, reload }) {
  return html`
    <section class="card">
      <div class="title">
        <button class="plain link" aria-expanded=${open} onClick=${toggle}>${open ? "▾" : "▸"} <strong>${file.name}</strong></button>
        <span class="hint">${time(file.uploaded)}, ${file.entry.length} ${file.entry.length === 1 ? "job" : "jobs"}</span>
        <${Action} label="Delete" kind="danger" question=${`Delete ${file.name}?`} text="Jobs that run keep their copy."
          act=${async () => {
            await remove(`jars/${encodeURIComponent(file.id)}`);
            reload();
            return `${file.name} is deleted.`;
          }} />
      </div>
      ${open && html`<${Run} file=${file} />`}
    </section>`;
}

/** Splits like a shell does, without what shells do beyond words and quotes. */
function words(text) {
  const found = text.match(/"(?:[^"\\]|\\.)*"|'[^']*'|\S+/g) || [];
  return found.map((word) => (/^".*"$/s.test(word) ? word.slice(1, -1).replace(/\\(.)/g, "$1") : word.replace(/^'(.*)'$/s, "$1")));
}

function Run({ file }) {
  const [plan, setPlan] = useState();
  const [busy, setBusy] = useState(false);
  const form = useRef();
  const request = () => {
    const values = Object.fromEntries(new FormData(form.current));
    const options = values.options.split("\n").map((line) => line.trim()).filter(Boolean);
    const pairs = options.map((line) => {
      const at = line.search(/[=:]/);
      return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    });
    return {
      entryClass: values.job || undefined,
      programArgsList: words(values.arguments),
      parallelism: values.parallelism ? Number(values.parallelism) : undefined,
      savepointPath: values.savepoint || undefined,
      allowNonRestoredState: values.allow === "on",
      flinkConfiguration: Object.fromEntries(pairs),
    };
  };
  const attempt = async (work) => {
    setBusy(true);
    try {
      await work();
    } catch (error) {
      notify(error.message, "failed");
    }
    setBusy(false);
  };
  const path = `jars/${encodeURIComponent(file.id)}`;
  const show = () => attempt(async () => setPlan(shown((await post(`${path}/plan`, request())).plan)));
  const run = (event) => {
    event.preventDefault();
    attempt(async () => {
      const { jobid } = await post(`${path}/run`, request());
      location.hash = `#/jobs/${jobid}/overview`;
    });
  };
  const jobs = file.entry.map((entry) => [entry.name, entry.description ? `${entry.name}: ${entry.description}` : entry.name]);
  return html`
    <form class="run" ref=${form} onSubmit=${run}>
      <${Field} name="job" label="Job" options=${jobs} />
      <${Field} name="parallelism" label="Parallelism" type="number" placeholder="the program's or the cluster's" />
      <${Field} name="arguments" label="Arguments" placeholder="--from 1 --to 1000" />
      <${Field} name="savepoint" label="Start from a savepoint or checkpoint" placeholder="its path" />
      <${Field} name="allow" label="Leave out state that matches no operator" type="checkbox" />
      <label class="field"><span>Options, one a line</span><textarea name="options" rows="2" placeholder="execution.checkpointing.interval: 10 s"></textarea></label>
      <div class="buttons">
        <button type="button" disabled=${busy} onClick=${show}>Show plan</button>
        <button type="submit" class="primary" disabled=${busy}>${busy ? "Working …" : "Run"}</button>
      </div>
    </form>
    ${plan && html`<${Graph} job=${plan} link=${() => "#/submit"} />`}`;
}

/** A plan as a graph that stands still. */
function shown(plan) {
  const still = { busy: 0, backpressured: 0, recordsIn: 0, recordsOut: 0 };
  const text = (description) => new DOMParser().parseFromString(description.replaceAll("<br/>", " "), "text/html").body.textContent;
  return {
    vertices: plan.nodes.map((node) => ({
      id: node.id,
      name: text(node.description).split(/\s*[:+]- /).join(" -> ").trim(),
      parallelism: node.parallelism,
      status: "PLANNED",
      isSource: !node.inputs,
      watermark: null,
      rate: still,
    })),
    edges: plan.nodes.flatMap((node) => (node.inputs || []).map((input) => ({ source: input.id, target: node.id, ship: input.ship_strategy }))),
  };
}
