// Zones and lines as they are edited. All functions return new values, so that earlier ones can be kept for undo.
//
// A shape is `{ id, kind, value }`: `kind` is `zone` or `line`, `value` the object of config.json with all of its keys, those that this
// page doesn't know among them. Points are `[x, y]`, fractions of the picture from its top left corner.

let made = 0;

/** Points have so many decimals in the file: a tenth of a pixel of 1000. */
const DECIMALS = 4;

export function shape(kind, value) {
  return { id: (made += 1), kind, value };
}

/** The shapes in an answer of the API. */
export function fromConfig({ ZONES = [], LINES = [] }) {
  return [...ZONES.map((value) => shape('zone', value)), ...LINES.map((value) => shape('line', value))];
}

/** Shapes as the API takes them. */
export function toConfig(shapes) {
  const of = (kind) => shapes.filter((one) => one.kind === kind).map(({ value }) => value);
  return { ZONES: of('zone'), LINES: of('line') };
}

/** As it's pasted into a camera of config.json: each point on one line. */
export function toText(shapes) {
  const text = JSON.stringify(toConfig(shapes), null, 2);
  const points = text.replace(/\[\s+(-?[\d.e-]+),\s+(-?[\d.e-]+)\s+\]/g, '[$1, $2]');
  return points.split('\n').slice(1, -1).map((line) => line.slice(2)).join('\n');
}

export function points({ kind, value }) {
  return kind === 'zone' ? value.POLYGON : [value.FROM, value.TO];
}

export function withPoints(one, points) {
  const rounded = points.map((point) => point.map(round));
  const value = one.kind === 'zone' ? { ...one.value, POLYGON: rounded } : { ...one.value, FROM: rounded[0], TO: rounded[1] };
  return { ...one, value };
}

/** With another value of a key; `undefined` takes the key away. */
export function withKey(one, key, content) {
  const value = { ...one.value, [key]: content };
  if (content === undefined) delete value[key];
  return { ...one, value };
}

export function movePoint(one, index, to) {
  return withPoints(one, points(one).map((point, at) => (at === index ? to.map(inside) : point)));
}

/** Moves a whole shape, as far as it stays in the picture. */
export function moveBy(one, [dx, dy]) {
  const all = points(one);
  const limited = (axis, by) => {
    const values = all.map((point) => point[axis]);
    return Math.min(Math.max(by, -Math.min(...values)), 1 - Math.max(...values));
  };
  const [x, y] = [limited(0, dx), limited(1, dy)];
  return withPoints(one, all.map((point) => [point[0] + x, point[1] + y]));
}

/** A new corner in the middle of the edge behind corner `index`. */
export function insertPoint(one, index) {
  const all = points(one);
  return withPoints(one, all.toSpliced(index + 1, 0, middle(all[index], all[(index + 1) % all.length])));
}

export function removePoint(one, index) {
  return withPoints(one, points(one).toSpliced(index, 1));
}

export function swapDirection(line) {
  return withPoints(line, points(line).toReversed());
}

export function middle(a, b) {
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
}

/** A name that no shape has: `zone-1`, `line-2`. */
export function freeName(kind, shapes) {
  const names = new Set(shapes.map(({ value }) => value.NAME));
  let number = 1;
  while (names.has(`${kind}-${number}`)) number += 1;
  return `${kind}-${number}`;
}

export function inside(value) {
  return Math.min(1, Math.max(0, value));
}

function round(value) {
  return Number(value.toFixed(DECIMALS));
}
