import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import jsqr from 'jsqr';
import { brCode, crc16 } from '../../src/payments/br-code.ts';
import { MAX_AMOUNT_CENTS } from '../../src/payments/gateway.ts';
import { qrCode } from '../../src/shop/checkout/qr-code.ts';

/** Reads the fields of a BR Code, or of one of its fields that has others. */
function fieldsOf(text: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let at = 0; at < text.length; ) {
    const id = text.slice(at, at + 2);
    const length = Number(text.slice(at + 2, at + 4));
    fields[id] = text.slice(at + 4, at + 4 + length);
    assert.equal(fields[id]?.length, length);
    at += 4 + length;
  }
  return fields;
}

test('the checksum is that of the manuals', () => {
  // The check value of CRC-16/IBM-3740: https://reveng.sourceforge.io/crc-catalogue/16.htm
  assert.equal(crc16('123456789'), '29B1');
  // The example of Banco Central's "Manual de Padrões para Iniciação do Pix", static QR code.
  const example =
    '00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***6304';
  assert.equal(crc16(example), '1D3D');
});

test('a code has the fields of a Pix, for any amount', () => {
  const txids = fc.stringMatching(/^[a-zA-Z0-9]{1,25}$/);
  fc.assert(
    fc.property(txids, fc.integer({ min: 1, max: MAX_AMOUNT_CENTS }), (txid, amountCents) => {
      const text = brCode({ txid, amountCents });
      const { '26': account = '', '54': amount = '', '62': additional = '', '63': crc, ...rest } = fieldsOf(text);
      assert.deepEqual(fieldsOf(account), { '00': 'br.gov.bcb.pix', '01': 'pix@fakeshop.example' });
      assert.ok(amount.length <= 13, 'the limit of the field');
      assert.equal(Math.round(Number(amount) * 100), amountCents);
      assert.deepEqual(fieldsOf(additional), { '05': txid });
      assert.equal(crc, crc16(text.slice(0, -4)));
      assert.deepEqual(rest, {
        '00': '01',
        '52': '0000',
        '53': '986',
        '58': 'BR',
        '59': 'FAKE SHOP',
        '60': 'SAO PAULO',
      });
    }),
  );
});

test('a phone reads the text of the code out of its picture', () => {
  const text = brCode({ txid: 'a1b2c3d4e5f6a1b2c3d4e5f6a', amountCents: MAX_AMOUNT_CENTS });
  assert.equal(readQrCode(qrCode(text)), text);
});

const SCALE = 4;

/** Draws the path, and reads it as a camera would. */
function readQrCode({ size, path }: { size: number; path: string }): string | undefined {
  const width = size * SCALE;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x, y, length] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
    for (let row = Number(y) * SCALE; row < (Number(y) + 1) * SCALE; row++) {
      for (let column = Number(x) * SCALE; column < (Number(x) + Number(length)) * SCALE; column++) {
        pixels.fill(0, (row * width + column) * 4, (row * width + column) * 4 + 3);
      }
    }
  }
  return jsqr.default(pixels, width, width)?.data;
}
