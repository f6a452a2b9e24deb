// What is wrong with zones and lines, by the rules of crates/tracking/src/zones/config.rs: the server rejects the same.
import { points } from './shapes.js';

const LEAST_AREA = 1e-5;
const LEAST_LENGTH = 1e-3;
/** Ten years. */
const LONGEST = 3e8;

/** Problems as `{ id, text }`, in the order of the shapes. */
export function problems(shapes) {
  const names = new Set();
  return shapes.flatMap((one) => {
    const { id, kind, value } = one;
    const found = [];
    const name = String(value.NAME ?? '');
    if (!name.trim()) found.push('It has no name.');
    else if (names.has(name)) found.push(`Another zone or line is named “${name}”.`);
    names.add(name);
    found.push(...(kind === 'zone' ? ofZone(one) : ofLine(one)));
    return found.map((text) => ({ id, text }));
  });
}

function ofZone(one) {
  const { value } = one;
  const corners = points(one);
  const found = outside(corners);
  if (corners.length < 3) found.push('It needs at least 3 corners.');
  else if (corners.some((corner, index) => distance(corner, corners[(index + 1) % corners.length]) < LEAST_LENGTH)) found.push('Two corners that follow each other are at the same place: remove one.');
  else if (crosses(corners)) found.push('Its edges cross: move the corners so that they go around it.');
  else if (area(corners) < LEAST_AREA) found.push('Its corners are on one line: it has no area.');
  const { CLASSES: classes = [], FORBIDDEN: forbidden = [] } = value;
  const unknown = forbidden.find((label) => classes.length && !classes.includes(label));
  if (unknown !== undefined) found.push(`“${unknown}” is forbidden but isn’t among its classes: add it there, or leave classes empty.`);
  if (value.LOITERING_S !== undefined && !isTime(value.LOITERING_S)) found.push('The time for loitering isn’t a time in seconds.');
  const { CROWDING: crowding } = value;
  if (crowding) {
    if (!Number.isInteger(crowding.MORE_THAN ?? 0) || crowding.MORE_THAN < 0) found.push('A crowd is more than a whole number of objects.');
    if (!isTime(crowding.FOR_S ?? 0)) found.push('The time for crowding isn’t a time in seconds.');
  }
  return found;
}

function ofLine(one) {
  const [from, to] = points(one);
  const found = outside([from, to]);
  if (distance(from, to) < LEAST_LENGTH) found.push('Its ends are at the same place: it has no length.');
  return found;
}

function outside(corners) {
  return corners.flat().every((value) => value >= 0 && value <= 1) ? [] : ['It reaches beyond the picture: coordinates go from 0 to 1.'];
}

function isTime(value) {
  return typeof value === 'number' && value >= 0 && value <= LONGEST;
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function cross(origin, a, b) {
  return (a[0] - origin[0]) * (b[1] - origin[1]) - (a[1] - origin[1]) * (b[0] - origin[0]);
}

export function area(corners) {
  return Math.abs(corners.reduce((sum, corner, index) => sum + cross(corners[0], corner, corners[(index + 1) % corners.length]), 0)) / 2;
}

/** Whether edges that aren't neighbours have a point in common. */
function crosses(corners) {
  const count = corners.length;
  const edge = (index) => [corners[index], corners[(index + 1) % count]];
  for (let first = 0; first < count; first += 1) {
    for (let second = first + 2; second < count; second += 1) {
      if ((second + 1) % count !== first && meet(edge(first), edge(second))) return true;
    }
  }
  return false;
}

function meet([a, b], [c, d]) {
  const [fromA, fromB, fromC, fromD] = [cross(c, d, a), cross(c, d, b), cross(a, b, c), cross(a, b, d)];
  if (fromA * fromB < 0 && fromC * fromD < 0) return true;
  const within = (point, from, to) =>
    [0, 1].every((axis) => point[axis] >= Math.min(from[axis], to[axis]) && point[axis] <= Math.max(from[axis], to[axis]));
  return (fromA === 0 && within(a, c, d)) || (fromB === 0 && within(b, c, d)) || (fromC === 0 && within(c, a, b)) || (fromD === 0 && within(d, a, b));
}
