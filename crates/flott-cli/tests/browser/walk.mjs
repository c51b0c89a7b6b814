// A person with a browser: uploads a binary, runs a job, watches it, makes it fail, stops it and goes on.
//
//   walk.mjs URL BINARY FEED SAVEPOINTS PICTURES
//
// Pictures of every page, in both themes and two widths, are left in PICTURES.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import assert from "node:assert/strict";

const [url, binary, feed, savepoints, pictures] = process.argv.slice(2);
const require = createRequire(process.env.BROWSER_MODULES + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(pictures, { recursive: true });

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.setDefaultTimeout(120_000);

const wrong = [];
let isCut = false;
page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
page.on("console", (message) => {
  if (message.type() === "error" && !isCut) wrong.push(`console: ${message.text()}`);
});
page.on("request", (request) => {
  if (!request.url().startsWith(url)) wrong.push(`it asks somebody else: ${request.url()}`);
});

/** Gives the job lines; the file has its name only when it is whole. */
function give(name, lines) {
  const hidden = path.join(path.dirname(feed), `hidden-${name}`);
  writeFileSync(hidden, lines);
  renameSync(hidden, path.join(feed, name));
}

/** Looks at a page as it is: no serious fault for those who cannot see it, and pictures. */
async function look(name) {
  await page.evaluate(axe);
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    const { violations } = await page.evaluate(() =>
      globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "best-practice"] }),
    );
    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    for (const { id, nodes } of serious) {
      wrong.push(`${name}, ${theme}: ${id}: ${nodes.map((node) => node.html).join(" ").slice(0, 200)}`);
    }
    for (const width of [1280, 400]) {
      await page.setViewportSize({ width, height: 900 });
      await page.screenshot({ path: path.join(pictures, `${name}-${theme}-${width}.png`), fullPage: true });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) wrong.push(`${name}: ${overflow} pixels too wide at ${width}`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}

const link = (name) => page.getByRole("link", { name, exact: true });
const button = (name) => page.getByRole("button", { name, exact: true });
const notice = (text) => page.locator(".notice", { hasText: text });

/** Clicks a button, and confirms. */
async function confirm(name, fill = async () => {}) {
  await button(name).click();
  const dialog = page.getByRole("dialog");
  await fill(dialog);
  await dialog.getByRole("button", { name, exact: true }).click();
}

async function until(what, holds) {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`it does not come: ${what}`);
    await page.waitForTimeout(100);
  }
}

