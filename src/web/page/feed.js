// The cameras as they are now, and events as they happen: asked for once, for all parts of the page.
import * as api from './api.js';

/** An `EventTarget` that says `change` when its data has changed. */
export class Feed extends EventTarget {
  /** `null` until the first answer. */
  cameras = null;
  /** Newest first. */
  events = [];
  /** How many events were too old to be had. */
  missed = 0;
  eventsKnown = false;
  #last = 0;

  async readCameras(signal) {
    this.cameras = await api.cameras(signal);
    this.dispatchEvent(new Event('change'));
  }

  async readEvents(signal) {
    let answer = await api.events(this.#last, signal);
    if (answer.last < this.#last) {
      // The program was started again, and counts from 1.
      this.events = [];
      answer = await api.events(0, signal);
    }
    this.missed += answer.missed;
    this.#last = answer.last;
    this.events = [...answer.events.toReversed(), ...this.events].slice(0, KEPT);
    this.eventsKnown = true;
    this.dispatchEvent(new Event('change'));
  }

  camera(name) {
    return this.cameras?.find((camera) => camera.name === name);
  }
}

const KEPT = 1000;

export const feed = new Feed();
