// What all parts of the page have in common: custom elements that draw a template into themselves.
import { render } from './vendor/lit-html/lit-html.js';

/**
 * A custom element without a shadow root, so that style.css applies. A subclass returns what it shows from `template()`, and calls
 * `update()` when that has changed; `connected()` runs each time it's put into the page.
 */
export class Component extends HTMLElement {
  #leaving = new AbortController();
  #due = false;

  /** Aborted once the element isn't in the page any more. */
  get leaving() {
    return this.#leaving.signal;
  }

  connectedCallback() {
    this.#leaving = new AbortController();
    this.connected();
    this.update();
  }

  disconnectedCallback() {
    this.#leaving.abort();
  }

  connected() {}

  template() {
    return undefined;
  }

  /** Draws soon, once however often it's called. */
  update() {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (this.isConnected) {
        render(this.template(), this);
        this.updated();
      }
    });
  }

  /** Runs after each drawing. */
  updated() {}

  /** Listens until the element leaves the page. */
  listen(target, type, handler) {
    target.addEventListener(type, handler, { signal: this.leaving });
  }

  /**
   * Runs a task now and again that many seconds after it has ended, until the element leaves the page. It rests while the page is
   * hidden. Returns a function that runs it at once.
   */
  poll(seconds, task) {
    const { leaving } = this;
    let timer;
    let running = false;
    const run = async () => {
      clearTimeout(timer);
      if (leaving.aborted || document.hidden || running) return;
      running = true;
      try {
        await task(leaving);
      } finally {
        running = false;
      }
      if (!leaving.aborted) timer = setTimeout(run, seconds * 1000);
    };
    document.addEventListener('visibilitychange', run, { signal: leaving });
    leaving.addEventListener('abort', () => clearTimeout(timer));
    run();
    return run;
  }
}
