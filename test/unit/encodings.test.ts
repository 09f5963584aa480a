import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { createNegotiator, type Encoding, encode, negotiate } from '../../src/http/encodings.ts';

const CHOICES: [accepted: string | undefined, encoding: Encoding][] = [
  ['gzip, deflate, br', 'br'],
  ['gzip, deflate, br, zstd', 'br'],
  ['gzip', 'gzip'],
  ['GZIP', 'gzip'],
  ['deflate', 'identity'],
  ['*', 'br'],
  ['gzip;q=1.0, br;q=0.5', 'gzip'],
  ['gzip;q=0.5, br ; q=0.5', 'br'],
  ['br;q=0, gzip', 'gzip'],
  ['br;q=0, *', 'gzip'],
  ['gzip;q=0, br;q=0', 'identity'],
  ['identity, gzip;q=0.5', 'identity'],
  ['identity;q=0.5, gzip;q=0.8', 'gzip'],
  [undefined, 'identity'],
  ['', 'identity'],
  // No encoding is left, not even the plain one: the plain one all the same.
  ['identity;q=0', 'identity'],
  ['*;q=0', 'identity'],
  // Empty elements of a list count for nothing.
  [',', 'identity'],
  ['gzip,', 'gzip'],
  [' , gzip;q=0.5 ,, br;q=0.1 ,\t', 'gzip'],
  // Garbled.
  ['gzip;q=abc, *;q=-1', 'identity'],
  ['gzip;q=2', 'identity'],
  ['gzip br', 'identity'],
  ['gzip;q=0.5;x=1', 'identity'],
  ['constructor, __proto__', 'identity'],
];

test("a client gets the encoding that it prefers, and brotli where it doesn't say", () => {
  const remembering = createNegotiator();
  for (let i = 0; i < 3; i++) {
    for (const [accepted, encoding] of CHOICES) {
      assert.equal(negotiate(accepted), encoding, accepted);
      assert.equal(remembering(accepted), encoding, accepted);
    }
    for (let header = 0; header < 200; header++) assert.equal(remembering(`x${i}-${header}, gzip`), 'gzip');
  }
});

test('an encoded body is the same body, and smaller', () => {
  const body = Buffer.from('<p>mochila é útil</p>'.repeat(1000));
  assert.equal(encode(body, 'identity'), body);
  assert.deepEqual(brotliDecompressSync(encode(body, 'br')), body);
  assert.deepEqual(gunzipSync(encode(body, 'gzip')), body);
});

test('a header that is made to take long takes no longer than others', () => {
  const parts = [' ', '\t', ',', ', ', ' ,', 'a', ';', ' ;', ';q=', 'gzip,', 'br ;q=1 ,'];
  for (const part of parts) {
    for (const length of [900, 15_000]) {
      const long = part.repeat(length / part.length);
      const before = process.cpuUsage();
      for (const header of [long, `gzip${long},br`, `gzip,${long}@`, `gzip;q=1${long}`]) negotiate(header);
      const tookMs = process.cpuUsage(before).user / 1000;
      assert.ok(tookMs < 50, `${JSON.stringify(part)}, ${length} characters: ${tookMs} ms`);
    }
  }
});
