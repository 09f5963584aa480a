/*
 * Koa without middleware. It answers every request with the last answer that the parent has sent: the measure of what
 * Koa alone allows.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { answerParent } from './answer-parent.ts';

export interface RecordedAnswer {
  status: number;
  headers: Record<string, string | string[]>;
  bodyBase64: string;
}

let status = 404;
let headers: RecordedAnswer['headers'] = {};
let body = Buffer.alloc(0);

const app = new Koa();
app.use(function answerRecorded(ctx) {
  ctx.status = status;
  ctx.set(headers);
  ctx.body = body;
});
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;

answerParent(async (answer: RecordedAnswer) => {
  ({ status, headers } = answer);
  body = Buffer.from(answer.bodyBase64, 'base64');
  return { port };
});
