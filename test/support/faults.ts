import assert from 'node:assert/strict';
import type { FaultName } from '../../src/faults/names.ts';
import type { FaultState } from '../../src/faults/primary.ts';
import type { RunningCluster } from './cluster.ts';

/**
 * Posts a form to `/faults`.
 *
 * @param fields or the form as it is sent
 */
export async function postFault(
  { opsUrl }: Pick<RunningCluster, 'opsUrl'>,
  fields: Record<string, string> | string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const body = new URLSearchParams(fields);
  const response = await fetch(`${opsUrl}/faults`, {
    method: 'POST',
    headers,
    body,
    signal: AbortSignal.timeout(60_000),
  });
  return { status: response.status, text: await response.text() };
}

/**
 * Switches a rehearsed fault of a shop that allows them.
 *
 * @param seconds until it ends by itself; default: the longest
 */
export async function switchFault(
  shop: Pick<RunningCluster, 'opsUrl'>,
  name: FaultName,
  on: boolean,
  seconds?: number,
): Promise<void> {
  const fields = { name, on: String(on), ...(seconds !== undefined && { seconds: String(seconds) }) };
  const { status, text } = await postFault(shop, fields);
  assert.equal(status, 200, text);
}

export async function listFaults({ opsUrl }: Pick<RunningCluster, 'opsUrl'>): Promise<FaultState[]> {
  const response = await fetch(`${opsUrl}/faults`, { signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return (JSON.parse(text) as { faults: FaultState[] }).faults;
}
