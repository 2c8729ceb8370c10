// Makes a generated JSON schema small: drops descriptions, and says what is said twice once. Reads standard input, writes standard output,
// one definition a line.
import { readFileSync } from 'node:fs';

const strip = (n, names) =>
  Array.isArray(n) ? n.map((x) => strip(x))
  : n === null || typeof n !== 'object' ? n
  : Object.fromEntries(Object.entries(n)
      .filter(([k, v]) => names || !['description', 'default'].includes(k) || typeof v === 'object')
      .map(([k, v]) => [k, strip(v, k === 'properties')]));
const sorted = (n) =>
  Array.isArray(n) ? n.map(sorted)
  : n === null || typeof n !== 'object' ? n
  : Object.fromEntries(Object.keys(n).sort().map((k) => [k, sorted(n[k])]));

const text = readFileSync(0, 'utf8').replaceAll(/interface-[0-9-]+/g, 'Recursive');
const { Board, ...others } = sorted(strip(JSON.parse(text))).definitions;

const count = new Map();
const isSchema = (n) => n && !Array.isArray(n) && (['object', 'array'].includes(n.type) || n.enum || n.anyOf);
(function walk(n) {
  if (n === null || typeof n !== 'object') return;
  if (n !== Board && isSchema(n)) {
    const k = JSON.stringify(n);
    count.set(k, (count.get(k) ?? 0) + 1);
  }
  Object.values(n).forEach(walk);
})(Board);

const repeated = [...count].filter(([k, c]) => c > 1 && k.length > 100).map(([k]) => k).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
const names = new Map(repeated.map((k, i) => [k, `d${i}`]));
const refer = (n, own) => {
  if (n === null || typeof n !== 'object') return n;
  if (Array.isArray(n)) return n.map((x) => refer(x));
  const k = JSON.stringify(n);
  if (names.has(k) && k !== own) return { $ref: `#/definitions/${names.get(k)}` };
  return Object.fromEntries(Object.entries(n).map(([p, v]) => [p, refer(v)]));
};

const definitions = { Board: refer(Board), ...others };
for (const k of repeated) definitions[names.get(k)] = refer(JSON.parse(k), k);
const used = (name) => Object.entries(definitions).some(([n, d]) => n !== name && JSON.stringify(d).includes(`/definitions/${name}"`));
for (let gone = true; gone; ) {
  gone = false;
  for (const name of Object.keys(definitions)) {
    if (name !== 'Board' && !used(name)) gone = delete definitions[name];
  }
}
const lines = Object.entries(definitions).map(([name, d]) => `"${name}": ${JSON.stringify(d)}`);
console.log('{"$schema": "http://json-schema.org/draft-07/schema#",\n"$comment": "Made of dashboard.ts; see there.",\n' +
  `"$ref": "#/definitions/Board", "definitions": {\n${lines.join(',\n')}\n}}`);
