/** Wire types: https://protobuf.dev/programming-guides/encoding/#structure */
const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;

/** The longest varint of a double's whole numbers, below 2^53 doubled by zigzag. */
const LONGEST_VARINT = 8;
const LARGEST_INT_32 = 2 ** 31 - 1;

/**
 * Writes messages of protocol buffers, as much of the format as an exposition needs.
 *
 * Written by hand, as the fields are few and known: an encoder from npm would be the only dependency of this package.
 */
export class ProtobufWriter {
  #bytes = Buffer.allocUnsafe(1 << 16);
  #length = 0;

  /** A copy of everything that was written. */
  finish(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length));
  }

  /** @param value a whole number from 0 to 2^53 */
  unsigned(field: number, value: number): void {
    this.#tag(field, VARINT);
    this.#varint(value);
  }

  /** A whole number of type `sint32` or `sint64`. */
  signed(field: number, value: number): void {
    this.#tag(field, VARINT);
    this.#varint(zigzag(value));
  }

  double(field: number, value: number): void {
    this.#tag(field, FIXED_64);
    this.#reserve(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  text(field: number, text: string): void {
    this.#tag(field, LENGTH_DELIMITED);
    this.delimited(() => {
      // UTF-8 takes at most 3 bytes for each unit of UTF-16.
      this.#reserve(3 * text.length);
      this.#length += this.#bytes.write(text, this.#length);
    });
  }

  /** Whole numbers of type `sint64` in one packed field. Readers of a repeated field accept both forms. */
  packedSigned(field: number, values: readonly number[]): void {
    this.#tag(field, LENGTH_DELIMITED);
    this.delimited(() => {
      for (const value of values) this.#varint(zigzag(value));
    });
  }

  /** @param write writes the fields of the message */
  message(field: number, write: () => void): void {
    this.#tag(field, LENGTH_DELIMITED);
    this.delimited(write);
  }

  /** What `write` writes, with its length before it. */
  delimited(write: () => void): void {
    // Also for its length: a later growth would copy only what lies before it.
    this.#reserve(LONGEST_VARINT);
    this.#length++;
    const start = this.#length;
    write();
    const length = this.#length - start;
    const more = varintLength(length) - 1;
    if (more > 0) {
      this.#reserve(more);
      this.#bytes.copyWithin(start + more, start, this.#length);
    }
    this.#length = start - 1;
    this.#varint(length);
    this.#length += length;
  }

  #tag(field: number, type: number): void {
    this.#varint(field * 8 + type);
  }

  #varint(value: number): void {
    this.#reserve(LONGEST_VARINT);
    let rest = value;
    // Operators on bits would cut it to 32 of them.
    while (rest > LARGEST_INT_32) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** Small magnitudes of both signs become small numbers. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}
