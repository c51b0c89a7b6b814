// The processes of the cluster.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { get, may, usePoll } from "./api.js";
import { bytes, count, duration, time } from "./format.js";
import { Empty, Facts, Meter, Table, Tabs, Waiting } from "./ui.js";

export function TaskManagers() {
  const { data, error } = usePoll("taskmanagers", 2000);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`
    <h1>TaskManagers</h1>
    <${Table} caption="TaskManagers" rows=${data.taskmanagers} rowKey=${(t) => t.id}
      empty="None has come. Start one with: flott taskmanager" columns=${[
        ["Name", (t) => html`<a href=${`#/taskmanagers/${encodeURIComponent(t.id)}`}>${t.id}</a>`],
        ["Slots", (t) => `${t.slotsNumber - t.freeSlots} of ${t.slotsNumber} taken`],
        ["Tasks", (t) => count(t.assignedTasks), "number"],
        ["Last heartbeat", (t) => time(t.timeSinceLastHeartbeat)],
        ["Cores", (t) => count(t.hardware.cpuCores), "number"],
        ["Memory of the machine", (t) => bytes(t.hardware.physicalMemory), "number"],
      ]} />`;
}

export function TaskManager({ id, tab, file }) {
  const base = `taskmanagers/${encodeURIComponent(id)}`;
  const { data, error } = usePoll(base, 2000);
  if (!data) return html`<h1>${id}</h1><${Waiting} error=${error} />`;
  return html`
    <h1>TaskManager ${id}</h1>
    <${Facts} facts=${[
      ["Slots", `${data.slotsNumber - data.freeSlots} of ${data.slotsNumber} taken`],
      ["Last heartbeat", time(data.timeSinceLastHeartbeat)],
      ["Cores", count(data.hardware.cpuCores)],
      ["Memory", `${bytes(data.metrics.heapUsed)} with its workers, of the machine's ${bytes(data.hardware.physicalMemory)}`],
      ["Tasks", count(data.assignedTasks)],
    ]} />
    <${Table} caption="Slots that jobs have" rows=${data.allocatedSlots.map((slot, index) => ({ ...slot, index }))}
      rowKey=${(slot) => slot.index} empty="All slots are free." columns=${[
        ["Job", (slot) => html`<a href=${`#/jobs/${slot.jobId}/overview`}><code>${slot.jobId}</code></a>`],
        ["Tasks", (slot) => count(slot.assignedTasks), "number"],
      ]} />
    <${Process} base=${base} tab=${tab} file=${file} hash=${`#/${base}`} />`;
}

export function JobManager({ tab, file }) {
  return html`
    <h1>JobManager</h1>
    <${Process} base="jobmanager" tab=${tab} file=${file} hash="#/jobmanager" configured />`;
}

function Process({ base, tab, file, hash, configured }) {
  const tabs = [
    ["metrics", "Metrics"],
    configured && may("admin") && ["configuration", "Configuration"],
    may("admin") && ["logs", "Logs"],
    may("admin") && ["threads", "Threads"],
  ].filter(Boolean);
  return html`
    <${Tabs} label="Parts of the process" current=${tab} tabs=${tabs.map(([key, text]) => [key, text, `${hash}/${key}`])} />
    <section>
      ${tab === "metrics" && html`<${Metrics} base=${base} />`}
      ${tab === "configuration" && html`<${Configuration} />`}
      ${tab === "logs" && html`<${Logs} base=${base} file=${file} hash=${hash} />`}
      ${tab === "threads" && html`<${Threads} base=${base} />`}
    </section>`;
}

function Metrics({ base }) {
  const { data: names, error: unnamed } = usePoll(`${base}/metrics`, 0);
  const path = names && names.length > 0 ? `${base}/metrics?get=${names.map(({ id }) => encodeURIComponent(id)).join(",")}` : undefined;
  const { data, error } = usePoll(path, 2000);
  if (names && names.length === 0) return html`<${Empty}>Nothing is measured.<//>`;
  if (!data) return html`<${Waiting} error=${error || unnamed} />`;
  const shown = ({ id, value }) => {
    if (/Memory|\.RSS/i.test(id)) return bytes(Number(value));
    if (/Load$/.test(id)) return html`<${Meter} name="CPU" kind="busy" value=${Number(value) * 1000} />`;
    if (/Time$/.test(id)) return duration(Number(value) / 1e6);
    return count(Number(value));
  };
  return html`
    <${Table} caption="Metrics" rows=${data} rowKey=${(m) => m.id} empty="Nothing is measured."
      columns=${[["Metric", (m) => html`<code>${m.id}</code>`], ["Value", shown, "number"]]} />`;
}

function Configuration() {
  const { data, error } = usePoll("jobmanager/config", 0);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`
    <${Table} caption="Options" rows=${data} rowKey=${(o) => o.key} empty="All options are at their defaults."
      columns=${[["Option", (o) => html`<code>${o.key}</code>`], ["Value", (o) => html`<code>${o.value}</code>`]]} />`;
}

function Logs({ base, file, hash }) {
  const { data, error } = usePoll(`${base}/logs`, 5000);
  if (!data) return html`<${Waiting} error=${error} />`;
  if (data.logs.length === 0) {
    return html`<${Empty}>It does not log to a file. "flott cluster start" makes it do so.<//>`;
  }
  return html`
    <${Table} caption="Log files" rows=${data.logs} rowKey=${(log) => log.name} columns=${[
      ["File", (log) => html`<a href=${`${hash}/logs/${encodeURIComponent(log.name)}`} aria-current=${log.name === file ? "true" : undefined}>${log.name}</a>`],
      ["Size", (log) => bytes(log.size), "number"],
      ["Changed", (log) => time(log.mtime)],
    ]} />
    ${file && html`<${Log} key=${file} path=${`${base}/logs/${encodeURIComponent(file)}`} name=${file} />`}`;
}

/** A log: its end, which goes on while it is looked at, and what is looked for in it. */
function Log({ path, name }) {
  const [text, setText] = useState();
  const [failure, setFailure] = useState();
  const [wanted, setWanted] = useState("");
  const [follow, setFollow] = useState(true);
  const box = useRef();
  useEffect(() => {
    let timer;
    let over = false;
    const look = async () => {
      try {
        if (!document.hidden) {
          const read = await get(path);
          if (!over) setText(read);
        }
      } catch (error) {
        if (!over) setFailure(error);
      }
      if (!over && follow) timer = setTimeout(look, 2000);
    };
    look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [path, follow]);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, follow]);
  if (text === undefined) return html`<${Waiting} error=${failure} />`;
  const lines = wanted ? text.split("\n").filter((line) => line.toLowerCase().includes(wanted.toLowerCase())) : text.split("\n");
  return html`
    <div class="buttons">
      <label class="field"><span>Search</span><input type="search" value=${wanted} onInput=${(event) => setWanted(event.target.value)} /></label>
      <label class="field check"><span>Follow</span><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /></label>
      <button onClick=${() => save(name, text)}>Download</button>
    </div>
    <pre class="log" ref=${box} tabindex="0" aria-label=${name}>${lines.join("\n")}</pre>
    ${wanted && html`<p class="hint">${count(lines.length)} lines.</p>`}`;
}

/** Offers what is shown as a file: a link could not say who asks. */
function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  URL.revokeObjectURL(address);
}

function Threads({ base }) {
  const { data, error } = usePoll(`${base}/thread-dump`, 0);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`<pre class="log" tabindex="0" aria-label="Threads">${data.threadInfos.map((thread) => thread.stringifiedThreadInfo).join("")}</pre>`;
}
