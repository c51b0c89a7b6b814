// How the dashboard asks its server, and how it knows that the server is gone.

import { useEffect, useState } from "./vendor/preact.js";

/** An answer that is none: what the server says is wrong, or that it cannot be reached. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A value that pieces of the page look at. */
function signal(value) {
  const listeners = new Set();
  return {
    set(next) {
      if (next === value) return;
      value = next;
      listeners.forEach((listener) => listener(next));
    },
    use() {
      const [now, set] = useState(value);
      useEffect(() => {
        set(value);
        listeners.add(set);
        return () => listeners.delete(set);
      }, []);
      return now;
    },
  };
}

const connected = signal(true);
const refused = signal(false);

/** Whether the server answered last time. */
export const useConnected = connected.use;

/** Whether the server wants a token that it was not given. */
export const useRefused = refused.use;

const ROLES = ["viewer", "deployer", "admin"];
let role = "admin";

/** What whoever asks is, as the server says. */
export function setRole(own) {
  if (own) role = own;
}

/** Whether whoever asks may do what needs this role: the server asks again. */
export const may = (needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);

// For as long as the tab is open, and for this page alone: no cookie goes along by itself.
const TOKEN = "token";

/** From now on, asks with this token. */
export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
  refused.set(false);
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { authorization: `Bearer ${token}` } : {};
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
    const options = { method, cache: "no-store", headers: authorization() };
    if (body !== undefined) {
      options.body = JSON.stringify(body);
      options.headers["content-type"] = "application/json";
    }
    response = await fetch(path, options);
  } catch {
    connected.set(false);
    throw new Failure(0, "The server cannot be reached.");
  }
  connected.set(true);
  if (response.status === 401) refused.set(true);
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
 * Asks again and again, while the page is looked at; or once, if `every` is 0. What was answered last stays when an answer fails, so that
 * nothing flickers.
 */
export function usePoll(path, every = 1000) {
  const [state, set] = useState({ data: undefined, error: undefined, path });
  useEffect(() => {
    if (!path) return undefined;
    let timer;
    let over = false;
    let answered = false;
    // What is asked once is asked until it was answered.
    const next = () => {
      if (!over && (every > 0 || !answered)) timer = setTimeout(look, every || 1000);
    };
    const look = async () => {
      if (document.hidden) return next();
      try {
        const data = await get(path);
        answered = true;
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
    // It goes on there, whether or not one question comes through.
    const answer = await get(poll(id)).catch((error) => {
      if (error.status === 0 || error.status >= 500) return undefined;
      throw error;
    });
    const { status, operation } = answer || { status: {} };
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
    Object.entries(authorization()).forEach(([name, value]) => request.setRequestHeader(name, value));
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
