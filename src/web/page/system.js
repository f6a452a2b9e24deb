// Charts of the last 15 minutes.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import * as api from './api.js';
import { Component } from './component.js';
import { feed } from './feed.js';
import './chart.js';

const PERIOD = 2;
const SPAN = 15 * 60_000;

class SystemCharts extends Component {
  #points = null;
  #problem = null;
  #camera = '';
  #read = () => {};

  connected() {
    let names = '';
    this.listen(feed, 'change', () => {
      const now = (feed.cameras ?? []).map(({ name }) => name).join('\n');
      if (now !== names) this.update();
      names = now;
    });
    this.#read = this.poll(PERIOD, async (signal) => {
      const camera = this.#camera;
      try {
        const points = await api.history(camera, signal);
        if (camera === this.#camera) this.#points = points;
        this.#problem = null;
      } catch (error) {
        if (error.name === 'AbortError') return;
        this.#problem = error.message;
      }
      this.update();
    });
  }

  template() {
    return html`
      <div class="heading"><h1>System</h1><p class="muted">The last 15 minutes</p></div>
      <form class="filters heading" @submit=${(event) => event.preventDefault()}>
        <label>Frames and latency of <select @change=${(event) => this.#choose(event.target.value)}>
          <option value="">All cameras</option>
          ${(feed.cameras ?? []).map(({ name }) => html`<option value=${name}>${name}</option>`)}
        </select></label>
      </form>
      ${this.#problem ? html`<p class="problem">${this.#problem}</p>` : nothing}
      ${this.#charts()}`;
  }

  #choose(camera) {
    this.#camera = camera;
    this.#read();
  }

  #charts() {
    if (this.#points === null) return this.#problem ? nothing : html`<div class="notice" aria-busy="true"><p>Loading …</p></div>`;
    if (!this.#points.length) return html`<div class="notice"><strong>No values yet</strong><p>The first comes within seconds.</p></div>`;
    return html`<div class="charts">${charts(this.#points, this.#camera).map((data) => html`<time-chart .data=${data}></time-chart>`)}</div>`;
  }
}

function charts(points, camera) {
  const times = points.map(({ time }) => Date.parse(time));
  const values = (of) => points.map((point) => of(point) ?? null);
  const chart = (title, unit, digits, least, series, most) => ({ title, unit, digits, least, most, times, span: SPAN, series: series.map(([name, of]) => ({ name, values: values(of) })) });
  const gpus = [...new Set(points.flatMap((point) => point.gpus.map(({ index }) => index)))].sort((a, b) => a - b);
  const gpu = (index, key) => (point) => point.gpus.find((one) => one.index === index)?.[key];
  const of = camera ? (key) => (point) => point.camera?.[key] : (key) => (point) => point[key];
  const latency = camera
    ? [['Median', of('latency_p50_ms')], ['99th percentile', of('latency_p99_ms')]]
    : [['Median camera', of('latency_p50_ms')], ['Slowest camera, 99th percentile', of('latency_p99_ms')]];
  const each = (key) => gpus.map((index) => [`GPU ${index}`, gpu(index, key)]);
  return [
    chart('CPU', '%', 1, 1, [['gst-trt', own('cpu_percent')], ['Machine', own('machine_cpu_percent')]], 100),
    ...(gpus.length
      ? [
          chart('GPU', '%', 0, 1, each('gpu_percent'), 100),
          chart('NVDEC', '%', 0, 1, each('nvdec_percent'), 100),
          chart('GPU memory', 'MiB', 0, 1, each('memory_used_mib')),
        ]
      : []),
    chart('Memory', 'MiB', 0, 1, [['gst-trt', own('memory_mib')]]),
    chart(camera ? `Frames of ${camera}` : 'Frames of all cameras', 'fps', 1, 1, [['Frames', of('fps')]]),
    chart(camera ? `Latency of ${camera}` : 'Latency', 'ms', 1, 1, latency),
  ];
}

const own = (key) => (point) => point[key];

customElements.define('system-charts', SystemCharts);
