/**
 * The shop's Pix key. It cannot be registered, so that no bank finds an account for it: banks send a code to an e-mail
 * address before it becomes a key, and no address ends in `.example` (RFC 2606).
 */
const KEY = 'pix@fakeshop.example';
const MERCHANT_NAME = 'FAKE SHOP';
const MERCHANT_CITY = 'SAO PAULO';

export interface PixPayment {
  /** 1 to 25 ASCII letters and digits. */
  readonly txid: string;
  /** Cents of BRL, from 1 to `MAX_AMOUNT_CENTS`, which has the 13 characters of the field's limit. */
  readonly amountCents: number;
}

/**
 * The text of a Pix, for a QR code and for "Pix copia e cola": a BR Code, as Banco Central do Brasil profiles it in
 * "Manual de Padrões para Iniciação do Pix" and "Manual do BR Code", after EMV's QR Code Specification for Payment
 * Systems, Merchant-Presented Mode. Each field is an id, a length and a value.
 */
export function brCode({ txid, amountCents }: PixPayment): string {
  const fields = [
    field('00', '01'), // payload format
    field('26', field('00', 'br.gov.bcb.pix') + field('01', KEY)), // merchant account
    field('52', '0000'), // merchant category: none
    field('53', '986'), // BRL (ISO 4217)
    field('54', (amountCents / 100).toFixed(2)),
    field('58', 'BR'),
    field('59', MERCHANT_NAME),
    field('60', MERCHANT_CITY),
    field('62', field('05', txid)),
  ].join('');
  const signed = `${fields}6304`;
  return signed + crc16(signed);
}

function field(id: string, value: string): string {
  return id + String(value.length).padStart(2, '0') + value;
}

/**
 * The checksum of a BR Code: CRC-16 with polynomial 0x1021 and initial value 0xFFFF (EMV, section 4.7.3).
 *
 * @param text ASCII
 * @returns four upper case hexadecimal digits
 */
export function crc16(text: string): string {
  let crc = 0xffff;
  for (const byte of Buffer.from(text, 'ascii')) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    crc &= 0xffff;
  }
  return crc.toString(16).toUpperCase().padStart(4, '0');
}
