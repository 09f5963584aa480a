import type { HeapProfiler, Profiler } from 'node:inspector';
import { setTimeout as delay } from 'node:timers/promises';
import type { HeapInfo, HeapSpaceInfo } from 'node:v8';
import { END_OF_LINE, type Positions, readPositions } from './positions.ts';
import { withSession } from './session.ts';

const SECOND_MS = 1000;
const CPU_SAMPLE_MICROSECONDS = 1000;
/** One allocation is sampled in so many bytes, as by V8's own default. */
const HEAP_SAMPLE_BYTES = 32 * 1024;
const MOST_PLACES = 20;

/**
 * Samples what the main thread runs, a thousand times a second.
 *
 * @param deadlineMs for the main thread's answers, beside the seconds of the profile
 * @returns a `.cpuprofile` as JSON, with the files and lines of the sources
 */
export async function takeProfile(seconds: number, deadlineMs: number): Promise<string> {
  const { profile } = await withSession(seconds * SECOND_MS + deadlineMs, async (post) => {
    await post('Profiler.enable');
    await post('Profiler.setSamplingInterval', { interval: CPU_SAMPLE_MICROSECONDS });
    await post('Profiler.start');
    // V8 counts the samples of a loop that it had optimized before for the caller of its function, measured with Node.js 20
    // to 24. Coverage makes it forget all optimized code, and what it optimizes from now on the profiler sees.
    await post('Profiler.startPreciseCoverage', { callCount: false, detailed: false });
    await post('Profiler.stopPreciseCoverage');
    await delay(seconds * SECOND_MS);
    return (await post('Profiler.stop')) as Profiler.StopReturnType;
  });
  const positions = readPositions();
  return JSON.stringify({ ...profile, nodes: profile.nodes.map((node) => inSources(node, positions)) });
}

function inSources(node: Profiler.ProfileNode, positions: Positions): Profiler.ProfileNode {
  const { callFrame, positionTicks = [] } = node;
  const { url, lineNumber, columnNumber } = callFrame;
  if (url === '') return node;
  const at = positions.find(url, lineNumber, columnNumber);
  const ticks = new Map<number, number>();
  for (const each of positionTicks) {
    const { line } = positions.find(url, each.line - 1, END_OF_LINE);
    ticks.set(line, (ticks.get(line) ?? 0) + each.ticks);
  }
  return {
    ...node,
    callFrame: { ...callFrame, url: at.file, lineNumber: at.line - 1, columnNumber: at.column - 1 },
    positionTicks: Array.from(ticks, ([line, count]) => ({ line, ticks: count })),
  };
}

interface Heap {
  readonly heap: HeapInfo;
  readonly spaces: readonly HeapSpaceInfo[];
  readonly memory: NodeJS.MemoryUsage;
}

const READ_HEAP = {
  expression: `JSON.stringify({
    heap: require('node:v8').getHeapStatistics(),
    spaces: require('node:v8').getHeapSpaceStatistics(),
    memory: process.memoryUsage(),
  })`,
  // It has `require`, also in a module.
  includeCommandLineAPI: true,
  returnByValue: true,
  silent: true,
};

/**
 * Reads the sizes of the main thread's heap, and samples its allocations. Ends with a garbage collection, so that only
 * memory in use is listed. It pauses the main thread for some ten milliseconds.
 *
 * @param deadlineMs for the main thread's answers, beside the seconds of the samples
 * @returns a text with sizes and places, never a value
 */
export async function takeHeap(seconds: number, deadlineMs: number): Promise<string> {
  return withSession(seconds * SECOND_MS + deadlineMs, async (post) => {
    await post('HeapProfiler.enable');
    await post('HeapProfiler.startSampling', { samplingInterval: HEAP_SAMPLE_BYTES });
    await delay(seconds * SECOND_MS);
    await post('HeapProfiler.collectGarbage');
    const { profile } = (await post('HeapProfiler.stopSampling')) as HeapProfiler.StopSamplingReturnType;
    const { result } = (await post('Runtime.evaluate', READ_HEAP)) as { result: { value: string } };
    return describeHeap(JSON.parse(result.value) as Heap, placesIn(profile), seconds);
  });
}

/** A place of the sources, and the bytes that it has allocated. */
interface Place {
  readonly name: string;
  readonly bytes: number;
}

function placesIn({ head }: HeapProfiler.SamplingHeapProfile): Place[] {
  const positions = readPositions();
  const bytesBy = new Map<string, number>();
  const calls = [{ node: head, name: 'V8 itself' }];
  for (let call = calls.pop(); call; call = calls.pop()) {
    const { node, name } = call;
    for (const child of node.children) {
      const { functionName, url, lineNumber, columnNumber } = child.callFrame;
      const { file, line } = positions.find(url, lineNumber, columnNumber);
      // A built-in function has no place, such as Array.from: its caller has.
      calls.push({ node: child, name: url === '' ? name : `${functionName || '<anonymous>'} (${file}:${line})` });
    }
    if (node.selfSize > 0) bytesBy.set(name, (bytesBy.get(name) ?? 0) + node.selfSize);
  }
  return Array.from(bytesBy, ([name, bytes]) => ({ name, bytes }))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, MOST_PLACES);
}

function describeHeap({ heap, spaces, memory }: Heap, places: readonly Place[], seconds: number): string {
  const rows = spaces.map(({ space_name, space_used_size, space_size }) => {
    return `${space_name.padEnd(24)}${megabytes(space_used_size)} of ${megabytes(space_size)}`;
  });
  const held = places.map(({ name, bytes }) => `${megabytes(bytes)}  ${name}`);
  return [
    `heap                    ${megabytes(heap.used_heap_size)} of ${megabytes(heap.total_heap_size)}, limit ${megabytes(heap.heap_size_limit).trim()}`,
    ...rows,
    `outside of the heap     ${megabytes(memory.external)}, of which buffers ${megabytes(memory.arrayBuffers).trim()}`,
    `resident memory         ${megabytes(memory.rss)}`,
    '',
    `Allocated in the last ${seconds} s and still held, by function (one allocation in ${HEAP_SAMPLE_BYTES / 1024} KB is sampled):`,
    ...(held.length > 0 ? held : ['nothing']),
  ].join('\n');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2).padStart(8)} MB`;
}
