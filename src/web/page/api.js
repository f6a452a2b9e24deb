// The JSON API under api/v1: docs/openapi.json describes it.

const BASE = 'api/v1/';

/** An answer that isn't what was asked for. `message` says what is wrong, `findings` lists it where the configuration is meant. */
export class ApiError extends Error {
  constructor(status, message, findings = []) {
    super(message);
    this.status = status;
    this.findings = findings;
  }
}

/** The server doesn't answer. */
export class Offline extends Error {
  constructor() {
    super('The server doesn’t answer.');
  }
}

/** What is known of the server: `connecting`, `connected`, `lost` or `signed-out`; an event `change` tells of each change. */
class Connection extends EventTarget {
  state = 'connecting';

  set(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event('change'));
  }
}

export const connection = new Connection();

/** Addresses that elements of the page load by themselves. */
export const url = {
  picture: (camera, options = {}) => `${BASE}cameras/${encodeURIComponent(camera)}/picture.jpg?${new URLSearchParams(options)}`,
  live: (camera, options = {}) => `${BASE}cameras/${encodeURIComponent(camera)}/live.mjpeg?${new URLSearchParams(options)}`,
};

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    connection.set('lost');
    throw new Offline();
  }
  if (response.status === 401) {
    connection.set('signed-out');
  } else {
    connection.set('connected');
  }
  if (!response.ok) throw await problem(response);
  return response;
}

async function problem(response) {
  let detail;
  try {
    detail = await response.json();
  } catch {
    detail = {};
  }
  const message = detail.detail ?? detail.title ?? `The server answered ${response.status} ${response.statusText}.`;
  return new ApiError(response.status, message, detail.findings ?? []);
}

async function json(path, signal) {
  const response = await request(BASE + path, { signal });
  return response.json();
}

const camera = (name) => `cameras/${encodeURIComponent(name)}`;

export const cameras = async (signal) => (await json('cameras', signal)).cameras;
export const oneCamera = (name, signal) => json(camera(name), signal);
export const objects = (name, signal) => json(`${camera(name)}/objects`, signal);
export const history = async (name, signal) => {
  const query = name ? `?${new URLSearchParams({ camera: name })}` : '';
  return (await json(`history${query}`, signal)).points;
};
export const events = (after, signal) => json(`events?${new URLSearchParams({ after })}`, signal);
export const check = (signal) => json('check', signal);

/** A JPEG, and the time at which it was taken. */
export async function picture(name, options, signal) {
  const response = await request(url.picture(name, options), { signal });
  return { blob: await response.blob(), time: response.headers.get('X-Picture-Time') };
}

/** Zones and lines, with the version of the file in which they are. */
export async function zones(name, signal) {
  return versioned(await request(`${BASE}${camera(name)}/zones`, { signal }));
}

/** Writes zones and lines into the file, unless it's another version than that. */
export async function setZones(name, zones, version) {
  const headers = { 'Content-Type': 'application/json', 'If-Match': version };
  return versioned(await request(`${BASE}${camera(name)}/zones`, { method: 'PUT', headers, body: JSON.stringify(zones) }));
}

async function versioned(response) {
  return { ...(await response.json()), version: response.headers.get('ETag') };
}
