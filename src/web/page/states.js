// A camera's state as a word, a shape and a colour.
import { html, svg } from './vendor/lit-html/lit-html.js';

const CIRCLE = svg`<circle cx="6" cy="6" r="5" fill="currentColor"/>`;
const RING = svg`<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="4 2.3"/>`;
const TRIANGLE = svg`<path d="M6 .8 11.6 11H.4z" fill="currentColor"/>`;
const CROSS = svg`<path d="M2 2l8 8M10 2l-8 8" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round"/>`;
const SQUARE = svg`<rect x="1.5" y="1.5" width="9" height="9" rx="1" fill="currentColor"/>`;

/** By the state's name: its word, kind (a class of style.css), shape, and place in a list of those that need attention first. */
const STATES = {
  playing: { word: 'Playing', kind: 'good', shape: CIRCLE, order: 5 },
  starting: { word: 'Starting', kind: 'idle', shape: RING, order: 4 },
  stalled: { word: 'Stalled', kind: 'warning', shape: TRIANGLE, order: 3 },
  reconnecting: { word: 'Reconnecting', kind: 'bad', shape: CROSS, order: 2 },
  refused: { word: 'Refused', kind: 'bad', shape: CROSS, order: 1 },
  failed: { word: 'Failed', kind: 'bad', shape: CROSS, order: 0 },
  stopped: { word: 'Stopped', kind: 'idle', shape: SQUARE, order: 6 },
};

export function state(name) {
  return STATES[name] ?? { word: name, kind: 'idle', shape: RING, order: 4 };
}

export function badge(name, text = state(name).word) {
  const { kind, shape } = state(name);
  return html`<span class="state ${kind}" data-state=${name}>
    <svg viewBox="0 0 12 12" aria-hidden="true">${shape}</svg>${text}</span>`;
}

const SEVERITIES = { good: CIRCLE, warning: TRIANGLE, bad: CROSS, idle: RING };

/** A mark of one of the four kinds with a word. */
export function mark(kind, text) {
  return html`<span class="state ${kind}"><svg viewBox="0 0 12 12" aria-hidden="true">${SEVERITIES[kind]}</svg>${text}</span>`;
}

export const NAMES = Object.keys(STATES);
