// Pieces that every page uses.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";

/** A status by its name: a colour and the word, for those who see no colours. */
export const Badge = ({ status }) => html`<span class=${`badge ${String(status).toLowerCase()}`}>${status}</span>`;

/** What is shown instead of a page's content while there is none. */
export function Waiting({ error, what = "Loading …" }) {
  if (!error) return html`<p class="empty" role="status">${what}</p>`;
  return html`<div class="empty failed" role="alert"><strong>${title(error)}</strong><span>${error.message}</span></div>`;
}

const title = (error) => (error.status === 404 ? "Not found" : error.status === 0 ? "Disconnected" : "This did not work");

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** Names and values. */
export const Facts = ({ facts }) => html`
  <dl class="facts">
    ${facts.filter(Boolean).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;

/** Tabs that are links: they can be opened anew and come back with "back". */
export const Tabs = ({ tabs, current, label }) => html`
  <nav class="tabs" aria-label=${label}>
    ${tabs.map(([key, text, href]) => html`
      <a key=${key} href=${href} aria-current=${key === current ? "page" : undefined}>${text}</a>`)}
  </nav>`;

/** A table. Columns: [title, cell of a row, class]. */
export const Table = ({ columns, rows, rowKey, empty, caption }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <thead><tr>${columns.map(([name, , kind]) => html`<th scope="col" class=${kind}>${name}</th>`)}</tr></thead>
      <tbody>
        ${rows.length === 0 && html`<tr><td class="none" colspan=${columns.length}>${empty}</td></tr>`}
        ${rows.map((row, index) => html`
          <tr key=${rowKey ? rowKey(row) : index}>
            ${columns.map(([, cell, kind]) => html`<td class=${kind}>${cell(row)}</td>`)}
          </tr>`)}
      </tbody>
    </table>
  </div>`;

/** A share of a second in per cent: a bar and its number. */
export const Meter = ({ name, value, kind }) => html`
  <span class="meter ${kind}" title=${`${name}: ${Math.round(value / 10)} %`}>
    <span class="name">${name}</span>
    <span class="track"><span style=${{ width: `${Math.min(100, value / 10)}%` }}></span></span>
    <span class="figure">${Math.round(value / 10)} %</span>
  </span>`;

let say = () => {};

/** Tells people, also those who listen, what became of what they did. */
export const notify = (text, kind = "done") => say({ text, kind, at: Date.now() });

export function Notices() {
  const [notices, set] = useState([]);
  say = (notice) => {
    set((all) => [...all, notice]);
    if (notice.kind === "done") setTimeout(() => set((all) => all.filter((other) => other !== notice)), 8000);
  };
  const close = (notice) => set((all) => all.filter((other) => other !== notice));
  return html`
    <div class="notices" role="status" aria-live="polite">
      ${notices.map((notice) => html`
        <div class=${`notice ${notice.kind}`} key=${notice.at}>
          <span>${notice.text}</span>
          <button class="plain" aria-label="Close" onClick=${() => close(notice)}>×</button>
        </div>`)}
    </div>`;
}

/**
 * A button that asks before it acts. `fields` are inputs: {name, label, value, type, hint}; `act` gets their values.
 */
export function Action({ label, question, text, fields = [], kind = "", act, disabled }) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const dialog = useRef();
  useEffect(() => {
    if (open && dialog.current && !dialog.current.open) dialog.current.showModal();
  }, [open]);
  const submit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    setOpen(false);
    setBusy(true);
    try {
      const done = await act(values);
      if (done) notify(done);
    } catch (error) {
      notify(`${label}: ${error.message}`, "failed");
    }
    setBusy(false);
  };
  const dialogBox = open && html`
    <dialog ref=${dialog} onClose=${() => setOpen(false)} aria-labelledby="question">
      <form onSubmit=${submit}>
        <h2 id="question">${question}</h2>
        ${text && html`<p>${text}</p>`}
        ${fields.map((field) => html`<${Field} key=${field.name} ...${field} />`)}
        <div class="buttons">
          <button type="button" onClick=${() => setOpen(false)}>Back</button>
          <button type="submit" class=${kind || "primary"} autofocus>${label}</button>
        </div>
      </form>
    </dialog>`;
  return html`
    <button class=${kind} disabled=${disabled || busy} onClick=${() => setOpen(true)}>${busy ? `${label} …` : label}</button>
    ${dialogBox}`;
}

/** An input with its label. */
export const Field = ({ name, label, value, type = "text", hint, placeholder, options }) => html`
  <label class=${type === "checkbox" ? "field check" : "field"}>
    <span>${label}</span>
    ${options
      ? html`<select name=${name}>${options.map(([key, text]) => html`<option value=${key}>${text}</option>`)}</select>`
      : html`<input name=${name} type=${type} value=${type === "checkbox" ? undefined : value}
          checked=${type === "checkbox" ? value : undefined} placeholder=${placeholder} />`}
    ${hint && html`<small>${hint}</small>`}
  </label>`;
