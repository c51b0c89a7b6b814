// The job's graph: boxes that show how fast they go, and what flows between them.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { Graph as Layers, layout } from "./vendor/dagre.js";
import { rate, watermark } from "./format.js";
import { Meter } from "./ui.js";

const WIDTH = 250;
const HEIGHT = 148;

/** On a narrow screen the graph goes down, not to the right. */
const direction = () => (innerWidth < 640 ? "TB" : "LR");

/** Places of boxes and lines. The same for as long as the plan is. */
function places(vertices, edges, direction) {
  const graph = new Layers({ multigraph: true });
  graph.setGraph({ rankdir: direction, nodesep: 28, ranksep: direction === "LR" ? 72 : 44, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  vertices.forEach((vertex) => graph.setNode(vertex.id, { width: WIDTH, height: HEIGHT }));
  edges.forEach((edge, index) => graph.setEdge(edge.source, edge.target, { width: 70, height: 16, labelpos: "c" }, String(index)));
  layout(graph);
  const { width, height } = graph.graph();
  return {
    width,
    height,
    boxes: Object.fromEntries(vertices.map(({ id }) => [id, graph.node(id)])),
    lines: edges.map((edge, index) => graph.edge(edge.source, edge.target, String(index))),
  };
}

/** A smooth line through these points. */
function path(points) {
  const [first, ...others] = points;
  let text = `M${first.x},${first.y}`;
  for (let index = 0; index < others.length - 1; index += 1) {
    const [at, next] = [others[index], others[index + 1]];
    text += ` Q${at.x},${at.y} ${(at.x + next.x) / 2},${(at.y + next.y) / 2}`;
  }
  const last = others[others.length - 1];
  return `${text} L${last.x},${last.y}`;
}

/** How much of a vertex there is to worry about: its colour. */
function heat({ rate: now }) {
  if (now.backpressured > 500) return "pressed";
  if (now.busy > 900) return "hot";
  return now.busy > 500 ? "warm" : "";
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export function Graph({ job, chosen, link }) {
  const shape = JSON.stringify([job.vertices.map((v) => v.id), job.edges.map((e) => [e.source, e.target])]);
  const plan = useMemo(() => places(job.vertices, job.edges, direction()), [shape]);
  const frame = useRef();
  const world = useRef();
  const view = useRef({ x: 0, y: 0, scale: 1 });
  const [, redraw] = useState(0);

  // Moving and zooming change one transform, and draw nothing anew.
  const place = () => {
    const { x, y, scale } = view.current;
    if (world.current) world.current.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  };
  const fit = () => {
    const box = frame.current;
    if (!box) return;
    const scale = clamp(Math.min(box.clientWidth / plan.width, box.clientHeight / plan.height), 0.15, 1);
    view.current = {
      scale,
      x: Math.max(0, (box.clientWidth - plan.width * scale) / 2),
      y: Math.max(0, (box.clientHeight - plan.height * scale) / 2),
    };
    place();
  };
  useEffect(() => {
    fit();
    const resized = new ResizeObserver(fit);
    resized.observe(frame.current);
    return () => resized.disconnect();
  }, [plan]);

  const zoom = (factor, x, y) => {
    const before = view.current;
    const scale = clamp(before.scale * factor, 0.1, 2);
    const ratio = scale / before.scale;
    view.current = { scale, x: x - (x - before.x) * ratio, y: y - (y - before.y) * ratio };
    place();
  };
  const middle = () => [frame.current.clientWidth / 2, frame.current.clientHeight / 2];
  const wheel = (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = frame.current.getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event.clientX - box.left, event.clientY - box.top);
  };
  const drag = (event) => {
    if (event.button !== 0 || event.target.closest("a, button")) return;
    const start = { x: event.clientX - view.current.x, y: event.clientY - view.current.y };
    const move = (moved) => {
      view.current.x = moved.clientX - start.x;
      view.current.y = moved.clientY - start.y;
      place();
    };
    const end = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      redraw((times) => times + 1);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  };
  useEffect(() => {
    const box = frame.current;
    box.addEventListener("wheel", wheel, { passive: false });
    return () => box.removeEventListener("wheel", wheel);
  }, []);

  const height = clamp(plan.height + 8, 170, 460);
  return html`
    <div class="graph" ref=${frame} style=${{ height: `${height}px` }} onPointerDown=${drag} role="group" aria-label="Graph of the job">
      <div class="world" ref=${world} style=${{ width: `${plan.width}px`, height: `${plan.height}px` }}>
        <svg width=${plan.width} height=${plan.height} aria-hidden="true">
          <defs>
            <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
              <path d="M0,0 L8,4 L0,8 z" />
            </marker>
          </defs>
          ${plan.lines.map((line, index) => html`
            <g key=${index}>
              <path class="edge" d=${path(line.points)} marker-end="url(#arrow)" />
              <text x=${line.x} y=${line.y - 6} text-anchor="middle">${job.edges[index].ship}</text>
            </g>`)}
        </svg>
        ${job.vertices.map((vertex) => html`
          <${Box} key=${vertex.id} vertex=${vertex} at=${plan.boxes[vertex.id]} chosen=${vertex.id === chosen} href=${link(vertex.id)} />`)}
      </div>
      <div class="zoom">
        <button class="plain" aria-label="Larger" onClick=${() => zoom(1.25, ...middle())}>+</button>
        <button class="plain" aria-label="Smaller" onClick=${() => zoom(0.8, ...middle())}>−</button>
        <button class="plain" aria-label="All of it" onClick=${fit}>⤢</button>
      </div>
    </div>`;
}

const Box = ({ vertex, at, chosen, href }) => html`
  <a class=${`vertex ${heat(vertex)} ${chosen ? "chosen" : ""}`} href=${href}
    style=${{ left: `${at.x - WIDTH / 2}px`, top: `${at.y - HEIGHT / 2}px`, width: `${WIDTH}px`, height: `${HEIGHT}px` }}>
    <span class="name" title=${vertex.name}>${vertex.name}</span>
    <span class="line">
      <span class=${`dot ${vertex.status.toLowerCase()}`}></span>${vertex.status.toLowerCase()}
      <span class="right">parallelism ${vertex.parallelism}</span>
    </span>
    ${vertex.status !== "PLANNED" && html`<${Speed} vertex=${vertex} />`}
  </a>`;

const Speed = ({ vertex }) => html`
    <${Meter} name="busy" kind="busy" value=${vertex.rate.busy} />
    <${Meter} name="backpressured" kind="pressed" value=${vertex.rate.backpressured} />
    <span class="line">
      <span>${vertex.isSource ? `out ${rate(vertex.rate.recordsOut)}` : `in ${rate(vertex.rate.recordsIn)}`}</span>
      ${!vertex.isSource && vertex.watermark !== null && html`<span class="right">wm ${watermark(vertex.watermark)}</span>`}
    </span>`;
