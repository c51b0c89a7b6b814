// Asks once a second and shows the answer. Whatever comes from the job goes into text nodes, never
// into markup.
"use strict";

const REFRESH_MS = 1000;
const GOOD = ["RUNNING", "FINISHED"];
const BAD = ["FAILED", "FAILING"];

const at = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function duration(ms) {
  if (ms < 1000) return `${ms} ms`;
  const s = Math.floor(ms / 1000);
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"], [s % 60, "s"]];
  const first = parts.findIndex(([value]) => value > 0);
  return parts.slice(first, first + 2).map(([value, unit]) => `${value} ${unit}`).join(" ");
}

function pause(nanos) {
  if (nanos < 1e6) return `${Math.round(nanos / 1e3)} µs`;
  return `${(nanos / 1e6).toFixed(1)} ms`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function moment(ms) {
  return new Date(ms).toLocaleString();
}

function stateClass(state) {
  return "state " + (GOOD.includes(state) ? "good" : BAD.includes(state) ? "bad" : "busy");
}

function facts(pairs) {
  return pairs.map(([name, value, wide]) => {
    const fact = element("div", undefined, wide ? "wide" : "");
    fact.append(element("dt", name), element("dd", value));
    return fact;
  });
}

// What has not changed stays, so that a selection in it stays, too.
const shown = {};
function show(id, data, build) {
  const text = JSON.stringify(data);
  if (shown[id] === text) return;
  shown[id] = text;
  at(id).replaceChildren(...build(data));
}

function vertexRow(vertex) {
  const row = element("tr");
  const number = (label, value) => {
    const cell = element("td", count.format(value), "number");
    cell.dataset.label = label;
    return cell;
  };
  const status = element("td");
  status.append(element("span", vertex.status, stateClass(vertex.status)));
  row.append(
    element("td", vertex.name),
    number("Parallelism", vertex.parallelism),
    status,
    number("In", vertex.records_in),
    number("Out", vertex.records_out),
  );
  return row;
}

function checkpointFacts(checkpoints) {
  const { last, last_failure: failure } = checkpoints;
  const pairs = [
    ["Completed", count.format(checkpoints.completed)],
    ["Failed", count.format(checkpoints.failed)],
    ["In progress", count.format(checkpoints.in_progress)],
    ["Restored", count.format(checkpoints.restored)],
  ];
  if (last) {
    pairs.push(
      ["Last", `${last.id}, ${moment(last.triggered)}`],
      ["Duration", duration(last.duration)],
      ["State", bytes(last.bytes)],
      ["Longest pause", pause(last.pause_nanos)],
    );
    if (last.location) pairs.push(["Place", last.location, true]);
  }
  if (failure) pairs.push(["Last failure", `${failure.id}, ${moment(failure.at)}: ${failure.message}`, true]);
  return facts(pairs);
}

function exceptionList(exceptions) {
  if (exceptions.length === 0) return [element("p", "None.", "none")];
  return exceptions.map((exception) => {
    const entry = element("article");
    const others = exception.others ? ` and ${exception.others} more` : "";
    entry.append(
      element("p", `${moment(exception.at)}, ${exception.task ?? "the job"}${others}`),
      element("pre", exception.message),
    );
    return entry;
  });
}

function render({ job }) {
  at("main").hidden = !job;
  if (!job) return "No job has started yet.";
  document.title = `${job.name}: ${job.status}`;
  at("name").textContent = job.name;
  at("status").textContent = job.status;
  at("status").className = stateClass(job.status);
  show("facts", [
    ["Uptime", duration(job.duration)],
    ["Restarts", count.format(job.restarts)],
    ...(job.waiting_for ? [["Waits", job.waiting_for]] : []),
    ["Started", moment(job.start)],
    ["Job", job.id, true],
  ], facts);
  show("vertices", job.vertices, (vertices) => vertices.map(vertexRow));
  show("checkpoints", job.checkpoints, checkpointFacts);
  show("exceptions", job.exceptions, exceptionList);
  return "";
}

function notify(text) {
  if (at("notice").textContent !== text) at("notice").textContent = text;
  at("notice").hidden = text === "";
}

async function refresh() {
  try {
    const answer = await fetch("page.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    notify(render(await answer.json()));
    at("main").classList.remove("stale");
  } catch {
    at("main").classList.add("stale");
    notify("No answer: the job has ended, or its process is gone. What is shown is the last that was heard.");
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
