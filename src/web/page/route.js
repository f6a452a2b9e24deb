// Where one is in the page is in the address behind `#`, so that every view can be linked to.

/** The view of an address, for example `{ view: 'camera', camera: 'door' }`. */
export function parse(hash) {
  const [first = '', ...rest] = hash.replace(/^#\/?/, '').split('/').map(decoded);
  switch (first) {
    case '':
      return { view: 'cameras' };
    case 'camera':
      if (rest.length === 1 && rest[0]) return { view: 'camera', camera: rest[0] };
      if (rest.length === 2 && rest[1] === 'zones') return { view: 'zones', camera: rest[0] };
      return { view: 'unknown' };
    case 'system':
    case 'events':
    case 'check':
      return rest.length ? { view: 'unknown' } : { view: first };
    default:
      return { view: 'unknown' };
  }
}

export const address = {
  cameras: '#/',
  system: '#/system',
  events: '#/events',
  check: '#/check',
  camera: (name) => `#/camera/${encodeURIComponent(name)}`,
  zones: (name) => `#/camera/${encodeURIComponent(name)}/zones`,
};

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