async function run(fill) {
  await page.locator("select[name=job]").selectOption("word_totals");
  await page.getByLabel("Arguments").fill(`--file ${feed} --follow`);
  await page.getByLabel("Options, one a line").fill("execution.checkpointing.interval: 2 s\nrestart-strategy.fixed-delay.delay: 2 s");
  await fill();
  await button("Run").click();
  await page.waitForURL(/#\/jobs\//);
  await page.locator("h1 .badge", { hasText: "RUNNING" }).waitFor();
}

await page.goto(url);
await page.getByText("Nothing is running.").waitFor();
await look("overview-empty");
await link("TaskManagers").click();
await page.getByText("of 2 taken").waitFor();
await look("taskmanagers");

// Upload, look at the plan, run.
await link("Submit").click();
await page.getByText("None yet.").waitFor();
await look("submit-empty");
await page.getByLabel("Upload a job binary").setInputFiles(binary);
await notice("is here.").waitFor();
await page.locator("select[name=job]").selectOption("word_totals");
await page.getByLabel("Arguments").fill(`--file ${feed} --follow`);
await button("Show plan").click();
await page.locator(".graph .vertex").first().waitFor();
await look("submit");
await page.getByLabel("Parallelism").fill("2");
await run(async () => {});

// Rates move.
const lines = (from, to) => Array.from({ length: to - from }, (_, i) => `word${(from + i) % 7},1\n`).join("");
let sent = 0;
const source = page.locator(".vertex", { hasText: "Source" });
await until("a rate that is not 0", async () => {
  give(`${sent}.txt`, lines(sent, (sent += 1000)));
  return !/out 0\/s/.test(await source.innerText());
});
await look("job");
await source.click();
await page.locator(".drawer").getByText("Subtasks").waitFor();
await page.locator(".drawer tbody tr").nth(1).waitFor();
await look("vertex-subtasks");
for (const tab of ["Metrics", "Watermarks", "TaskManagers", "Accumulators"]) {
  await page.locator(".drawer").getByRole("link", { name: tab, exact: true }).click();
  if (tab === "Metrics") {
    await page.locator(".drawer canvas").first().waitFor();
    await page.getByLabel("Any other metric of its subtasks").selectOption("numRecordsOut");
    await page.locator(".drawer canvas").nth(2).waitFor();
  }
  await look(`vertex-${tab.toLowerCase()}`);
}
await page.getByRole("link", { name: "Close" }).click();

// A savepoint, and a checkpoint's details down to a subtask.
await confirm("Savepoint", (dialog) => dialog.getByLabel("Folder for the savepoint").fill(savepoints));
await notice("Savepoint: ").waitFor();
await confirm("Checkpoint");
await notice(/Checkpoint \d+ is complete/).waitFor();
await link("Checkpoints").click();
await page.locator("canvas").first().waitFor();
await look("checkpoints");
await link("History").click();
const completed = page.locator("tr", { hasText: "COMPLETED" }).first();
await completed.getByRole("button").click();
const vertices = page.getByRole("region", { name: /^Vertices of checkpoint/ });
await vertices.getByRole("button").first().click();
const subtasks = page.getByRole("region", { name: /^Subtasks in checkpoint/ }).locator("tbody tr");
await subtasks.nth(1).waitFor();
const newest = page.getByRole("region", { name: "History of checkpoints" }).locator("tbody tr button").first();
const opened = await newest.innerText();
await until("a newer checkpoint", async () => (await newest.innerText()) !== opened);
assert.equal(await subtasks.count(), 2, "what is open stays open when a newer checkpoint comes");
await look("checkpoints-history");
for (const part of ["Summary", "Configuration"]) {
  await page.getByRole("navigation", { name: "Parts of the checkpoints" }).getByRole("link", { name: part }).click();
  await page.locator(part === "Summary" ? "td" : "dd").first().waitFor();
  await look(`checkpoints-${part.toLowerCase()}`);
}

// It fails: the root cause is what the program said.
give("bad.txt", "this is no count\n");
await link("Exceptions").click();
await page.getByText("this is no count").first().waitFor();
await look("exceptions");
writeFileSync(path.join(feed, "bad.txt"), "these are good,1\n");
await page.locator("h1 .badge", { hasText: "RUNNING" }).waitFor();
await link("Timeline").click();
await page.locator(".timeline .row").nth(2).waitFor();
await look("timeline");
await page.getByRole("navigation", { name: "Parts of the job" }).getByRole("link", { name: "Configuration" }).click();
await page.getByText("execution.checkpointing.interval").waitFor();
await look("configuration");

// Stop with a savepoint, and go on from it with another parallelism.
await link("Overview").nth(1).click();
await until("all tasks run", async () => (await page.locator(".vertex .dot.running").count()) >= 2);
await confirm("Stop", (dialog) => dialog.getByLabel("Folder for the savepoint").fill(savepoints));
const stopped = notice("The job has stopped.");
await stopped.waitFor();
const savepoint = (await stopped.innerText()).match(/Savepoint: (\S+)/)[1];
await page.locator("h1 .badge", { hasText: "FINISHED" }).waitFor();
await look("job-finished");
await link("Submit").click();
await page.locator("section.card button.link").first().click();
await run(async () => {
  await page.getByLabel("Parallelism").fill("1");
  await page.getByLabel("Start from a savepoint or checkpoint").fill(savepoint);
});
await link("Checkpoints").click();
await page.getByText("Latest restore").waitFor();
await page.locator(".card", { hasText: "Latest restore" }).getByText("Id").waitFor();

// The same in one step.
await link("Overview").nth(1).click();
await until("all tasks run", async () => (await page.locator(".vertex .dot.running").count()) >= 2);
const before = page.url();
await confirm("Rescale", async (dialog) => {
  await dialog.getByLabel("Parallelism").fill("2");
  await dialog.getByLabel("Folder for the savepoint").fill(savepoints);
});
await notice("The job goes on as").waitFor();
await until("the next job is shown", async () => page.url() !== before);
await page.locator("h1 .badge", { hasText: "RUNNING" }).waitFor();
await look("job-rescaled");

await confirm("Cancel");
await page.locator("h1 .badge", { hasText: "CANCELED" }).waitFor();
await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Overview" }).click();
await page.getByText("Nothing is running.").waitFor();
await look("overview");

// The processes.
await link("TaskManagers").click();
await page.getByRole("region", { name: "TaskManagers" }).getByRole("link").first().click();
await page.getByText("Status.Process.Memory.RSS").waitFor();
await look("taskmanager");
await link("Logs").click();
await page.getByRole("region", { name: "Log files" }).getByRole("link").first().click();
await page.locator("pre.log").waitFor();
await look("taskmanager-logs");
await link("JobManager").click();
await page.getByText("taskSlotsTotal").waitFor();
await look("jobmanager");
for (const [tab, sign] of [["Configuration", "rest.port"], ["Threads", "rpc"]]) {
  await link(tab).click();
  await page.getByText(sign).first().waitFor();
  await look(`jobmanager-${tab.toLowerCase()}`);
}

// Everything can be reached with the keyboard, and what is not there says so.
await page.goto(`${url}/#/jobs/00000000000000000000000000000000/overview`);
isCut = true; // The browser reports answers that are errors, and those that do not come.
await page.getByText("Not found", { exact: true }).waitFor();
await look("job-unknown");
await page.goto(`${url}/#/overview`);
await page.reload();
await page.getByText("Nothing is running.").waitFor();
for (const key of ["Tab", "Tab", "Tab", "Tab", "Enter"]) await page.keyboard.press(key);
await page.waitForURL(/#\/submit/);

// The server is gone: what was said last stays.
await page.goto(`${url}/#/overview`);
await page.getByText("Nothing is running.").waitFor();
await page.route("**", (route) => route.abort());
await page.getByText("The server cannot be reached.").waitFor();
await page.getByText("Nothing is running.").waitFor();
await look("disconnected");
await page.unroute("**");
await page.getByText("The server cannot be reached.").waitFor({ state: "detached" });

await browser.close();
assert.deepEqual(wrong, []);
console.log(savepoint);
