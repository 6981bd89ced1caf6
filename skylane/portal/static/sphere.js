// The little spherical geometry that the page needs. All angles in degrees, ICRS.

const RAD = Math.PI / 180;

function unit([ra, dec]) {
  return [
    Math.cos(dec * RAD) * Math.cos(ra * RAD),
    Math.cos(dec * RAD) * Math.sin(ra * RAD),
    Math.sin(dec * RAD),
  ];
}
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** Angle between two positions. */
export function separation(a, b) {
  const [u, v] = [unit(a), unit(b)];
  return Math.atan2(Math.hypot(...cross(u, v)), dot(u, v)) / RAD;
}

/** Read a region's text, "POLYGON [ICRS] ra dec ..." or "CIRCLE [ICRS] ra dec r". */
export function parseRegion(text) {
  const words = text.trim().split(/[\s,]+/);
  const shape = (words.shift() || "").toUpperCase();
  if (words.length && /^[a-z]/i.test(words[0])) words.shift();
  const numbers = words.map(Number);
  if (numbers.some(Number.isNaN)) throw new Error("a region is a word and numbers in degrees");
  if (shape === "CIRCLE" && numbers.length === 3) {
    return { shape, centre: numbers.slice(0, 2), radius: numbers[2] };
  }
  if (shape === "POLYGON" && numbers.length >= 6 && numbers.length % 2 === 0) {
    const vertices = [];
    for (let i = 0; i < numbers.length; i += 2) vertices.push([numbers[i], numbers[i + 1]]);
    return { shape, vertices };
  }
  throw new Error("a region is POLYGON ra dec ra dec ra dec ... or CIRCLE ra dec radius");
}

/** Tell whether a region of `parseRegion` contains a position, by the winding of its sides. */
export function contains(region, position) {
  if (region.shape === "CIRCLE") return separation(region.centre, position) <= region.radius;
  const p = unit(position);
  let turn = 0;
  const n = region.vertices.length;
  for (let i = 0; i < n; i += 1) {
    const a = unit(region.vertices[i]);
    const b = unit(region.vertices[(i + 1) % n]);
    if (dot(p, a) < 0) return false;
    const [u, v] = [cross(p, a), cross(p, b)];
    turn += Math.atan2(dot(p, cross(u, v)), dot(u, v));
  }
  return Math.abs(turn) > Math.PI;
}
