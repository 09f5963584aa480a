import { createServer } from 'node:http';
import { Counter, collectDefaults, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';

// A worker that PM2 starts in the place of another gets the same NODE_APP_INSTANCE.
const { STORES, NODE_APP_INSTANCE, PORT } = process.env;
const store = openStore({ directory: STORES, worker: NODE_APP_INSTANCE });
const registers = [new WorkerRegistry(store)];
collectDefaults(registers[0]);
const requests = new Counter({ name: 'requests_total', help: 'Requests answered', registers });

createServer((_request, response) => {
  requests.inc();
  store.flush();
  response.end(`hello from ${process.pid}\n`);
}).listen(PORT);
