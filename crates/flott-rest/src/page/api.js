// How the dashboard asks its server, and how it knows that the server is gone.

import { useEffect, useState } from "./vendor/preact.js";

/** An answer that is none: what the server says is wrong, or that it cannot be reached. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const listeners = new Set();
let connected = true;

function setConnected(now) {
  if (now !== connected) {
    connected = now;
    listeners.forEach((listener) => listener(now));
  }
}

/** Whether the server answered last time. */
export function useConnected() {
  const [now, set] = useState(connected);
  useEffect(() => {
    listeners.add(set);
    return () => listeners.delete(set);
  }, []);
  return now;
}

/** Flink puts exception classes and stack traces into messages; people want the sentence. */
function sentence(body, status) {
  const texts = body && Array.isArray(body.errors) ? body.errors : [];
  const text = texts.find((text) => text && text !== "Internal server error.") || texts[0];
  if (!text) return `The server answered with ${status}.`;
  return text.replace(/^(<Exception on server side:\s*)?([\w$]+\.)+[\w$]*Exception: /, "").split("\n\tat ")[0];
}

async function ask(method, path, body) {
  let response;
  try {
    const options = { method, cache: "no-store" };
    if (body !== undefined) {
      options.body = JSON.stringify(body);
      options.headers = { "content-type": "application/json" };
    }
    response = await fetch(path, options);
  } catch {
    setConnected(false);
    throw new Failure(0, "The server cannot be reached.");
  }
  setConnected(true);
  const text = await response.text();
  const isJson = (response.headers.get("content-type") || "").includes("json");
  const answer = isJson && text ? JSON.parse(text) : text;
  if (!response.ok) throw new Failure(response.status, sentence(answer, response.status));
  return answer;
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);
export const patch = (path) => ask("PATCH", path, {});
export const remove = (path) => ask("DELETE", path);

/**
 * Asks again and again, while the page is looked at. What was answered last stays when an answer fails, so that
 * nothing flickers.
 */
export function usePoll(path, every = 1000) {
  const [state, set] = useState({ data: undefined, error: undefined, path });
  useEffect(() => {
    if (!path) return undefined;
    let timer;
    let over = false;
    const next = () => {
      if (!over && every > 0) timer = setTimeout(look, every);
    };
    const look = async () => {
      if (document.hidden) return next();
      try {
        const data = await get(path);
        if (!over) set({ data, error: undefined, path });
      } catch (error) {
        if (!over) set((before) => ({ data: before.path === path ? before.data : undefined, error, path }));
      }
      next();
    };
    look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [path, every]);
  return state.path === path ? state : { data: undefined, error: undefined };
}

/** Begins an operation and waits for its end. */
export async function operate(trigger, poll) {
  const { "request-id": id } = await trigger();
  for (;;) {
    const { status, operation } = await get(poll(id));
    if (status.id === "COMPLETED") {
      const failure = operation && (operation["failure-cause"] || operation.failureCause);
      if (failure) throw new Failure(200, sentence({ errors: [failure["stack-trace"]] }));
      return operation;
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

/** Sends a file, and tells how much of it has gone. */
export function upload(path, field, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append(field, file, file.name);
    request.open("POST", path);
    request.upload.onprogress = (event) => progress(event.loaded, event.total);
    request.onerror = () => reject(new Failure(0, "The server cannot be reached."));
    request.onload = () => {
      let answer;
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        answer = undefined;
      }
      if (request.status < 300) resolve(answer);
      else reject(new Failure(request.status, sentence(answer, request.status)));
    };
    request.send(form);
  });
}
