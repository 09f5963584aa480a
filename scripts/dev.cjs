'use strict';
// `npm run dev`: runs the shop, and builds and starts it anew when a source, a template or a public file has changed.
require('./requirements.cjs').check();
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { join } = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { fingerprint } = require('./compile.cjs');

/** Reading all sources takes 5 ms. Unlike `fs.watch`, it works in containers, in WSL and on network drives as well. */
const LOOK_MS = 250;
/** One press of Ctrl-C under npm arrives twice, from the terminal and from npm. */
const SAME_PRESS_MS = 250;

const root = join(__dirname, '..');
const ending = new AbortController();
let shop;
let build;

/** In its own process group, so that the terminal's Ctrl-C reaches only this program: a second signal would end the shop at once. */
function run(script, ...options) {
  const child = spawn(process.execPath, [...options, join(root, script)], {
    cwd: root,
    detached: true,
    stdio: 'inherit',
    // Two workers show what a cluster does, and start faster than one for each core.
    env: { ...process.env, WORKERS: process.env.WORKERS || '2' },
  });
  return { child, stopping: false, ended: once(child, 'exit').then(([code]) => code) };
}

async function buildShop() {
  build = run('scripts/build.cjs');
  const code = await build.ended;
  build = undefined;
  return code === 0;
}

function startShop() {
  const started = run('dist/src/main.js', '--enable-source-maps');
  started.ended.then((code) => {
    if (!started.stopping) say(`the shop has ended with code ${code} and starts again after a change`);
  });
  return started;
}

/** Unlike SIGTERM, SIGINT waits for no balancer. A shop that has ended is not signalled. */
async function stopShop() {
  if (!shop) return;
  if (!shop.stopping) shop.child.kill('SIGINT');
  shop.stopping = true;
  await shop.ended;
}

/** Resolves with the fingerprint of the sources when it is another and two looks in a row have found it. */
async function change(former) {
  for (let last; ; ) {
    const now = look();
    if (now !== undefined && now !== former && now === last) return now;
    last = now;
    await delay(LOOK_MS, undefined, { signal: ending.signal });
  }
}

/** @returns undefined while a file is just being replaced */
function look() {
  try {
    return fingerprint('public');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function main() {
  for (let sources; ; ) {
    sources = await change(sources);
    const built = await buildShop();
    ending.signal.throwIfAborted();
    if (built) {
      await stopShop();
      ending.signal.throwIfAborted();
      shop = startShop();
    } else {
      say(shop ? 'the shop runs on as it was, until a change' : 'the shop starts after a change');
    }
  }
}

let endingSince;

/** The first signal stops everything in order, a second one at once. */
function end() {
  if (endingSince === undefined) {
    endingSince = performance.now();
    ending.abort();
    // The compiler is the build's child.
    if (build) process.kill(-build.child.pid, 'SIGTERM');
    void stopShop();
  } else if (performance.now() - endingSince > SAME_PRESS_MS && shop) {
    shop.child.kill('SIGINT');
  }
}

function say(sentence) {
  process.stdout.write(`dev: ${sentence}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end);
main().catch((error) => {
  if (!ending.signal.aborted) throw error;
});
