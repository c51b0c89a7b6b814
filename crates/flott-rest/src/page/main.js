// The frame of the dashboard: which address shows which page.

import { html, render, useEffect, useState } from "./vendor/preact.js";
import { may, setRole, setToken, useConnected, usePoll, useRefused } from "./api.js";
import { Job } from "./job.js";
import { JobManager, TaskManager, TaskManagers } from "./machines.js";
import { Overview } from "./overview.js";
import { Submit } from "./submit.js";
import { Empty, Field, Notices } from "./ui.js";

const THEMES = ["auto", "light", "dark"];

function route() {
  return location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
}

function useRoute() {
  const [now, set] = useState(route());
  useEffect(() => {
    const changed = () => set(route());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return now;
}

function useTheme() {
  const [theme, set] = useState(localStorage.getItem("theme") || "auto");
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    // Charts have their colours on a canvas.
    dispatchEvent(new Event("themechange"));
  }, [theme]);
  return [theme, () => set(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length])];
}

function page([name = "overview", ...rest], features) {
  switch (name) {
    case "overview":
      return html`<${Overview} />`;
    case "jobs":
      return html`<${Job} key=${rest[0]} id=${rest[0]} tab=${rest[1] || "overview"} rest=${rest.slice(2)} />`;
    case "submit":
      return features["web-submit"]
        ? html`<${Submit} />`
        : html`<${Empty}>This is a single run: binaries are submitted to a cluster.<//>`;
    case "taskmanagers":
      return rest[0]
        ? html`<${TaskManager} key=${rest[0]} id=${rest[0]} tab=${rest[1] || "metrics"} file=${rest[2]} />`
        : html`<${TaskManagers} />`;
    case "jobmanager":
      return html`<${JobManager} tab=${rest[0] || "metrics"} file=${rest[1]} />`;
    default:
      return html`<${Empty}>There is no such page. <a href="#/overview">To the overview</a><//>`;
  }
}

/** Asks for a token. */
function Login() {
  const submit = (event) => {
    event.preventDefault();
    setToken(new FormData(event.target).get("token").trim());
  };
  return html`
    <form class="card login" onSubmit=${submit}>
      <h1>This cluster wants a token</h1>
      <p>Whoever looks after it makes one with: <code>flott token create NAME --role viewer</code></p>
      <${Field} name="token" label="Token" type="password" hint="It is kept as long as this tab is open." />
      <button class="primary" type="submit">Go on</button>
    </form>`;
}

function App() {
  const path = useRoute();
  const connected = useConnected();
  const [theme, nextTheme] = useTheme();
  const refused = useRefused();
  const { data: config } = usePoll(refused ? undefined : "config", 0);
  const { data: session } = usePoll(refused ? undefined : "api/session", 0);
  setRole(session && session.role);
  const features = (config && config.features) || {};
  const links = [
    ["overview", "Overview"],
    features["web-submit"] && may("deployer") && ["submit", "Submit"],
    ["taskmanagers", "TaskManagers"],
    ["jobmanager", "JobManager"],
  ].filter(Boolean);
  const current = path[0] === "jobs" ? "overview" : path[0] || "overview";
  return html`
    <a class="skip" href="#content" onClick=${(event) => {
      event.preventDefault();
      document.getElementById("content").focus();
    }}>To the content</a>
    <header>
      <a class="brand" href="#/overview"><img src="icon.svg" alt="" width="24" height="24" /> flott</a>
      <nav aria-label="Pages">
        ${links.map(([key, text]) => html`
          <a key=${key} href=${`#/${key}`} aria-current=${key === current ? "page" : undefined}>${text}</a>`)}
      </nav>
      ${session && session.name !== "whoever is here" && html`<span class="version">${session.name}, ${session.role}</span>`}
      <span class="version">${config && config["flink-version"]}</span>
      <button class="plain" onClick=${nextTheme} aria-label=${`Theme: ${theme}`} title=${`Theme: ${theme}`}>
        ${{ auto: "◐", light: "☀", dark: "☾" }[theme]}
      </button>
    </header>
    ${!connected && html`
      <p class="banner" role="alert">The server cannot be reached. What is shown is what it said last; asking again …</p>`}
    ${session && session.unprotected && html`
      <p class="banner" role="alert">Unprotected: whoever reaches this server can make the cluster run anything.</p>`}
    <main id="content" tabindex="-1">${refused ? html`<${Login} />` : config ? page(path, features) : html`<${Empty}>Loading …<//>`}</main>
    <${Notices} />`;
}

const app = document.getElementById("app");
app.replaceChildren();
render(html`<${App} />`, app);
