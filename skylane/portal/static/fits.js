// A small reader of FITS images, enough to draw a cutout: the first image with two axes or more.

const BLOCK = 2880;
const READERS = {
  8: (view, at) => view.getUint8(at),
  16: (view, at) => view.getInt16(at),
  32: (view, at) => view.getInt32(at),
  64: (view, at) => Number(view.getBigInt64(at)),
  "-32": (view, at) => view.getFloat32(at),
  "-64": (view, at) => view.getFloat64(at),
};

function readHeader(bytes, start) {
  const cards = {};
  for (let at = start; at + 80 <= bytes.length; at += 80) {
    const card = String.fromCharCode(...bytes.subarray(at, at + 80));
    const keyword = card.slice(0, 8).trim();
    if (keyword === "END") {
      const length = Math.ceil((at + 80 - start) / BLOCK) * BLOCK;
      return { cards, dataStart: start + length };
    }
    if (card.slice(8, 10) === "= ") {
      const text = card.slice(10).split(" /")[0].trim();
      cards[keyword] = text.startsWith("'") ? text.slice(1).split("'")[0].trim() : Number(text);
    }
  }
  throw new Error("the answer is not a FITS file");
}

/** Read the first image of a FITS file: its first plane as {width, height, values}. */
export function readImage(buffer) {
  const bytes = new Uint8Array(buffer);
  let start = 0;
  while (start < bytes.length) {
    const { cards, dataStart } = readHeader(bytes, start);
    const axes = Array.from({ length: cards.NAXIS || 0 }, (_, i) => cards[`NAXIS${i + 1}`]);
    const size = Math.abs(cards.BITPIX || 8) / 8;
    const count = axes.length ? axes.reduce((product, n) => product * n, 1) : 0;
    const isImage = start === 0 || cards.XTENSION === "IMAGE";
    if (isImage && axes.length >= 2 && count > 0) {
      const view = new DataView(buffer, dataStart);
      const [width, height] = axes;
      const read = READERS[cards.BITPIX];
      const zero = cards.BZERO || 0;
      const scale = cards.BSCALE === undefined ? 1 : cards.BSCALE;
      const values = new Float64Array(width * height);
      for (let i = 0; i < values.length; i += 1) {
        const stored = read(view, i * size);
        values[i] = stored === cards.BLANK ? NaN : zero + scale * stored;
      }
      return { width, height, values };
    }
    const bytesHere = size * (count + (cards.PCOUNT || 0)) * (cards.GCOUNT || 1);
    start = dataStart + Math.ceil(bytesHere / BLOCK) * BLOCK;
  }
  throw new Error("the FITS file holds no image");
}

/** Draw an image on a canvas with an asinh stretch, first row at the bottom. */
export function drawImage(canvas, { width, height, values }) {
  canvas.width = width;
  canvas.height = height;
  const finite = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
  const at = (part) => finite[Math.floor(part * (finite.length - 1))] || 0;
  const low = at(0.05);
  const soft = Math.max(at(0.75) - low, 1e-12);
  const top = Math.asinh(Math.max(at(0.998) - low, soft) / soft);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const value = values[(height - 1 - row) * width + column];
      const grey = (255 * Math.asinh(Math.max(value - low, 0) / soft)) / top;
      const pixel = 4 * (row * width + column);
      picture.data.fill(Math.min(255, grey), pixel, pixel + 3);
      picture.data[pixel + 3] = Number.isFinite(value) ? 255 : 0;
    }
  }
  context.putImageData(picture, 0, 0);
}
