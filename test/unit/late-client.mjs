// A client in a thread of its own, which goes on while the server's thread is busy: one request, and when it is told to,
// another over the same connection.
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { port, flags } = workerData;
const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
const SEND = 0;
const SENT = 1;

const socket = connect(port, '127.0.0.1', () => socket.write(REQUEST));
socket.setEncoding('latin1');
let answers = 0;
socket.on('data', (text) => {
  answers += text.split('HTTP/1.1 200').length - 1;
  parentPort.postMessage({ answers });
  if (answers > 1) return socket.destroy();
  Atomics.wait(flags, SEND, 0);
  socket.write(REQUEST, () => {
    Atomics.store(flags, SENT, 1);
    Atomics.notify(flags, SENT);
  });
});
socket.on('error', ({ code }) => parentPort.postMessage({ answers, code }));
socket.on('end', () => parentPort.postMessage({ answers, code: 'end' }));
