/*
 * Preloaded into the processes of an example: a process that answers a request with the query `?die` kills itself when the last
 * byte is handed to the system, before anything that waits for the end of the turn. The client gets the answer.
 */
import { subscribe } from 'node:diagnostics_channel';

subscribe('http.server.response.finish', ({ request }) => {
  if (request.url.endsWith('?die')) process.kill(process.pid, 'SIGKILL');
});
