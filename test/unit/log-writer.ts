// Logs numbered lines, as many as its argument says, and then writes the last number to stderr.
import { createLog } from '../../src/log.ts';

const log = createLog({ logLevel: 'info' }, '1');
const lines = Number(process.argv[2]);
for (let line = 1; line <= lines; line++) log.info({ line, text: 'ação '.repeat(200) }, 'a line');
process.stderr.write(`${lines}`);
