// What `gst-trt check` finds, with remedies.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import * as api from './api.js';
import { Component } from './component.js';
import { mark } from './states.js';

const SEVERITIES = { error: ['bad', 'Error'], warning: ['warning', 'Warning'], notice: ['idle', 'Notice'] };
const VERDICTS = { ok: ['good', 'OK'], limited: ['warning', 'Limited'], missing: ['bad', 'Missing'], unknown: ['idle', 'Unknown'] };
/** What needs attention comes first. */
const ORDER = ['missing', 'limited', 'unknown', 'ok'];

class CheckFindings extends Component {
  #answer = null;
  #problem = null;
  #busy = false;

  connected() {
    this.#read();
  }

  async #read() {
    this.#busy = true;
    this.update();
    try {
      this.#answer = await api.check(this.leaving);
      this.#problem = null;
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.#problem = error.message;
    }
    this.#busy = false;
    this.update();
  }

  template() {
    return html`
      <div class="heading">
        <h1>Check</h1>
        <button ?disabled=${this.#busy} @click=${() => this.#read()}>${this.#busy ? 'Checking …' : 'Check again'}</button>
      </div>
      <div class="stack" aria-busy=${this.#busy}>
        ${this.#problem ? html`<p class="problem" role="alert">${this.#problem}</p>` : nothing}
        ${this.#answer ? this.#findings() : nothing}
      </div>`;
  }

  #findings() {
    const { ok, checks, config } = this.#answer;
    const sorted = checks.toSorted((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
    return html`
      <p class="row">${ok ? mark('good', 'Runs') : mark('bad', 'Doesn’t run')}
        <span class="muted">What <code class="break">gst-trt check --config ${config.file}</code> says, without asking the cameras.</span></p>
      <section class="stack" aria-labelledby="config-title">
        <h2 id="config-title">Configuration</h2>
        ${config.findings.length
          ? html`<ul class="list">${config.findings.map((found) => finding(found, config.file))}</ul>`
          : html`<p class="muted">Nothing is to be said of it.</p>`}
      </section>
      <section class="stack" aria-labelledby="machine-title">
        <h2 id="machine-title">This machine</h2>
        <ul class="list">${sorted.map(checked)}</ul>
      </section>`;
  }
}

/** A finding of the configuration. */
export function finding({ severity, key, value, rule, remedy, origin }, file = 'config.json') {
  const [kind, word] = SEVERITIES[severity] ?? ['idle', severity];
  return html`
    <li>
      <div class="row">${mark(kind, word)}<code class="break">${key}${value === null ? '' : ` = ${value}`}</code><span class="muted small end break">${place(origin, file)}</span></div>
      <p class="break">${rule}</p>
      ${remedy ? html`<p class="break"><b>Remedy:</b> ${remedy}</p>` : nothing}
    </li>`;
}

function place(origin, file) {
  if (origin?.file) return `${file.split('/').at(-1)}, line ${origin.file.line}`;
  if (origin?.environment) return `environment: ${origin.environment}`;
  return origin === 'set' ? '--set' : '';
}

function checked({ name, verdict, found, remedy }) {
  const [kind, word] = VERDICTS[verdict] ?? ['idle', verdict];
  return html`
    <li>
      <div class="row">${mark(kind, word)}<b class="break">${name}</b></div>
      <p class="break">${found}</p>
      ${remedy ? html`<p class="break"><b>Remedy:</b> ${remedy}</p>` : nothing}
    </li>`;
}

customElements.define('check-findings', CheckFindings);
