import qrcode from 'qrcode-generator';

/** Light modules around a code (ISO/IEC 18004, section 9.1). */
const QUIET_ZONE = 4;

/** A QR code as an SVG path of its dark modules, each 1 wide and high. */
export interface QrCode {
  /** Width and height with the quiet zone. */
  readonly size: number;
  readonly path: string;
}

/** @param text ASCII */
export function qrCode(text: string): QrCode {
  // The smallest code that restores 15 % of itself.
  const code = qrcode(0, 'M');
  code.addData(text, 'Byte');
  code.make();
  const count = code.getModuleCount();
  let path = '';
  for (let row = 0; row < count; row++) {
    for (let column = 0; column < count; column++) {
      if (!code.isDark(row, column)) continue;
      const start = column;
      while (column + 1 < count && code.isDark(row, column + 1)) column++;
      path += `M${start + QUIET_ZONE} ${row + QUIET_ZONE}h${column + 1 - start}v1h-${column + 1 - start}z`;
    }
  }
  return { size: count + 2 * QUIET_ZONE, path };
}
