// Lines over time.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import uPlot from "./vendor/uplot.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * A chart. `times` are milliseconds of the epoch; `series`: [name, values, colour variable]. `format` makes the
 * numbers beside the axis. The numbers are in tables elsewhere: `label` says what it shows to those who do not see it.
 */
export function Chart({ times, series, format, label, height = 160, points = false }) {
  const box = useRef();
  const plot = useRef();
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const change = () => setTheme((before) => before + 1);
    const media = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("themechange", change);
    media.addEventListener("change", change);
    return () => {
      removeEventListener("themechange", change);
      media.removeEventListener("change", change);
    };
  }, []);
  useEffect(() => {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const options = {
      width: box.current.clientWidth || 300,
      height,
      ms: 1,
      legend: { show: series.length > 1, live: false },
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, space: 90, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 64, values: (_, ticks) => ticks.map(format) }],
      series: [
        {},
        ...series.map(([name, , variable]) => ({
          label: name,
          stroke: colour(variable),
          width: 2,
          points: { show: points, size: 5 },
        })),
      ],
    };
    plot.current = new uPlot(options, data(times, series), box.current);
    const resized = new ResizeObserver(() => {
      const width = box.current && box.current.clientWidth;
      if (width) plot.current.setSize({ width, height });
    });
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      plot.current.destroy();
    };
  }, [theme, series.length, height]);
  useEffect(() => {
    if (plot.current) plot.current.setData(data(times, series));
  }, [times, series]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${label}></div>`;
}

const two = (number) => String(number).padStart(2, "0");

const clock = (millis) => {
  const at = new Date(millis);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
};

const data = (times, series) => [times, ...series.map(([, values]) => values)];
