// All cameras as cards.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { repeat } from './vendor/lit-html/directives/repeat.js';
import { Component } from './component.js';
import { feed } from './feed.js';
import { count, number, quantity } from './format.js';
import { address } from './route.js';
import { badge, NAMES, state } from './states.js';
import './picture.js';

const ORDERS = {
  name: ['Name', () => 0],
  attention: ['What needs attention first', (a, b) => state(a.state).order - state(b.state).order],
  latency: ['Latency', (a, b) => (b.latency_ms.p95 ?? -1) - (a.latency_ms.p95 ?? -1)],
  drops: ['Dropped frames', (a, b) => b.drops - a.drops],
};

class AllCameras extends Component {
  #search = '';
  #state = '';
  #order = 'name';

  connected() {
    this.listen(feed, 'change', () => this.update());
  }

  template() {
    if (feed.cameras === null) return html`<div class="notice" aria-busy="true"><h1>Cameras</h1><p>Loading …</p></div>`;
    if (!feed.cameras.length) {
      return html`<div class="notice"><h1>No cameras</h1><p>Write one into <code>RTSP_STREAMS</code> of config.json: it appears here at once.</p></div>`;
    }
    const shown = this.#shown();
    return html`
      <div class="heading">
        <h1>Cameras</h1>
        <div class="summary" aria-label="Cameras by state" role="group">${this.#summary()}</div>
      </div>
      <form class="filters heading" role="search" @submit=${(event) => event.preventDefault()}>
        <label>Search <input type="search" placeholder="Name or address" @input=${(event) => this.#set('search', event)}></label>
        <label>State <select @change=${(event) => this.#set('state', event)}>
          <option value="">All states</option>
          ${NAMES.map((name) => html`<option value=${name}>${state(name).word}</option>`)}
        </select></label>
        <label>Order <select @change=${(event) => this.#set('order', event)}>
          ${Object.entries(ORDERS).map(([key, [title]]) => html`<option value=${key}>${title}</option>`)}
        </select></label>
        <p class="muted small" role="status">${shown.length === feed.cameras.length ? count(shown.length, 'camera') : `${shown.length} of ${count(feed.cameras.length, 'camera')}`}</p>
      </form>
      ${shown.length
        ? html`<ul class="cameras plain">${repeat(shown, (camera) => camera.name, card)}</ul>`
        : html`<div class="notice"><strong>No camera fits</strong><p>Change the search or the state above.</p></div>`}`;
  }

  #set(key, event) {
    const { value } = event.target;
    if (key === 'search') this.#search = value.trim().toLowerCase();
    if (key === 'state') this.#state = value;
    if (key === 'order') this.#order = value;
    this.update();
  }

  #shown() {
    const fits = ({ name, source, state: now }) =>
      (!this.#state || now === this.#state) && `${name} ${source ?? ''}`.toLowerCase().includes(this.#search);
    const [, compare] = ORDERS[this.#order];
    return feed.cameras.filter(fits).sort((a, b) => compare(a, b) || a.name.localeCompare(b.name, 'en', { numeric: true }));
  }

  #summary() {
    const counts = new Map();
    for (const camera of feed.cameras) counts.set(camera.state, (counts.get(camera.state) ?? 0) + 1);
    return NAMES.filter((name) => counts.has(name)).map((name) => badge(name, `${counts.get(name)} ${state(name).word.toLowerCase()}`));
  }
}

function card(camera) {
  const { name, reason } = camera;
  return html`
    <li class="card ${state(camera.state).kind}" data-camera=${name}>
      <camera-picture .name=${name} .state=${camera.state}></camera-picture>
      <div class="card-body">
        <div class="card-title">
          <h2><a class="card-link" href=${address.camera(name)}>${name}</a></h2>
          ${badge(camera.state)}
        </div>
        ${figures(camera)}
        ${reason ? html`<p class="reason">${reason}</p>` : nothing}
      </div>
    </li>`;
}

/** What a camera does, in four numbers. */
export function figures(camera) {
  const values = [
    ['fps', number(camera.fps, 1)],
    ['Latency', quantity(camera.latency_ms.p95, 'ms')],
    ['Drops', number(camera.drops)],
    ['Reconnects', number(camera.reconnects)],
  ];
  return html`<dl class="figures">${values.map(([title, value]) => html`<div><dt>${title}</dt><dd>${value}</dd></div>`)}</dl>`;
}

customElements.define('all-cameras', AllCameras);
