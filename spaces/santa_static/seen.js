// Passages of a text that are in the training data, by the index that `hf-santa data index` writes; its format is described in
// data_recipes/store/training_index.py of hf-santa. It says yes or no to 50 characters in a row, and names no file.
const WIDTH = 50, HEADER_BYTES = 512, BUCKETS = 1 << 16;
const FACTOR = 0x9E3779B97F4A7C15n;
const whole = (number) => BigInt.asUintN(64, number);
const WORD = /[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu; // what Python takes for a word

/** Opens an index; throws an Error for one that is damaged. */
export function openIndex(buffer) {
  const about = JSON.parse(new TextDecoder("ascii").decode(buffer.slice(0, HEADER_BYTES)));
  const isWhole = about.format === 1 && about.width === WIDTH && buffer.byteLength === HEADER_BYTES + 4 * (BUCKETS + 1 + about.passages);
  if (!isWhole) throw Error("the index of the training data is damaged");
  const starts = new Uint32Array(buffer, HEADER_BYTES, BUCKETS + 1); // little-endian, as every machine with a browser is
  const keys = new Uint32Array(buffer, HEADER_BYTES + 4 * (BUCKETS + 1), about.passages);
  return {about, alwaysFrom: WIDTH - 1 + about.stride, lookUp: (text) => lookUp(text, starts, keys)};
}

/** Returns the passages of a text that are in the index, and how many characters could be looked up. */
function lookUp(text, starts, keys) {
  const flat = [], places = []; // code points with one blank between words, and where each stands in the text
  for (const word of text.matchAll(WORD)) {
    if (flat.length) {
      flat.push(32);
      places.push(places.at(-1) + 1);
    }
    let at = word.index;
    for (const sign of word[0]) {
      flat.push(sign.codePointAt(0));
      places.push(at);
      at += sign.length;
    }
  }
  const spans = [];
  hashes(flat).forEach((hash, first) => {
    if (!holds(hash, starts, keys)) return;
    const last = places[first + WIDTH - 1], end = last + String.fromCodePoint(flat[first + WIDTH - 1]).length;
    if (spans.length && places[first] <= spans.at(-1)[1]) spans.at(-1)[1] = end;
    else spans.push([places[first], end]);
  });
  return {passages: spans.map(([start, end]) => text.slice(start, end)), checked: flat.length < WIDTH ? 0 : flat.length};
}

/** Returns the hash of every 50 in a row: a polynomial, rolled on by one sign each time, then splitmix64's last lines. */
function hashes(codes) {
  const found = [];
  let highest = 1n, sum = 0n;
  for (let power = 1; power < WIDTH; power++) highest = whole(highest * FACTOR);
  codes.forEach((code, at) => {
    if (at >= WIDTH) sum -= BigInt(codes[at - WIDTH]) * highest;
    sum = whole(sum * FACTOR + BigInt(code));
    if (at < WIDTH - 1) return;
    let hash = whole((sum ^ (sum >> 30n)) * 0xBF58476D1CE4E5B9n);
    hash = whole((hash ^ (hash >> 27n)) * 0x94D049BB133111EBn);
    found.push(hash ^ (hash >> 31n));
  });
  return found;
}

function holds(hash, starts, keys) {
  const bucket = Number(hash >> 48n), key = Number((hash >> 16n) & 0xFFFFFFFFn);
  let low = starts[bucket], high = starts[bucket + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low < starts[bucket + 1] && keys[low] === key;
}
