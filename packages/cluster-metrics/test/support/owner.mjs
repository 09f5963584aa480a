// A primary that creates its folder and waits to be killed.
import { createStoreDirectory } from '@techcommerce/cluster-metrics';

process.send(createStoreDirectory({ name: 'shop', parents: [process.argv[2]] }).path);
setInterval(() => {}, 1000);
