// Numbers, times and sizes for people.

const scaled = (value, base, units, digits = 1) => {
  let unit = 0;
  let left = Math.abs(value);
  while (left >= base && unit < units.length - 1) {
    left /= base;
    unit += 1;
  }
  const text = unit === 0 || left >= 100 ? Math.round(left).toString() : left.toFixed(digits);
  return `${value < 0 ? "−" : ""}${text}${units[unit]}`;
};

/** 1,234,567 */
export const count = (value) => (value === undefined || value === null ? "–" : Math.round(value).toLocaleString("en"));

/** 1.2 M */
export const short = (value) =>
  value === undefined || value === null || value < 0 ? "–" : scaled(value, 1000, ["", " k", " M", " G", " T"]);

/** 1.2 M/s; small rates with a digit, so that slow is not still. */
export const rate = (value) => {
  if (value === undefined || value === null) return "–";
  return value > 0 && value < 10 ? `${value.toFixed(1)}/s` : `${short(value)}/s`;
};

export const bytes = (value) =>
  value === undefined || value === null || value < 0
    ? "–"
    : scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);

/** A duration in milliseconds, with its two greatest units. */
export function duration(millis) {
  if (millis === undefined || millis === null || millis < 0) return "–";
  if (millis < 1000) return `${Math.round(millis)} ms`;
  const seconds = millis / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number > 0);
  return parts.slice(first, first + 2).map(([number, unit]) => `${number} ${unit}`).join(" ");
}

const two = (number) => String(number).padStart(2, "0");

/** A moment, in the reader's time zone. */
export function time(millis) {
  if (!(millis > 0)) return "–";
  const at = new Date(millis);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Event time; the ends of time have names. */
export function watermark(millis) {
  if (millis === undefined || millis === null) return "–";
  if (millis >= Number.MAX_SAFE_INTEGER) return "end";
  if (millis < -8e15) return "none yet";
  // Small numbers are not moments: programs count event time from wherever they like.
  return millis > 1e11 ? time(millis) : count(millis);
}

/** How far event time is behind the clock; nothing if it is counted from elsewhere, or is over. */
export function lag(millis, now) {
  const isMoment = millis !== undefined && millis !== null && millis > 1e11 && millis < Number.MAX_SAFE_INTEGER;
  return isMoment ? duration(Math.max(0, now - millis)) : "–";
}

export const percent = (millisPerSecond) => `${Math.round(millisPerSecond / 10)} %`;
