import assert from 'node:assert/strict';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { ProtobufWriter } from '../src/cluster/protobuf-writer.ts';

/** The writer's room at first: it grows where a field does not fit. */
const FIRST_BYTES = 1 << 16;
/** A number of type `double`, and a small whole one. */
const DOUBLE_BYTES = 9;
const NUMBER_BYTES = 2;

test('a text that begins at any place near the end of the room is whole', () => {
  for (let begin = FIRST_BYTES - 40; begin <= FIRST_BYTES; begin++) {
    for (const text of ['1', 'ab', 'a longer text', 'ção']) {
      const writer = new ProtobufWriter();
      const doubles = begin % NUMBER_BYTES;
      const numbers = (begin - doubles * DOUBLE_BYTES) / NUMBER_BYTES;
      for (let i = 0; i < doubles; i++) writer.double(1, 0.5);
      for (let i = 0; i < numbers; i++) writer.unsigned(2, i % 100);
      writer.text(3, text);

      const reader = protobuf.Reader.create(writer.finish());
      reader.skip(begin);
      assert.equal(reader.uint32() >>> 3, 3);
      assert.equal(reader.string(), text, `at ${begin}`);
      assert.equal(reader.pos, reader.len);
    }
  }
});
