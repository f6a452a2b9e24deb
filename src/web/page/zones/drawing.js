// Zones and lines as SVG over the picture. One unit is a pixel of the screen, so that lines and handles have the same size everywhere.
import { html, nothing, svg } from '../vendor/lit-html/lit-html.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { middle, points } from './shapes.js';

const KNOB = 7;
/** Where a pointer or a finger takes hold of a handle. */
const TARGET = 16;
const ARROW = 26;

/**
 * What is over the picture. `size` is `[width, height]` in pixels; `shapes` those to be drawn, `wrong` the ids of those with problems;
 * `chosen` is an id, `held` the index of the point that is moved; `pending` is the shape that is being drawn, or `null`.
 */
export function overlay({ size, shapes, wrong, chosen, held, pending }) {
  const place = ([x, y]) => [x * size[0], y * size[1]];
  return html`
    ${repeat(shapes, ({ id }) => id, (one) => shapeOf(one, place, one.id === chosen && !pending, wrong.has(one.id), Boolean(pending)))}
    ${pending ? drawn(pending, place, size) : handles(shapes.find(({ id }) => id === chosen), place, held)}`;
}

function shapeOf(one, place, chosen, wrong, inert) {
  const all = points(one).map(place);
  const path = pathOf(all, one.kind === 'zone');
  const label = `${one.kind === 'zone' ? 'Zone' : 'Line'} ${one.value.NAME}`;
  const { x, y, anchor } = labelPlace(one.kind, all);
  const tab = inert ? '-1' : '0';
  return svg`
    <g class="shape ${chosen ? 'chosen' : ''} ${wrong ? 'wrong' : ''}" data-name=${one.value.NAME}>
      <path class="under" d=${path} />
      <path class="over" d=${path} />
      <path class=${one.kind === 'zone' ? 'area' : 'grip'} d=${path} data-shape=${one.id} tabindex=${tab} role="button" aria-pressed=${chosen} aria-label=${label} />
      ${one.kind === 'line' ? arrow(all) : nothing}
      <text x=${fixed(x)} y=${fixed(y)} text-anchor=${anchor}>${one.value.NAME}</text>
    </g>`;
}

function pathOf(all, closed) {
  return `M${all.map(([x, y]) => `${fixed(x)} ${fixed(y)}`).join('L')}${closed ? 'Z' : ''}`;
}

function labelPlace(kind, all) {
  if (kind === 'zone') return { x: mean(all, 0), y: mean(all, 1) + 4, anchor: 'middle' };
  // Beside the line, where the arrow isn't.
  const [nx, ny] = normal(all);
  const [x, y] = middle(all[0], all[1]);
  const anchor = Math.abs(nx) < 0.3 ? 'middle' : nx > 0 ? 'end' : 'start';
  return { x: x - nx * 12, y: y - ny * 16 + 4, anchor };
}

function mean(all, axis) {
  return all.reduce((sum, point) => sum + point[axis], 0) / all.length;
}

/** The direction in which objects go in: to the right, as seen from the first end towards the second. */
export function normal([[ax, ay], [bx, by]]) {
  const length = Math.hypot(bx - ax, by - ay) || 1;
  return [-(by - ay) / length, (bx - ax) / length];
}

function arrow(all) {
  const [nx, ny] = normal(all);
  const [x, y] = middle(all[0], all[1]);
  const at = (along, across) => `${fixed(x + nx * along - ny * across)} ${fixed(y + ny * along + nx * across)}`;
  return svg`<path class="arrow" d="M${at(3, -2)}L${at(3, 2)}L${at(ARROW - 12, 2)}L${at(ARROW - 12, 8)}L${at(ARROW, 0)}L${at(ARROW - 12, -8)}L${at(ARROW - 12, -2)}Z" />`;
}

function handles(one, place, held) {
  if (!one) return nothing;
  const all = points(one);
  const word = one.kind === 'zone' ? 'Corner' : 'End';
  const knob = (point, index) => {
    const [x, y] = place(point);
    const label = `${word} ${index + 1} of ${all.length} of ${one.value.NAME}: ${position(point)}`;
    return svg`<g class="handle ${held === index ? 'held' : ''}" data-point=${index} tabindex="0" role="button" aria-label=${label}>
      <circle class="target" cx=${fixed(x)} cy=${fixed(y)} r=${TARGET} /><circle class="knob" cx=${fixed(x)} cy=${fixed(y)} r=${KNOB} /></g>`;
  };
  const between = (point, index) => {
    const [x, y] = place(middle(point, all[(index + 1) % all.length]));
    const label = `Add a corner between ${index + 1} and ${((index + 1) % all.length) + 1}`;
    return svg`<g class="handle between" data-edge=${index} tabindex="0" role="button" aria-label=${label}>
      <circle class="target" cx=${fixed(x)} cy=${fixed(y)} r=${TARGET - 4} /><circle class="knob" cx=${fixed(x)} cy=${fixed(y)} r=${KNOB} />
      <path class="plus" d="M${fixed(x - 3)} ${fixed(y)}h6M${fixed(x)} ${fixed(y - 3)}v6" /></g>`;
  };
  return html`${one.kind === 'zone' ? all.map(between) : nothing}${all.map(knob)}`;
}

/** A shape that isn't finished: its points, the way to the cursor, and the cursor. */
function drawn({ kind, points: placed, cursor }, place, [width, height]) {
  const all = placed.map(place);
  const [x, y] = place(cursor);
  const path = pathOf([...all, [x, y]], kind === 'zone' && all.length > 1);
  return svg`
    <g class="shape chosen" aria-hidden="true">
      <path class="under" d=${path} /><path class="over" d=${path} stroke-dasharray="6 4" />
      ${kind === 'line' && all.length === 1 ? arrow([all[0], [x, y]]) : nothing}
      ${all.map(([px, py]) => svg`<circle class="arrow" cx=${fixed(px)} cy=${fixed(py)} r=${KNOB} />`)}
      ${['crosshair under', 'crosshair'].map((name) => svg`<path class=${name} d="M${fixed(Math.max(0, x - 14))} ${fixed(y)}H${fixed(Math.min(width, x + 14))}M${fixed(x)} ${fixed(Math.max(0, y - 14))}V${fixed(Math.min(height, y + 14))}" />`)}
    </g>`;
}

/** A point in words. */
export function position([x, y]) {
  return `${(x * 100).toFixed(1)} % from the left, ${(y * 100).toFixed(1)} % from the top`;
}

function fixed(value) {
  return value.toFixed(1);
}
