// A primary that makes its folder and waits to be killed.
import { createStoreDirectory } from '../../../dist/src/metrics/index.js';

process.send(createStoreDirectory({ name: 'shop', parents: [process.argv[2]] }).path);
setInterval(() => {}, 1000);
